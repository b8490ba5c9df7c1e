//! What each region has of each layer: of an atlas, as `layerprint analyze --regions` saved it, or of the planted regions of a
//! simulated brain.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::figures::{LayerColors, Profile, profiles};
use crate::report::belonging::{name_of, same_set};
use crate::report::error::Error;
use crate::report::estimate::{Estimate, mean};
use crate::report::participant::Participant;
use crate::report::text::{counted, number, similarity};
use crate::rsa::Reading;
use crate::study::bids;
use crate::study::table::{Table, cell};
use crate::study::{ImageSet, Layer, file};

const ENDING: &str = "_desc-regions_similarity.tsv";
/// How many regions are drawn: those with the largest similarity of any layer. The table has all of them.
const DRAWN: usize = 24;

/// The profiles of all regions.
pub struct Profiles {
    source: Source,
    /// How RSMs were compared.
    second_order: String,
    participants: usize,
    regions: Vec<RegionProfile>,
}

/// Where regions come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Atlas,
    Planted,
}

/// One region.
struct RegionProfile {
    name: String,
    /// For each layer of the set the similarity in each participant who has one.
    layers: Vec<Vec<f64>>,
}

/// The parts of a summary that matter here.
#[derive(Deserialize)]
struct RegionsSummary {
    second_order: String,
    image_set_sha256: Option<String>,
}

/// The profiles as the page shows them.
#[derive(Serialize)]
pub struct ProfilesPage {
    words: String,
    figure: String,
}

impl Profiles {
    /// Those that an output folder of `layerprint analyze --regions` holds.
    pub fn read(folder: &Path, set: &ImageSet) -> Result<Profiles, Error> {
        let layers = set.models().layers();
        let (mut order, mut values) = (Vec::new(), BTreeMap::<String, Vec<Vec<f64>>>::new());
        let (mut participants, mut method) = (0, None::<String>);
        for subject in bids::subjects(folder)? {
            for path in bids::find_func(folder, &subject, ENDING)? {
                let summary = path.with_file_name(name_of(&path).replace(ENDING, "_desc-regions_summary.json"));
                let about: RegionsSummary = file::read_json(&summary)?;
                if let Some(found) = &about.image_set_sha256 {
                    same_set(&summary, set, found)?;
                }
                if let Some(other) = method.replace(about.second_order.clone()).filter(|m| *m != about.second_order) {
                    let what = format!("compares RSMs by {}, but the regions before by {other}", about.second_order);
                    return Err(Error::content(&summary, what));
                }
                participants += 1;
                let table = Table::read(&path)?;
                let [region, layer, reading, value] =
                    ["region", "layer", "reading", "similarity"].map(|name| table.column(name));
                let (region, layer, reading, value) = (region?, layer?, reading?, value?);
                for row in (0..table.len()).filter(|&row| table.text(row, reading) == Reading::Plain.words()) {
                    let name = table.text(row, layer);
                    let place = layers.iter().position(|layer| layer.name() == name);
                    let place = place
                        .ok_or_else(|| table.error(row, format!("layer {name:?} is not one of the image set's")))?;
                    let region = table.text(row, region).to_owned();
                    let of_region = values.entry(region.clone()).or_insert_with(|| {
                        order.push(region);
                        vec![Vec::new(); layers.len()]
                    });
                    of_region[place].extend(table.number(row, value)?);
                }
            }
        }
        let Some(second_order) = method else {
            let what = "no regions of `layerprint analyze --regions` are in it (expected sub-*/func/*_desc-regions_similarity.tsv)";
            return Err(Error::content(folder, what));
        };
        let region = |name: String| RegionProfile { layers: values.remove(&name).unwrap_or_default(), name };
        Ok(Profiles {
            source: Source::Atlas,
            second_order,
            participants,
            regions: order.into_iter().map(region).collect(),
        })
    }

    /// The means of the layers' maps over each planted region; `None` where nothing was planted.
    pub fn of_planted(participants: &[Participant], layers: &[Layer]) -> Option<Profiles> {
        let simulated: Vec<&Participant> = participants.iter().filter(|p| p.truth.is_some()).collect();
        let first = simulated.first()?;
        let region = |planted: usize| {
            let of_participant = |p: &Participant, layer: usize| {
                let truth = p.truth.as_ref()?;
                let map = p.similarities.iter().find(|map| map.layer == layer)?;
                let inside = truth.planted.iter().zip(&map.values).filter(|(label, _)| **label == Some(planted));
                mean(&inside.map(|(_, value)| f64::from(*value)).filter(|value| value.is_finite()).collect::<Vec<_>>())
            };
            let of_layer = |layer: usize| simulated.iter().filter_map(|p| of_participant(p, layer)).collect();
            RegionProfile {
                name: format!("planted {}", layers[planted]),
                layers: (0..layers.len()).map(of_layer).collect(),
            }
        };
        let regions =
            (0..layers.len()).map(region).filter(|region| region.layers.iter().any(|values| !values.is_empty()));
        Some(Profiles {
            source: Source::Planted,
            second_order: first.analysis.second_order.clone(),
            participants: simulated.len(),
            regions: regions.collect(),
        })
    }

    /// The names and rows of the report's table.
    pub fn table(&self, layers: &[Layer]) -> ([&'static str; 6], Vec<Vec<String>>) {
        let header = ["region", "layer", "participants", "similarity", "similarity_low", "similarity_high"];
        let row = |region: &RegionProfile, layer: usize| {
            let values = &region.layers[layer];
            let head = [region.name.clone(), layers[layer].to_string(), values.len().to_string()];
            let Estimate { value, low, high } = Estimate::over(values);
            head.into_iter().chain([value, low, high].map(|value| cell(value, 6))).collect()
        };
        let rows = self.regions.iter().flat_map(|region| (0..layers.len()).map(move |layer| row(region, layer)));
        (header, rows.collect())
    }

    /// As the page shows them.
    pub fn page(&self, layers: &[Layer], colors: &LayerColors) -> ProfilesPage {
        let peak = |region: &RegionProfile| {
            region.layers.iter().filter_map(|values| mean(values)).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut peaks: Vec<f64> = self.regions.iter().map(peak).collect();
        peaks.sort_unstable_by(|a, b| b.total_cmp(a));
        let least = peaks.get(DRAWN - 1).copied().unwrap_or(f64::NEG_INFINITY);
        let drawn: Vec<Profile> = self
            .regions
            .iter()
            .filter(|region| peak(region) >= least)
            .take(DRAWN)
            .map(|region| Profile {
                region: region.name.clone(),
                layers: region.layers.iter().map(|values| Estimate::over(values).or_nan()).collect(),
            })
            .collect();
        let names: Vec<String> = layers.iter().map(Layer::to_string).collect();
        let method = similarity(&self.second_order);
        let figure = profiles(
            "Layer profiles of regions",
            "For each region the similarity of its RSM with each layer's, the first layer on the left.",
            &format!("similarity ({method})"),
            &names,
            colors,
            &drawn,
        );
        ProfilesPage { words: self.words(drawn.len(), &method), figure }
    }

    fn words(&self, drawn: usize, method: &str) -> String {
        let of = match self.source {
            Source::Atlas => "the similarity of the region's RSM with each layer's",
            Source::Planted => "the mean similarity of the searchlights inside each planted region with each layer",
        };
        let shown = match self.participants {
            1 => "of one participant".to_owned(),
            count => {
                format!("the mean over {} with its 95 % interval (Student's t)", counted(count, "participant"))
            }
        };
        let rule = match self.regions.len() - drawn {
            0 => String::new(),
            left => format!(
                " Drawn are the {} of {} regions with the largest similarity of any layer; {left} more stand in profiles.tsv.",
                number(drawn as f64, 0),
                self.regions.len()
            ),
        };
        format!("Shown is {of} ({method}), {shown}. A region that follows one layer has a peak there.{rule}")
    }
}

impl ProfilesPage {
    /// The drawing under the name that its file has.
    pub fn figures(&self) -> [(String, &String); 1] {
        [("profiles".to_owned(), &self.figure)]
    }
}
