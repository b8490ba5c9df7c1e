//! A participant's responses: all runs, one after the other.

use std::path::Path;

use crate::analyze::error::Error;
use crate::analyze::first_level::contrast::Contrast;
use crate::analyze::first_level::quality::{RunQuality, Slabs};
use crate::analyze::first_level::smoothing::Smoothing;
use crate::analyze::first_level::tissue::read_tissues;
use crate::analyze::first_level::{maps, quality_files};
use crate::analyze::plan::Plan;
use crate::analyze::sources::Participant;
use crate::brain::Mask;
use crate::brain::nifti_file::SeriesReader;
use crate::study::Progress;

/// The responses to each image in each run, at the voxels that can be used in all of them.
#[derive(Clone, Debug)]
pub struct Responses {
    /// The voxels of the participant's mask whose time course is finite and varies in every run (and has a mean above 0 where
    /// responses are in percent).
    pub mask: Mask,
    /// For each run the responses of each voxel: `[voxel * images + image]`.
    pub runs: Vec<Vec<f64>>,
    /// The contrasts of the plan over all runs, in the order of their names.
    pub contrasts: Vec<Contrast>,
    /// Each run in figures.
    pub quality: Vec<RunQuality>,
}

impl Responses {
    /// Estimates all runs. What each run's series and design are like is written into `folder`, with the responses to single
    /// trials where the plan has them.
    pub fn estimate(
        participant: &Participant,
        plan: &Plan,
        images: &[String],
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Responses, Error> {
        let mask = &participant.mask;
        let mut usable = vec![true; mask.len()];
        let (mut runs, mut quality) = (Vec::new(), Vec::new());
        let mut contrasts = vec![Vec::new(); plan.first_level.contrasts.len()];
        let tissues = participant.segmentation.as_ref().map(|path| read_tissues(path, mask)).transpose()?;
        let slabs = Slabs::of(mask, tissues.as_deref());
        let smoothing = plan.first_level.smoothing_fwhm_mm.map(|fwhm_mm| Smoothing::new(mask, fwhm_mm));
        let stage = progress.stage("first level", participant.runs.len() as u64);
        for run in &participant.runs {
            let series = SeriesReader::open(&run.bold, mask, &run.mask)?;
            let estimates = run.model.estimate(series, smoothing.as_ref(), &slabs)?;
            quality.push(quality_files::write(folder, run, plan, mask, images, &slabs, &estimates.quality)?);
            usable.iter_mut().zip(&estimates.usable).for_each(|(usable, here)| *usable &= here);
            if run.model.is_of_trials() {
                maps::write_trials(folder, run, plan, mask, images, &estimates)?;
            }
            runs.push((0..mask.len()).flat_map(|voxel| run.model.of_images(&estimates, voxel)).collect::<Vec<f64>>());
            contrasts.iter_mut().zip(estimates.contrasts).for_each(|(runs, contrast)| runs.push(contrast));
            stage.advance(1);
        }
        drop(stage);
        let kept: Vec<usize> = (0..mask.len()).filter(|&place| usable[place]).collect();
        if kept.is_empty() {
            return Err(Error::misfit(
                &participant.runs[0].mask,
                "no voxel in it has a finite and varying time course",
            ));
        }
        let count = images.len();
        let at_kept = |run: Vec<f64>| kept.iter().flat_map(|&place| run[place * count..][..count].to_vec()).collect();
        let voxels = kept.iter().map(|&place| mask.voxels()[place]).collect();
        Ok(Responses {
            mask: Mask::new(mask.grid().clone(), voxels),
            runs: runs.into_iter().map(at_kept).collect(),
            contrasts: contrasts.iter().map(|runs| Contrast::over_runs(runs).at(&kept)).collect(),
            quality,
        })
    }

    /// The mean over runs of the responses of each voxel: `[voxel * images + image]`.
    pub fn mean(&self) -> Vec<f64> {
        let count = self.runs.len() as f64;
        let mut sums = vec![0.0; self.runs[0].len()];
        for run in &self.runs {
            sums.iter_mut().zip(run).for_each(|(sum, value)| *sum += value);
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        sums
    }
}
