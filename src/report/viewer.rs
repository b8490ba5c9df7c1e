//! The interactive viewer of the maps: NiiVue, and the maps cut to their masks and rounded, as the page carries them.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use serde_json::json;

use crate::brain::{Grid, nifti_file};
use crate::figures::{LayerColors, Scale};
use crate::report::anatomy::Anatomy;
use crate::report::group::{Group, gradient_scale};
use crate::report::layer_map::LayerMap;
use crate::report::participant::Participant;
use crate::report::sources::Findings;
use crate::report::text::similarity;
use crate::study::Layer;

/// The viewer's part of the page.
pub const TEMPLATE: &str = include_str!("viewer/viewer.html.j2");
const SCRIPT: &str = include_str!("viewer/viewer.js");
/// NiiVue (a script that defines `niivue`) compressed, and the licences of what is in it; empty where the build had none.
const NIIVUE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/niivue.js.gz"));
const LICENCES: &str = include_str!(concat!(env!("OUT_DIR"), "/licences.txt"));

/// How many million bytes the volumes of a page may take, as text: what a browser opens at once, and a mail or a repository takes.
const MOST_MB: usize = 30;
/// What stands in an embedded volume for "undefined": no map's value is so many steps below 0.
const UNDEFINED: i16 = i16::MIN;
/// The grey of a voxel of the mask where there is no anatomy.
const GREY: u8 = 70;
/// How many colours are taken of a scale from 0 to its end.
const COLORS: usize = 33;

/// The viewer as the page shows it.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Viewer {
    /// It is on the page.
    Shown {
        /// NiiVue as base64 of gzip.
        library: String,
        /// The licences of what is in it.
        licences: &'static str,
        /// The script that handles it.
        script: &'static str,
        /// The volumes and what they are, as JSON that may stand in a script element.
        volumes: String,
        /// Whose maps can be chosen: the name and, for each, its place among the maps and its name.
        choices: Vec<Choice>,
        /// Whose maps were left out,
        left_out: Vec<String>,
        /// because all would take more than this.
        most_mb: usize,
    },
    /// This program was built without NiiVue.
    NotBuilt,
    /// It was not asked for.
    LeftOut,
}

/// Maps of a participant or a group, to be chosen from.
#[derive(Serialize)]
pub struct Choice {
    of: String,
    maps: Vec<(usize, String)>,
}

/// The maps of a participant or a group.
struct Collection {
    of: String,
    anatomy: Embedded,
    /// What the anatomy is, in words.
    over: String,
    maps: Vec<Map>,
}

/// A volume as base64 of a compressed NIfTI file.
#[derive(Serialize)]
#[serde(transparent)]
struct Embedded(String);

/// A map and how it is shown.
#[derive(Serialize)]
struct Map {
    name: String,
    /// What its values are, in words.
    quantity: String,
    /// With how many decimals a value is written; one step is one in the last of them.
    decimals: usize,
    /// Where the colours begin and end.
    low: f64,
    high: f64,
    /// Colours from 0 to the end.
    rising: Vec<String>,
    /// Colours from 0 to the same distance below it, where values may be negative.
    falling: Option<Vec<String>>,
    /// Name and colour of each index from 1, where the values are indices.
    labels: Option<Vec<[String; 2]>>,
    volume: Embedded,
}

impl Viewer {
    /// The maps that fit onto a page, the groups' first.
    pub fn of(findings: &Findings) -> Viewer {
        if NIIVUE.is_empty() {
            return Viewer::NotBuilt;
        }
        let layers = findings.set.models().layers();
        let groups = findings.groups.iter().map(|group| of_group(group, findings.anatomy_of(group), layers));
        let participants = findings.participants.iter().map(|participant| of_participant(participant, layers));
        let shown = within(MOST_MB * 1_000_000, groups.chain(participants));
        let names = findings.groups.iter().map(|group| group.folder.clone());
        let names = names.chain(findings.participants.iter().map(Participant::label));
        let left_out = names.skip(shown.len()).collect();
        let (mut choices, mut maps, mut anatomies) = (Vec::new(), Vec::new(), Vec::new());
        for (place, collection) in shown.into_iter().enumerate() {
            let names = (maps.len()..).zip(collection.maps.iter().map(|map| map.name.clone()));
            choices.push(Choice { of: collection.of.clone(), maps: names.collect() });
            maps.extend(collection.maps.into_iter().map(|map| json!({ "anatomy": place, "map": map })));
            anatomies.push(json!({ "of": collection.of, "over": collection.over, "volume": collection.anatomy }));
        }
        let volumes = json!({ "undefined": UNDEFINED, "anatomies": anatomies, "maps": maps }).to_string();
        Viewer::Shown {
            library: BASE64_STANDARD.encode(NIIVUE),
            licences: LICENCES,
            script: SCRIPT,
            // Nothing in a text may end the element that it stands in.
            volumes: volumes.replace('<', "\\u003c"),
            choices,
            left_out,
            most_mb: MOST_MB,
        }
    }
}

/// The first collections that take no more than so many bytes together. None is made after the first that is too much.
fn within(most: usize, collections: impl Iterator<Item = Collection>) -> Vec<Collection> {
    let mut total = 0;
    let fits = |collection: &Collection| {
        total += collection.bytes();
        total <= most
    };
    collections.take_while(fits).collect()
}

impl Collection {
    fn bytes(&self) -> usize {
        self.anatomy.0.len() + self.maps.iter().map(|map| map.volume.0.len()).sum::<usize>()
    }
}

fn of_participant(participant: &Participant, layers: &[Layer]) -> Collection {
    let Participant { grid, mask, similarities, best, analysis, .. } = participant;
    let cut = Cut::around(grid, mask);
    let quantity = format!("similarity, {}", similarity(&analysis.second_order));
    let mut maps = layer_maps(&cut, similarities, &quantity, 3, layers);
    maps.push(label_map(&cut, "best layer", layers, |voxel| best[voxel]));
    Collection::of(participant.label(), participant.anatomy.as_ref(), &cut, maps)
}

fn of_group(group: &Group, anatomy: Option<&Anatomy>, layers: &[Layer]) -> Collection {
    let cut = Cut::around(&group.grid, &group.mask);
    let mut maps = layer_maps(&cut, &group.t, "t over participants", 2, layers);
    maps.push(label_map(&cut, "best layer", layers, |voxel| group.best[voxel]));
    maps.push(label_map(&cut, "surely best layer", layers, |voxel| group.surely_best(voxel)));
    let scale = gradient_scale(layers.len());
    let gradient = Map {
        name: "gradient".into(),
        quantity: "centre of gravity over layers, 1 is the first".into(),
        decimals: 2,
        low: scale.low(),
        high: scale.limit(),
        rising: colors(scale, 1.0),
        falling: None,
        labels: None,
        volume: cut.embed(2, |voxel| f64::from(group.gradient[voxel])),
    };
    maps.push(gradient);
    Collection::of(group.folder.clone(), anatomy, &cut, maps)
}

/// A map for each layer, all on one scale.
fn layer_maps(cut: &Cut, maps: &[LayerMap], quantity: &str, decimals: usize, layers: &[Layer]) -> Vec<Map> {
    let scale = Scale::holding(maps.iter().flat_map(|map| &map.values).map(|&value| f64::from(value)));
    let map = |map: &LayerMap| Map {
        name: layers[map.layer].to_string(),
        quantity: quantity.into(),
        decimals,
        low: 0.0,
        high: scale.limit(),
        rising: colors(scale, 1.0),
        falling: Some(colors(scale, -1.0)),
        labels: None,
        volume: cut.embed(decimals, |voxel| f64::from(map.values[voxel])),
    };
    maps.iter().map(map).collect()
}

fn label_map(cut: &Cut, name: &str, layers: &[Layer], layer: impl Fn(usize) -> Option<usize>) -> Map {
    let colors = LayerColors::new(layers.len());
    let label = |(place, layer): (usize, &Layer)| [layer.to_string(), colors.get(place).hex()];
    Map {
        name: name.into(),
        quantity: name.into(),
        decimals: 0,
        low: 0.0,
        high: layers.len() as f64,
        rising: Vec::new(),
        falling: None,
        labels: Some(layers.iter().enumerate().map(label).collect()),
        volume: cut.embed(0, |voxel| layer(voxel).map_or(f64::NAN, |layer| layer as f64 + 1.0)),
    }
}

/// The colours of a scale from 0 to its end, or (`sign` -1) to the same distance below 0.
fn colors(scale: Scale, sign: f64) -> Vec<String> {
    let value = |k| sign * scale.limit() * k as f64 / (COLORS - 1) as f64;
    (0..COLORS).map(|k| scale.color(value(k)).hex()).collect()
}

impl Collection {
    fn of(of: String, anatomy: Option<&Anatomy>, cut: &Cut, maps: Vec<Map>) -> Collection {
        let (anatomy, over) = match anatomy {
            Some(anatomy) => (grey(&anatomy.grid, &anatomy.on_grid), format!("over the {}", anatomy.words)),
            None => {
                let inside: Vec<u8> = cut.inside.iter().map(|&inside| if inside { GREY } else { 0 }).collect();
                let over = "over the mask: no T1w image and no functional reference in the space of the maps was found";
                (grey(&cut.grid, &inside), over.into())
            }
        };
        Collection { of, anatomy, over, maps }
    }
}

fn grey(grid: &Grid, values: &[u8]) -> Embedded {
    let steps: Vec<i16> = values.iter().map(|&value| value.into()).collect();
    Embedded(BASE64_STANDARD.encode(nifti_file::encode_steps(grid, &steps, 1.0)))
}

/// The part of a grid that holds the mask.
struct Cut {
    grid: Grid,
    /// The flat index in the whole grid of each of its voxels.
    voxels: Vec<usize>,
    /// Whether each of its voxels is in the mask.
    inside: Vec<bool>,
}

impl Cut {
    /// The smallest box around the mask; one voxel where the mask is empty.
    fn around(grid: &Grid, mask: &[bool]) -> Cut {
        let bounds = grid.bounds((0..grid.len()).filter(|&voxel| mask[voxel])).unwrap_or([0..1, 0..1, 0..1]);
        let (grid, voxels) = grid.part(&bounds);
        let inside = voxels.iter().map(|&voxel| mask[voxel]).collect();
        Cut { grid, voxels, inside }
    }

    /// Values rounded to so many decimals; what is not in the mask or not finite is undefined.
    fn embed(&self, decimals: usize, value: impl Fn(usize) -> f64) -> Embedded {
        let per_one = 10_f64.powi(decimals as i32);
        let most = f64::from(i16::MAX);
        let steps = self.voxels.iter().zip(&self.inside).map(|(&voxel, &inside)| {
            let value = value(voxel);
            if inside && value.is_finite() { (value * per_one).round().clamp(-most, most) as i16 } else { UNDEFINED }
        });
        let steps: Vec<i16> = steps.collect();
        Embedded(BASE64_STANDARD.encode(nifti_file::encode_steps(&self.grid, &steps, 1.0 / per_one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];

    fn decoded(embedded: &Embedded) -> (Grid, Vec<f32>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.nii.gz");
        std::fs::write(&path, BASE64_STANDARD.decode(&embedded.0).unwrap()).unwrap();
        let volume = nifti_file::read_volume(&path).unwrap();
        (volume.grid, volume.data)
    }

    #[test]
    fn an_embedded_map_is_cut_to_the_mask_and_rounded_where_it_was() {
        let grid = Grid { dims: [4, 2, 1], affine: UNIT };
        let values = [9.0, 0.1234, -0.5678, f64::NAN, 9.0, 40.0, 9.0, 9.0];
        let mask = [false, true, true, true, false, true, false, false];
        let (cut, data) = decoded(&Cut::around(&grid, &mask).embed(3, |voxel| values[voxel]));
        assert_eq!((cut.dims, cut.position_mm([0; 3])), ([3, 2, 1], [1.0, 0.0, 0.0]));
        let expected = [0.123, -0.568, -32.768, 32.767, -32.768, -32.768];
        assert!(data.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5), "{data:?}");
    }

    #[test]
    fn collections_are_shown_until_one_is_too_much_and_none_is_made_after_it() {
        let collection = |bytes: usize| Collection {
            of: bytes.to_string(),
            anatomy: Embedded("A".repeat(bytes)),
            over: String::new(),
            maps: Vec::new(),
        };
        let mut made = 0;
        let collections = [60, 40, 1, 20].into_iter().inspect(|_| made += 1).map(collection);
        let shown: Vec<String> = within(100, collections).into_iter().map(|collection| collection.of).collect();
        assert_eq!((shown.join(" "), made), ("60 40".into(), 3));
    }
}
