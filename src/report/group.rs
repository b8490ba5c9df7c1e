//! What a group analysis left: read from its folder, shown as maps, tables and overlap.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::brain::{self, Grid, nifti_file};
use crate::figures::{AxialView, Cells, Interval, LayerColors, Row, Scale, color_bar, heatmap, intervals, mosaic};
use crate::report::anatomy::Anatomy;
use crate::report::belonging::{name_of, same_set};
use crate::report::error::Error;
use crate::report::estimate::{Estimate, OF_NO_LAYER, shares};
use crate::report::layer_map::{LayerMap, indices};
use crate::report::text::{counted, figure, number};
use crate::study::table::{Table, cell};
use crate::study::{self, ImageSet, Layer, file};

const SUMMARY_ENDING: &str = "_desc-group_summary.json";
/// How many axial slices stand side by side.
const SLICES: usize = 8;

/// A group analysis: of the layers' RSMs as they are, or of a residual reading.
pub struct Group {
    /// The name of its folder: `group`, `group-allothers`.
    pub folder: String,
    /// The figures that `layerprint analyze` wrote.
    pub figures: GroupFigures,
    /// The settings of the group analysis as used.
    pub plan: Value,
    /// Below which p a voxel counts as found.
    alpha: f64,
    /// Where the voxels lie.
    pub grid: Grid,
    /// The voxels analyzed.
    pub mask: Vec<bool>,
    /// The t map of each layer that has one, with the layer's place in the set.
    pub t: Vec<LayerMap>,
    /// For each voxel the layer with the largest mean: its place in the set.
    pub best: Vec<Option<usize>>,
    /// For each voxel the p of its best layer being better than every other one, over voxels and pairs of layers.
    best_p: Vec<f32>,
    /// For each voxel the centre of gravity over layers, from 1.
    pub gradient: Vec<f32>,
    /// Dice's overlap, layer by layer; `None` where the plan did not ask for it. NaN where both maps are empty.
    dice: Option<Vec<Vec<f64>>>,
    /// The same of each pair of layers, with its interval over participants.
    pairs: Vec<([String; 2], Estimate)>,
}

/// The figures of a group analysis that a report shows.
#[derive(Clone, Debug, Deserialize)]
pub struct GroupFigures {
    participants: Vec<Value>,
    plan: Value,
    flips: u64,
    all_flips: bool,
    smallest_p: f64,
    voxels: u64,
    layers: Vec<MapFigures>,
    best: Vec<BestFigures>,
    overlap: Option<OverlapFigures>,
    image_set_sha256: Option<String>,
    /// Whether the scanner of any run was emulated.
    pub emulated: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct MapFigures {
    name: Layer,
    peak_t: f64,
    peak_mm: [f64; 3],
    p: Vec<PFigures>,
}

#[derive(Clone, Debug, Deserialize)]
struct PFigures {
    kind: String,
    smallest: f64,
    voxels: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct BestFigures {
    layer: Layer,
    voxels: u64,
    better_fwe: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct OverlapFigures {
    t: Option<f64>,
    mean_dice: Estimate,
}

/// A group analysis as the page shows it.
#[derive(Serialize)]
pub struct GroupPage {
    id: String,
    /// The name of its folder.
    pub name: String,
    emulated: bool,
    words: String,
    /// The legend: each layer and its colour.
    legend: Vec<[String; 2]>,
    lines: Vec<[String; 8]>,
    /// Best layer, surely best layer, gradient.
    pub layer_map: String,
    /// The colours of the gradient.
    pub gradient_bar: String,
    /// Overlap of the thresholded maps.
    pub overlap: Option<Overlap>,
}

/// The overlap of the layers' maps as the page shows it.
#[derive(Serialize)]
pub struct Overlap {
    /// Layer by layer.
    pub figure: String,
    /// Its colours.
    pub bar: String,
    /// Each pair of layers with its interval.
    pub pairs: String,
    words: String,
}

impl Group {
    /// All group analyses in an output folder of `layerprint analyze`, sorted by folder; none where there are none.
    pub fn read_all(maps: &Path, set: &ImageSet) -> Result<Vec<Group>, Error> {
        let mut summaries: Vec<PathBuf> = Vec::new();
        for folder in entries(maps)? {
            if name_of(&folder).starts_with("group") && folder.is_dir() {
                summaries.extend(entries(&folder)?.into_iter().filter(|path| name_of(path).ends_with(SUMMARY_ENDING)));
            }
        }
        summaries.sort();
        summaries.iter().map(|summary| Group::read(summary, set)).collect()
    }

    fn read(summary: &Path, set: &ImageSet) -> Result<Group, Error> {
        let figures: GroupFigures = file::read_json(summary)?;
        if let Some(found) = &figures.image_set_sha256 {
            same_set(summary, set, found)?;
        }
        let plan = figures.plan.get("group").cloned().unwrap_or_default();
        let alpha = plan.get("alpha").and_then(Value::as_f64);
        let alpha = alpha.ok_or_else(|| Error::content(summary, "its plan has no alpha of the group"))?;
        let layers = set.models().layers();
        if let Some(unknown) = figures.layers.iter().find(|map| !layers.contains(&map.name)) {
            let what = format!("layer {} is not one of the image set's", unknown.name);
            return Err(Error::content(summary, what));
        }
        let name = name_of(summary);
        let stem = name.strip_suffix(SUMMARY_ENDING).unwrap_or(&name).to_owned();
        let beside = |ending: &str| summary.with_file_name(format!("{stem}_{ending}"));
        let mask_path = beside("desc-group_mask.nii.gz");
        let mask = nifti_file::read_volume(&mask_path)?;
        let on_mask = |ending: &str| -> Result<Vec<f32>, Error> {
            let path = beside(ending);
            let volume = nifti_file::read_volume(&path)?;
            if volume.grid.matches(&mask.grid) {
                return Ok(volume.data);
            }
            let (grid, other_grid) = (volume.grid.to_string(), mask.grid.to_string());
            Err(Error::Brain(brain::Error::Grid { path, grid, other: mask_path.clone(), other_grid }))
        };
        let names = beside("desc-bestlayer_dseg.tsv");
        let best = indices(&on_mask("desc-bestlayer_dseg.nii.gz")?, &names, layers)?;
        let best_p = on_mask("stat-pfwe_desc-bestlayer_statmap.nii.gz")?;
        let gradient = on_mask("stat-gradient_desc-layers_statmap.nii.gz")?;
        let mut t = Vec::new();
        for (layer, name) in layers.iter().enumerate() {
            let ending = format!("stat-t_desc-{}_statmap.nii.gz", name.bids_label());
            if beside(&ending).is_file() {
                t.push(LayerMap { layer, values: on_mask(&ending)? });
            }
        }
        let dice = match &figures.overlap {
            Some(_) => Some(square(&Table::read(&beside("desc-dice_overlap.tsv"))?, layers.len())?),
            None => None,
        };
        let mut pairs = Vec::new();
        if figures.overlap.is_some() {
            let table = Table::read(&beside("desc-overlap_pairs.tsv"))?;
            let [a, b] = ["layer_a", "layer_b"].map(|name| table.column(name));
            let (a, b) = (a?, b?);
            for row in 0..table.len() {
                let names = [a, b].map(|column| table.text(row, column).to_owned());
                if let Some(unknown) = names.iter().find(|name| layers.iter().all(|layer| layer.name() != **name)) {
                    return Err(table.error(row, format!("layer {unknown:?} is not one of the image set's")).into());
                }
                pairs.push((names, Estimate::in_row(&table, row, "dice")?));
            }
        }
        let inside = mask.data.iter().map(|value| value.is_finite() && *value != 0.0).collect();
        let folder = summary.parent().map(name_of).unwrap_or_default();
        Ok(Group {
            folder,
            figures,
            plan,
            alpha,
            grid: mask.grid,
            mask: inside,
            t,
            best,
            best_p,
            gradient,
            dice,
            pairs,
        })
    }

    /// The number of participants.
    pub fn participants(&self) -> usize {
        self.figures.participants.len()
    }

    /// In how many layers' maps a voxel was found.
    pub fn layers_found(&self) -> usize {
        let found = |map: &&MapFigures| map.corrected().is_some_and(|p| p.voxels > 0);
        self.figures.layers.iter().filter(found).count()
    }

    /// The best layer of a voxel, where it is surely better than every other one.
    pub fn surely_best(&self, voxel: usize) -> Option<usize> {
        self.best[voxel].filter(|_| f64::from(self.best_p[voxel]) <= self.alpha)
    }

    /// As the page shows it, its maps over the anatomy.
    pub fn page(&self, layers: &[Layer], colors: &LayerColors, anatomy: Option<&Anatomy>) -> GroupPage {
        GroupPage {
            id: self.folder.clone(),
            name: self.folder.clone(),
            emulated: self.figures.emulated,
            words: self.words(),
            legend: (0..).zip(layers).map(|(k, layer)| [layer.to_string(), colors.get(k).hex()]).collect(),
            lines: layers.iter().enumerate().map(|(k, layer)| self.line(layer, colors.get(k).hex())).collect(),
            layer_map: self.layer_map(layers, colors, anatomy),
            gradient_bar: color_bar(
                gradient_scale(layers.len()),
                "centre of gravity over layers (1 is the first layer)",
            ),
            overlap: self.overlap(layers),
        }
    }

    /// The rows of the page's table as plain numbers: layer, peak t, x, y, z, smallest p, voxels, best in, surely best in.
    pub fn table_rows(&self) -> Vec<Vec<String>> {
        let row = |map: &MapFigures| {
            let (p, voxels) = map.corrected().map_or((None, None), |p| (Some(p.smallest), Some(p.voxels as f64)));
            let best = self.figures.best.iter().find(|best| best.layer == map.name);
            let numbers = [
                Some(map.peak_t),
                Some(map.peak_mm[0]),
                Some(map.peak_mm[1]),
                Some(map.peak_mm[2]),
                p,
                voxels,
                best.map(|best| best.voxels as f64),
                best.map(|best| best.better_fwe as f64),
            ];
            let head = [self.folder.clone(), map.name.to_string()];
            head.into_iter().chain(numbers.map(|value| cell(value, 6))).collect()
        };
        self.figures.layers.iter().map(row).collect()
    }

    /// The overlap of each pair of layers with its interval: the group, two layers, Dice's overlap, and the interval's ends.
    pub fn overlap_rows(&self) -> Vec<Vec<String>> {
        let row = |([a, b], dice): &([String; 2], Estimate)| {
            let ends = [dice.value, dice.low, dice.high].map(|value| cell(value, 6));
            [self.folder.clone(), a.clone(), b.clone()].into_iter().chain(ends).collect()
        };
        self.pairs.iter().map(row).collect()
    }

    fn words(&self) -> String {
        let GroupFigures { flips, all_flips, smallest_p, voxels, .. } = &self.figures;
        let flips = if *all_flips { format!("all {flips} sign flips") } else { format!("{flips} random sign flips") };
        format!(
            "{}, {voxels} voxels; {flips}, so that no p is smaller than {}. A voxel counts as found at p \u{2264} {}, corrected \
             for all voxels of a layer by the largest t.",
            counted(self.participants(), "participant"),
            number(*smallest_p, 6),
            number(self.alpha, 4)
        )
    }

    fn line(&self, layer: &Layer, color: String) -> [String; 8] {
        let map = self.figures.layers.iter().find(|map| map.name == *layer);
        let best = self.figures.best.iter().find(|best| best.layer == *layer);
        let p = map.and_then(MapFigures::corrected);
        let none = || "–".to_owned();
        [
            color,
            layer.to_string(),
            figure(map.map(|map| map.peak_t)),
            map.map_or_else(none, |map| map.peak_mm.map(|mm| number(mm, 0)).join(", ")),
            number(p.map(|p| p.smallest), 4),
            p.map_or_else(none, |p| p.voxels.to_string()),
            best.map_or_else(none, |best| best.voxels.to_string()),
            best.map_or_else(none, |best| best.better_fwe.to_string()),
        ]
    }

    fn layer_map(&self, layers: &[Layer], colors: &LayerColors, anatomy: Option<&Anatomy>) -> String {
        let scale = gradient_scale(layers.len());
        let best = |voxel: usize| self.best[voxel].map(|layer| colors.get(layer));
        let surely = |voxel: usize| self.surely_best(voxel).map(|layer| colors.get(layer));
        let gradient = |voxel: usize| {
            let place = f64::from(self.gradient[voxel]);
            place.is_finite().then(|| scale.color(place))
        };
        let rows = [
            Row { label: "best layer".into(), note: "largest mean".into(), paint: Box::new(best) },
            Row {
                label: "surely best".into(),
                note: format!("p \u{2264} {}", number(self.alpha, 4)),
                paint: Box::new(surely),
            },
            Row { label: "gradient".into(), note: "centre of gravity".into(), paint: Box::new(gradient) },
        ];
        mosaic(
            &format!("layer-map-{}", self.folder),
            &format!("Layer map of {}", self.folder),
            "For each voxel the layer with the largest mean over participants, where it is surely the best, and the centre of \
             gravity over layers.",
            &AxialView::new(self.grid.dims, self.grid.affine).over(anatomy.map(|anatomy| &anatomy.on_maps[..])),
            &self.mask,
            SLICES,
            &rows,
        )
    }

    fn overlap(&self, layers: &[Layer]) -> Option<Overlap> {
        let (dice, figures) = (self.dice.as_ref()?, self.figures.overlap.as_ref()?);
        let names: Vec<String> = layers.iter().map(Layer::to_string).collect();
        let Estimate { value, low, high } = figures.mean_dice;
        let share = self.plan.get("overlap").and_then(|overlap| overlap.get("interval")).and_then(Value::as_f64);
        let share = share.map_or(String::new(), |share| format!("{} % ", number(100.0 * share, 1)));
        let mean = format!("mean {}, {share}interval {} to {}", figure(value), figure(low), figure(high));
        let cells = Cells {
            title: format!("Overlap of the layers' maps of {}", self.folder),
            description: format!("Dice's overlap of the thresholded maps of each pair of layers: {mean}."),
            names: &names,
            value: &|i, j| dice[i][j],
            scale: Scale::of_shares(),
            cell_px: 29.0,
            lettered: true,
        };
        let maps = match figures.t {
            Some(t) => format!("A layer's map is the voxels with a t above {}", number(t, 2)),
            None => "The maps of all layers are of equal size".into(),
        };
        let rows: Vec<Interval> =
            self.pairs.iter().map(|([a, b], dice)| dice.row(format!("{a} and {b}"), OF_NO_LAYER)).collect();
        let pairs = intervals(
            &format!("Overlap of each pair of layers of {}", self.folder),
            "Dice's overlap of the maps of two layers, with its interval over resampled participants.",
            &rows,
            [0.0, 1.0],
            &shares(),
        );
        Some(Overlap {
            figure: heatmap(&cells),
            pairs,
            bar: color_bar(Scale::of_shares(), "Dice's overlap (0: apart, 1: the same voxels)"),
            words: format!("{maps}; Dice's overlap over pairs of layers: {mean} over resampled participants."),
        })
    }
}

impl MapFigures {
    /// Its p corrected for all voxels by the largest t.
    fn corrected(&self) -> Option<&PFigures> {
        self.p.iter().find(|p| p.kind == "pfwe")
    }
}

/// The colours of the centre of gravity over so many layers.
pub fn gradient_scale(layers: usize) -> Scale {
    Scale::rising_over([1.0, layers as f64])
}

/// A table of layers by layers, whose first column are names.
fn square(table: &Table, layers: usize) -> Result<Vec<Vec<f64>>, Error> {
    if table.len() != layers || table.header().len() != layers + 1 {
        let what = format!("expected {layers} x {layers} layers, found {} x {}", table.len(), table.header().len() - 1);
        return Err(Error::content(table.path(), what));
    }
    let row = |i: usize| (1..=layers).map(|j| Ok(table.number(i, j)?.unwrap_or(f64::NAN))).collect();
    (0..layers).map(row).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = std::fs::read_dir(folder).map_err(study::Error::file("read", folder))?;
    let paths = listed.map(|entry| Ok(entry.map_err(study::Error::file("read", folder))?.path()));
    paths.collect()
}
