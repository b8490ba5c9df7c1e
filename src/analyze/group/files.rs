//! Writes what is true of the group: maps with BIDS-derivative names, their sidecars, and tables.

use std::path::Path;

use serde_json::{Value, json};

use crate::analyze::error::Error;
use crate::analyze::group::bootstrap::Estimate;
use crate::analyze::group::fdr::benjamini_hochberg;
use crate::analyze::group::overlap::OverlapEstimate;
use crate::analyze::group::sign_flip::{Corrected, Tail, Tested};
use crate::analyze::group::summary::{GroupSummary, MapSummary, PSummary};
use crate::brain::{Mask, nifti_file};
use crate::rsa::pairs;
use crate::study::{Layer, file, table};

/// A tested map with everything that is written of it.
pub struct TestedMap {
    /// As in tables: `conv1`, `conv1 - 5b`.
    pub name: String,
    /// As in the names of files: `conv1`, `conv1vs5b`.
    pub label: String,
    pub tail: Tail,
    pub means: Vec<f64>,
    pub tested: Tested,
    /// p values over the map's voxels.
    pub own: Corrected,
    /// p values over the voxels of all layers, or of all contrasts.
    pub all: Corrected,
}

/// Of each voxel what its layers say.
pub struct SpecificityMaps {
    /// The index of the best layer, from 1; 0 where no layer's mean is above 0.
    pub best: Vec<i16>,
    pub margin: Vec<f64>,
    pub p: Vec<f64>,
    pub p_fwe: Vec<f64>,
    pub gradient: Vec<f64>,
    pub selectivity: Vec<f64>,
}

impl TestedMap {
    /// The kinds of p values that there are, with a value for each voxel: what the names of their files say, what it is.
    fn p_maps(&self) -> Vec<(&'static str, &'static str, Vec<f64>)> {
        let mut maps = vec![
            ("p", "p value at the voxel alone, by sign flips", self.tested.p.clone()),
            (
                "q",
                "false discovery rate (Benjamini and Hochberg) of the p values over voxels",
                benjamini_hochberg(&self.tested.p),
            ),
            ("pfwe", "p value by the largest t over voxels", self.own.t.clone()),
            ("pfweall", "p value by the largest t over voxels and maps", self.all.t.clone()),
        ];
        if let (Some(own), Some(all)) = (&self.own.tfce, &self.all.tfce) {
            maps.push(("tfcepfwe", "p value by the largest enhanced t over voxels", own.clone()));
            maps.push(("tfcepfweall", "p value by the largest enhanced t over voxels and maps", all.clone()));
        }
        let of_cluster = |p: &[f64]| -> Vec<f64> {
            let p_of = |&number: &u32| if number == 0 { 1.0 } else { p[number as usize - 1] };
            self.tested.cluster.iter().map(p_of).collect()
        };
        if self.tested.nulls.extent.is_some() {
            maps.push(("extentpfwe", "p value by the largest cluster", of_cluster(&self.own.extent)));
            maps.push(("extentpfweall", "p value by the largest cluster of all maps", of_cluster(&self.all.extent)));
            maps.push(("masspfwe", "p value by the heaviest cluster", of_cluster(&self.own.mass)));
            maps.push(("masspfweall", "p value by the heaviest cluster of all maps", of_cluster(&self.all.mass)));
        }
        maps
    }

    /// The figures of the map.
    pub fn summary(&self, mask: &Mask, alpha: f64) -> MapSummary {
        let t = &self.tested.t;
        let reach = |voxel: usize| self.tail.reach(t[voxel]);
        let peak = (1..t.len()).fold(0, |best, voxel| if reach(voxel) > reach(best) { voxel } else { best });
        let of_kind = |(kind, _, p): (&'static str, &'static str, Vec<f64>)| PSummary {
            kind,
            smallest: p.iter().copied().fold(1.0, f64::min),
            voxels: p.iter().filter(|&&p| p <= alpha).count(),
        };
        MapSummary {
            name: self.name.clone(),
            peak_t: t[peak],
            peak_mm: position(mask, peak),
            p: self.p_maps().into_iter().map(of_kind).collect(),
        }
    }
}

/// The name of the file with the figures of a group.
pub fn summary_name(stem: &str) -> String {
    format!("{stem}_desc-group_summary.json")
}

/// Writes all files of a group analysis into `folder`, their names beginning with `stem`.
#[expect(clippy::too_many_arguments, reason = "they are the parts of one result, and only `group` has them")]
pub fn write(
    folder: &Path,
    stem: &str,
    mask: &Mask,
    maps: &[TestedMap],
    specificity: &SpecificityMaps,
    overlap: Option<&OverlapEstimate>,
    layers: &[Layer],
    summary: &GroupSummary,
) -> Result<(), Error> {
    let path = |ending: &str| folder.join(format!("{stem}_{ending}"));
    let plan = summary.plan.group.as_ref();
    let test = json!({
        "Participants": summary.participants.len(),
        "DegreesOfFreedom": summary.degrees_of_freedom,
        "SignFlips": summary.flips,
        "AllSignFlips": summary.all_flips,
        "Reading": plan.map(|plan| plan.reading),
        "FisherZ": plan.map(|plan| plan.fisher_z),
        "Covariates": plan.map(|plan| &plan.covariates),
    });
    let statmap = |name: &str, values: &[f64], description: &str, more: Value| -> Result<(), Error> {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        nifti_file::write_volume(&path(&format!("{name}_statmap.nii.gz")), &mask.fill(&values, f32::NAN))?;
        let mut content = json!({ "Description": description, "Test": test });
        content.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        Ok(file::write_json(&path(&format!("{name}_statmap.json")), &content)?)
    };

    for map in maps {
        let about = json!({ "Map": map.name, "Tail": map.tail });
        let write = |stat: &str, values: &[f64], what: &str| {
            statmap(&format!("stat-{stat}_desc-{}", map.label), values, what, about.clone())
        };
        write("mean", &map.means, "Mean over participants; of Fisher's z where `FisherZ`")?;
        write("t", &map.tested.t, "One-sample t statistic over participants")?;
        if let Some(tfce) = &map.tested.tfce {
            let about = json!({
                "Map": map.name,
                "Tail": map.tail,
                "Connectivity": plan.map(|plan| plan.connectivity),
                "Exponents": plan.and_then(|plan| plan.tfce),
            });
            let what = "t statistic with threshold-free cluster enhancement, the exact integral";
            statmap(&format!("stat-tfce_desc-{}", map.label), tfce, what, about)?;
        }
        for (kind, what, values) in map.p_maps() {
            write(kind, &values, what)?;
        }
    }

    let mut labels = vec![0; mask.grid().len()];
    mask.voxels().iter().zip(&specificity.best).for_each(|(&voxel, &best)| labels[voxel] = best);
    nifti_file::write_labels(&path("desc-bestlayer_dseg.nii.gz"), mask.grid(), &labels)?;
    let rows = layers.iter().enumerate().map(|(place, layer)| [(place + 1).to_string(), layer.to_string()]);
    table::write(&path("desc-bestlayer_dseg.tsv"), &["index", "name"], rows)?;
    let description = "Index of the layer with the largest mean over participants; 0 where no mean is above 0";
    file::write_json(&path("desc-bestlayer_dseg.json"), &json!({ "Description": description, "Test": test }))?;
    for (name, values, what) in [
        (
            "stat-margin_desc-bestlayer",
            &specificity.margin,
            "How far the best layer's mean lies above the second largest",
        ),
        (
            "stat-p_desc-bestlayer",
            &specificity.p,
            "p value at the voxel: the best layer is better than every other one",
        ),
        ("stat-pfwe_desc-bestlayer", &specificity.p_fwe, "The same by the largest |t| over voxels and pairs of layers"),
        (
            "stat-gradient_desc-layers",
            &specificity.gradient,
            "Centre of gravity over layers, from 1 for the first; NaN where no mean is above 0",
        ),
        (
            "stat-selectivity_desc-layers",
            &specificity.selectivity,
            "Selectivity tau, 0 for layers alike to 1 for one layer alone; NaN where no mean is above 0",
        ),
    ] {
        statmap(name, values, what, json!({}))?;
    }
    let mut inside = vec![0; mask.grid().len()];
    mask.voxels().iter().for_each(|&voxel| inside[voxel] = 1);
    nifti_file::write_labels(&path("desc-group_mask.nii.gz"), mask.grid(), &inside)?;
    let description =
        "The voxels analyzed: every participant has a finite similarity with each layer, not all the same";
    file::write_json(&path("desc-group_mask.json"), &json!({ "Description": description, "Type": "Brain" }))?;

    tests_table(&path("desc-maps_tests.tsv"), summary)?;
    clusters_table(&path("desc-clusters_tests.tsv"), mask, maps)?;
    if let Some(overlap) = overlap {
        overlap_table(&path("desc-overlap_pairs.tsv"), layers, overlap)?;
        let square = |name: &str, diagonal: &dyn Fn(usize) -> f64, values: &[f64]| {
            matrix(&path(&format!("desc-{name}_overlap.tsv")), layers, diagonal, values)
        };
        let own = |layer: usize| if overlap.overlap.voxels[layer] > 0 { 1.0 } else { f64::NAN };
        square("dice", &own, &overlap.overlap.dice)?;
        square("jaccard", &own, &overlap.overlap.jaccard)?;
    }
    Ok(file::write_json(&folder.join(summary_name(stem)), summary)?)
}

/// A row for each map and kind of p value.
fn tests_table(path: &Path, summary: &GroupSummary) -> Result<(), Error> {
    let header = ["map", "peak_t", "peak_x", "peak_y", "peak_z", "kind", "smallest_p", "voxels"];
    let rows = summary.layers.iter().chain(&summary.contrasts).flat_map(|map| {
        map.p.iter().map(move |p| {
            let [x, y, z] = map.peak_mm.map(|mm| table::cell(mm, 2));
            let (t, smallest) = (table::cell(map.peak_t, 6), table::cell(p.smallest, 9));
            [map.name.clone(), t, x, y, z, p.kind.into(), smallest, p.voxels.to_string()]
        })
    });
    Ok(table::write(path, &header, rows)?)
}

/// A row for each cluster, the heaviest of each map first.
fn clusters_table(path: &Path, mask: &Mask, maps: &[TestedMap]) -> Result<(), Error> {
    if maps.iter().all(|map| map.tested.nulls.extent.is_none()) {
        return Ok(());
    }
    let header = [
        "map",
        "sign",
        "voxels",
        "mass",
        "peak_t",
        "peak_x",
        "peak_y",
        "peak_z",
        "extentpfwe",
        "extentpfweall",
        "masspfwe",
        "masspfweall",
    ];
    let rows = maps.iter().flat_map(|map| {
        let clusters = &map.tested.clusters;
        let mut order: Vec<usize> = (0..clusters.len()).collect();
        order.sort_by(|&a, &b| clusters[b].1.mass.total_cmp(&clusters[a].1.mass));
        order.into_iter().map(move |place| {
            let (sign, cluster) = &clusters[place];
            let [x, y, z] = position(mask, cluster.peak).map(|mm| table::cell(mm, 2));
            let p = |values: &[f64]| table::cell(values[place], 9);
            [
                map.name.clone(),
                if *sign > 0.0 { "+" } else { "-" }.into(),
                cluster.extent.to_string(),
                table::cell(cluster.mass, 6),
                table::cell(map.tested.t[cluster.peak], 6),
                x,
                y,
                z,
                p(&map.own.extent),
                p(&map.all.extent),
                p(&map.own.mass),
                p(&map.all.mass),
            ]
        })
    });
    Ok(table::write(path, &header, rows)?)
}

/// A row for each pair of layers.
fn overlap_table(path: &Path, layers: &[Layer], overlap: &OverlapEstimate) -> Result<(), Error> {
    let header = ["layer_a", "layer_b", "dice", "dice_low", "dice_high", "jaccard", "jaccard_low", "jaccard_high"];
    let rows = pairs(layers.len()).enumerate().map(|(pair, (a, b))| {
        let [dice, jaccard] = [overlap.dice[pair], overlap.jaccard[pair]].map(cells);
        [layers[a].to_string(), layers[b].to_string()].into_iter().chain(dice).chain(jaccard)
    });
    Ok(table::write(path, &header, rows)?)
}

/// A figure and the ends of its interval, as they stand in tables.
pub fn cells(estimate: Estimate) -> [String; 3] {
    [estimate.value, estimate.low, estimate.high].map(|value| table::cell(value, 9))
}

/// Layer by layer, from the values of their pairs.
fn matrix(path: &Path, layers: &[Layer], diagonal: &dyn Fn(usize) -> f64, of_pairs: &[f64]) -> Result<(), Error> {
    let mut square = vec![vec![String::new(); layers.len()]; layers.len()];
    for ((a, b), &value) in pairs(layers.len()).zip(of_pairs) {
        square[a][b] = table::cell(value, 9);
        square[b][a] = table::cell(value, 9);
    }
    let header: Vec<&str> = std::iter::once("layer").chain(layers.iter().map(Layer::name)).collect();
    let rows = square.into_iter().enumerate().map(|(place, mut row)| {
        row[place] = table::cell(diagonal(place), 9);
        std::iter::once(layers[place].to_string()).chain(row)
    });
    Ok(table::write(path, &header, rows)?)
}

fn position(mask: &Mask, place: usize) -> [f64; 3] {
    mask.grid().position_mm(mask.grid().voxel(mask.voxels()[place]))
}
