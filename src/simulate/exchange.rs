//! The runs of a participant who saw those of another with other images in their places: the times, and how often each
//! image comes, stay.

use rand::seq::SliceRandom;
use serde_json::Value;

use crate::simulate::error::Error;
use crate::simulate::participant::{Participant, Run};
use crate::study::bids::{Label, RunName};
use crate::study::{Event, Events, ImageRecord, Output, Seed, Stream, file};

/// Writes the events of `subject`, who has no folder in the dataset yet. The runs are marked as those of an emulated
/// scanner, and say whose they were.
pub fn write(shown: &[Run], subject: &Label, model: &Participant) -> Result<(), Error> {
    let folder = model.bids.join(format!("sub-{subject}"));
    let output = Output::claim(&folder)?;
    let seed = model.seed.of(&format!("sub-{subject}"));
    for (index, run) in shown.iter().enumerate() {
        let name = RunName { subject: subject.clone(), ..run.name.clone() };
        let path = |ending| {
            let path = name.func(model.bids, ending);
            output.path(path.strip_prefix(&folder).expect("a run lies in its participant's folder"))
        };
        exchanged(&run.events, &model.images.manifest().images, seed, index as u32).write(&path("events.tsv"))?;
        let mut sidecar: Value = file::read_json(&run.path.with_extension("json"))?;
        sidecar["Layerprint"]["emulated"] = true.into();
        sidecar["Layerprint"]["images_exchanged_from"] = format!("sub-{}", model.subject).into();
        file::write_json(&path("events.json"), &sidecar)?;
    }
    output.finish()?;
    Ok(())
}

/// The same events with each image replaced by another one, or by itself: every order of the images is equally likely.
fn exchanged(events: &Events, images: &[ImageRecord], seed: Seed, run: u32) -> Events {
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.shuffle(&mut seed.stream(Stream::ExchangedImages, run));
    let replaced = |event: &Event| {
        let mut event = event.clone();
        let is_it = |image: &ImageRecord| {
            image.name() == event.trial_type || Some(&image.sha256) == event.image_sha256.as_ref()
        };
        if let Some(place) = images.iter().position(is_it) {
            let (old, new) = (&images[place], &images[order[place]]);
            if event.trial_type == old.name() {
                event.trial_type = new.name().into();
            }
            event.image_sha256 = event.image_sha256.map(|_| new.sha256.clone());
            event.stim_file = event.stim_file.map(|file| file.replace(&old.file, &new.file));
        }
        event
    };
    Events(events.0.iter().map(replaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_keeps_its_number_of_trials_and_its_file() {
        let image = |k: usize| ImageRecord { file: format!("image_{k:02}.png"), sha256: format!("hash {k}") };
        let images: Vec<ImageRecord> = (0..6).map(image).collect();
        let trial = |k: usize| Event {
            onset_s: k as f64,
            trial_type: if k == 17 { "one_back" } else { images[k % 6].name() }.into(),
            stim_file: Some(format!("set/{}", images[k % 6].file)),
            image_sha256: Some(images[k % 6].sha256.clone()),
            ..Event::default()
        };
        let events = Events((0..18).map(trial).collect());
        let other = exchanged(&events, &images, Seed(1), 0);
        assert_ne!(other, events);
        assert_ne!(other, exchanged(&events, &images, Seed(1), 1));
        for image in &images {
            let of_image = |event: &&Event| event.image_sha256.as_ref() == Some(&image.sha256);
            let shown: Vec<&Event> = other.0.iter().filter(of_image).collect();
            assert_eq!(shown.len(), 3);
            for event in shown {
                assert_eq!(event.stim_file, Some(format!("set/{}", image.file)));
                assert!(event.trial_type == image.name() || event.onset_s == 17.0, "{event:?}");
            }
        }
        assert_eq!(other.0[17].trial_type, "one_back");
    }
}
