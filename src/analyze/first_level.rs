//! The response of every voxel to every image: ordinary least squares.

use rayon::prelude::*;

use crate::brain::Series;

/// Voxels that are estimated together: few enough for their sums to stay in the fastest cache.
const CHUNK: usize = 128;

/// Betas of each voxel: the products of an estimator (a row for each image, a value for each volume) with the series, in
/// double precision, in the units of the series. `betas[voxel * images + image]`.
///
/// # Panics
/// If the estimator is not of the series' volumes.
pub fn betas(estimator: &[Vec<f64>], series: &Series, voxels: usize) -> Vec<f64> {
    assert!(estimator.iter().all(|row| row.len() == series.volumes), "an estimator of the series' volumes");
    let images = estimator.len();
    let mut betas = vec![0.0; voxels * images];
    betas.par_chunks_mut(CHUNK * images).enumerate().for_each(|(chunk, betas)| {
        let first = chunk * CHUNK;
        let here = betas.len() / images;
        let mut sums = vec![[0.0; CHUNK]; images];
        let mut values = [0.0; CHUNK];
        for t in 0..series.volumes {
            for (to, &from) in values.iter_mut().zip(&series.volume(t)[first..first + here]) {
                *to = f64::from(from);
            }
            for (sums, row) in sums.iter_mut().zip(estimator) {
                let weight = row[t];
                for (sum, value) in sums.iter_mut().zip(&values) {
                    *sum += weight * value;
                }
            }
        }
        for (voxel, betas) in betas.chunks_exact_mut(images).enumerate() {
            for (beta, sums) in betas.iter_mut().zip(&sums) {
                *beta = sums[voxel];
            }
        }
    });
    betas
}

/// What a design does not explain of each voxel's time course: `residuals[voxel * volumes + t]`, in double precision. `basis`
/// is [`crate::glm::Design::basis`].
pub fn residuals(basis: &[Vec<f64>], series: &Series, voxels: usize) -> Vec<f64> {
    let mut residuals = vec![0.0; voxels * series.volumes];
    residuals.par_chunks_mut(series.volumes).enumerate().for_each(|(voxel, course)| {
        for (t, value) in course.iter_mut().enumerate() {
            *value = f64::from(series.volume(t)[voxel]);
        }
        for vector in basis {
            let explained: f64 = vector.iter().zip(course.iter()).map(|(a, b)| a * b).sum();
            course.iter_mut().zip(vector).for_each(|(value, vector)| *value -= explained * vector);
        }
    });
    residuals
}

/// For each voxel whether its time course can be used: finite throughout and not constant.
pub fn usable(series: &Series) -> Vec<bool> {
    let mut usable = vec![false; series.volume(0).len()];
    let first = series.volume(0);
    for t in 0..series.volumes {
        for ((usable, value), first) in usable.iter_mut().zip(series.volume(t)).zip(first) {
            *usable |= value != first;
        }
    }
    for t in 0..series.volumes {
        for (usable, value) in usable.iter_mut().zip(series.volume(t)) {
            *usable &= value.is_finite();
        }
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::reference;
    use crate::glm::{Design, hrf};
    use crate::study::Events;

    /// The reference run's design at these times; images, confounds and drifts as in the reference.
    fn of_reference(folder: &std::path::Path, start_s: f64) -> Design {
        let times_s: Vec<f64> = (0..160).map(|t| start_s + 2.0 * f64::from(t)).collect();
        let events = Events::read(&folder.join("sub-01_task-view_run-1_events.tsv")).unwrap();
        let images: Vec<String> = (0..16).map(|image| format!("img{image:02}")).collect();
        let table =
            crate::study::table::Table::read(&folder.join("sub-01_task-view_run-1_desc-confounds_timeseries.tsv"))
                .unwrap();
        let confound = |(column, name): (usize, &String)| {
            (name.clone(), (0..table.len()).map(|row| table.required_number(row, column).unwrap()).collect())
        };
        let confounds = table.header().iter().enumerate().map(confound).collect();
        Design::new(&images, &events.0, confounds, 1.0 / 128.0, &times_s)
    }

    #[test]
    fn the_response_is_nilearn_s() {
        let Some(folder) = reference::folder("b_glm") else { return };
        let text = std::fs::read_to_string(folder.join("exp_spm_hrf_tr2_os50.csv")).unwrap();
        let expected: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
        let found = hrf::spm(2.0);
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    #[test]
    fn the_design_is_nilearn_s() {
        let Some(folder) = reference::folder("b_glm") else { return };
        for (start_s, name) in [(0.0, "spm_cosine"), (1.0, "spm_cosine_slicetimeref0.5")] {
            let design = of_reference(&folder, start_s);
            let (names, columns) = reference::columns(&folder.join(format!("exp_design_{name}.csv")));
            assert_eq!(design.names(), names);
            for ((found, expected), column) in design.columns().iter().zip(&columns).zip(&names) {
                let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(largest < 1e-12, "{name}, {column}: {largest:e}");
            }
        }
    }

    #[test]
    fn betas_are_those_of_nilearn() {
        let Some(folder) = reference::folder("b_glm") else { return };
        let (_, mask) = reference::image(&folder.join("mask.nii.gz"));
        let inside: Vec<usize> = (0..mask[0].len()).filter(|&voxel| mask[0][voxel] != 0.0).collect();
        let (_, volumes) = reference::image(&folder.join("sub-01_task-view_run-1_bold.nii.gz"));
        let data = volumes.iter().flat_map(|volume| inside.iter().map(|&voxel| volume[voxel] as f32)).collect();
        let series = Series { tr_s: Some(2.0), volumes: volumes.len(), data };

        let (names, columns) = reference::columns(&folder.join("exp_design_spm_cosine.csv"));
        let events = Events::read(&folder.join("sub-01_task-view_run-1_events.tsv")).unwrap();
        let confounds = (16..22).map(|column| (names[column].clone(), columns[column].clone())).collect();
        let times_s: Vec<f64> = (0..160).map(|t| 2.0 * f64::from(t)).collect();
        let design = Design::new(&names[..16], &events.0, confounds, 1.0 / 128.0, &times_s);
        let found = betas(&design.estimator().unwrap(), &series, inside.len());

        let (_, expected) = reference::image(&folder.join("exp_ols_betas.nii.gz"));
        assert_eq!(found.len(), 48 * 16);
        for (place, &voxel) in inside.iter().enumerate() {
            let largest = (0..16).map(|image| expected[image][voxel].abs()).fold(0.0, f64::max);
            for image in 0..16 {
                let difference = (found[place * 16 + image] - expected[image][voxel]).abs();
                assert!(difference < 1e-9 * largest, "voxel {voxel}, image {image}: {difference:e}");
            }
        }
    }

    #[test]
    fn residuals_are_at_right_angles_to_the_design() {
        let images = ["a", "b"].map(String::from);
        let event = |k: usize| crate::study::Event {
            onset_s: 4.0 + 9.0 * k as f64,
            duration_s: 1.0,
            trial_type: images[k * k % 2].clone(),
            stim_file: None,
            response_time_s: None,
            response_button: None,
            image_sha256: None,
            planned_onset_s: None,
            frames: None,
            onset_source: None,
        };
        let events: Vec<crate::study::Event> = (0..6).map(event).collect();
        let times_s: Vec<f64> = (0..30).map(|t| 2.0 * f64::from(t)).collect();
        let design = Design::new(&images, &events, vec![], 0.02, &times_s);
        let data = (0..60).map(|at| 500.0 + ((at * at * 7) % 31) as f32).collect();
        let series = Series { tr_s: None, volumes: 30, data };
        let (basis, betas) = (design.basis(), betas(&design.estimator().unwrap(), &series, 2));
        let found = residuals(&basis, &series, 2);
        for course in found.chunks(30) {
            let product = |vector: &Vec<f64>| vector.iter().zip(course).map(|(a, b)| a * b).sum::<f64>();
            assert!(basis.iter().all(|vector| product(vector).abs() < 1e-9));
            assert!(course.iter().any(|value| value.abs() > 1.0));
        }
        assert!(betas.iter().all(|beta| beta.is_finite()));
    }

    #[test]
    fn betas_of_more_voxels_than_a_chunk_stay_in_their_places() {
        let voxels = CHUNK + 7;
        let data = (0..2 * voxels).map(|at| if at < voxels { at as f32 } else { 1.0 }).collect();
        let series = Series { tr_s: None, volumes: 2, data };
        let found = betas(&[vec![1.0, 0.0], vec![2.0, 3.0]], &series, voxels);
        assert!((0..voxels).all(|v| found[2 * v] == v as f64 && found[2 * v + 1] == 2.0 * v as f64 + 3.0));
    }

    #[test]
    fn constant_and_not_finite_voxels_cannot_be_used() {
        let data = vec![1.0, 1.0, 1.0, f32::NAN, 1.0, 2.0, f32::INFINITY, f32::NAN, 1.0, 1.0, 1.0, f32::NAN];
        let series = Series { tr_s: None, volumes: 3, data };
        assert_eq!(usable(&series), [false, true, false, false]);
    }
}
