//! Sign flips that are done in parts, each by a process of its own, and put together to the numbers that one process comes
//! to: every flip has a stream of chance of its own, counts add up, and the largest of each flip stand in a row.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::analyze::error::Error;
use crate::analyze::group::connectivity::Neighbours;
use crate::analyze::group::flips::Flips;
use crate::analyze::group::question::{GroupRequest, Question};
use crate::analyze::group::sign_flip::{FlipPart, Largest, Tail};
use crate::study::{self, Progress, Provenance, file};

/// Added to the name of the group's folder.
const SUFFIX: &str = ".parts";

/// One of several parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartOf {
    /// Which one, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

/// The parts of a group's flips that were written down.
pub struct Parts {
    folder: PathBuf,
    of: usize,
    made_of: String,
}

/// What stands in the table of a part.
#[derive(Serialize, Deserialize)]
struct Written {
    /// A hash of what was asked, of whom, and by which version.
    made_of: String,
    /// For each map the largest statistics of each flip.
    largest: Vec<Vec<Largest>>,
    /// The SHA-256 of the counts.
    counts_sha256: String,
}

impl PartOf {
    /// The flips of this part.
    fn flips(self, all: usize) -> Range<usize> {
        let at = |number: usize| (all as u128 * number as u128 / self.of as u128) as usize;
        at(self.number - 1)..at(self.number)
    }
}

impl FromStr for PartOf {
    type Err = String;

    fn from_str(text: &str) -> Result<PartOf, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(PartOf { number, of }),
            _ => Err(format!("expected a part as 2/10, found {text:?}")),
        }
    }
}

impl fmt::Display for PartOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Does a part of the flips of all layers and contrasts and writes down what it comes to.
pub(super) fn write(
    question: Question,
    request: &GroupRequest,
    part: PartOf,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let folder = folder(&question, request);
    let made_of = made_of(&question);
    let neighbours = Neighbours::new(&question.maps.mask, question.group.connectivity);
    let [of_layer, of_contrast] = [question.group.tail, Tail::Both].map(|tail| question.test(&neighbours, tail));
    let Question { maps, covariates, contrasts, flips, .. } = question;
    let samples = maps.samples(&covariates);
    let range = part.flips(flips.len());
    let stage = progress.stage("sign flips", (range.len() * (samples.len() + contrasts.len())) as u64);
    let layers = samples.iter().map(|sample| of_layer.part(sample, &flips, range.clone(), &*stage));
    let contrasts = contrasts.iter().map(|&[a, b]| {
        let sample = samples[a].less(&samples[b]);
        of_contrast.part(&sample, &flips, range.clone(), &*stage)
    });
    let parts: Vec<FlipPart> = layers.chain(contrasts).collect();
    drop(stage);
    let counts: Vec<u8> = parts.iter().flat_map(|part| &part.counts).flat_map(|count| count.to_le_bytes()).collect();
    let (largest, counts_sha256) = (parts.into_iter().map(|part| part.largest).collect(), file::sha256(&counts));
    let [table, counts_file] = files(&folder, part);
    file::write(&counts_file, &counts)?;
    file::write_json(&table, &Written { made_of, largest, counts_sha256 })?;
    Ok(table)
}

impl Parts {
    /// The parts of this question, of which there must be so many.
    pub(super) fn read(question: &Question, request: &GroupRequest, of: usize) -> Result<Parts, Error> {
        let parts = Parts { folder: folder(question, request), of, made_of: made_of(question) };
        let missing = |part: &PartOf| !files(&parts.folder, *part)[0].exists();
        if let Some(part) = parts.all().find(missing) {
            let what = format!("part {part} of the sign flips is not there: is it still being done?");
            return Err(Error::NotFound { path: parts.folder, what });
        }
        Ok(parts)
    }

    /// What all flips of a map have come to.
    pub(super) fn of_map(&self, map: usize, voxels: usize, flips: &Flips) -> Result<Vec<FlipPart>, Error> {
        self.all().map(|part| self.of_map_in(map, voxels, part, part.flips(flips.len()).len())).collect()
    }

    fn of_map_in(&self, map: usize, voxels: usize, part: PartOf, flips: usize) -> Result<FlipPart, Error> {
        let [table, counts_file] = files(&self.folder, part);
        let Written { made_of, mut largest, counts_sha256 } = file::read_json(&table)?;
        if made_of != self.made_of {
            let what = "was made of other maps, by another plan, or by another version: remove the folder and do the parts again";
            return Err(Error::misfit(&table, what));
        }
        let bytes = file::read(&counts_file)?;
        let is_whole = file::sha256(&bytes) == counts_sha256 && bytes.len() == largest.len() * voxels * 4;
        if !is_whole || largest.get(map).is_none_or(|largest| largest.len() != flips) {
            return Err(Error::misfit(&counts_file, "does not fit its table: do this part again"));
        }
        let counts =
            bytes[map * voxels * 4..][..voxels * 4].as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        Ok(FlipPart { largest: largest.swap_remove(map), counts: counts.collect() })
    }

    fn all(&self) -> impl Iterator<Item = PartOf> + use<> {
        let of = self.of;
        (1..=of).map(move |number| PartOf { number, of })
    }

    /// Takes the folder away: the group is there.
    pub(super) fn remove(self) -> Result<(), Error> {
        std::fs::remove_dir_all(&self.folder).map_err(study::Error::file("remove", &self.folder))?;
        Ok(())
    }
}

fn folder(question: &Question, request: &GroupRequest) -> PathBuf {
    request.output.join(question.group.folder() + SUFFIX)
}

fn files(folder: &Path, PartOf { number, of }: PartOf) -> [PathBuf; 2] {
    ["json", "counts"].map(|ending| folder.join(format!("part-{number:04}-of-{of:04}.{ending}")))
}

/// A hash of everything that the flips' results depend on.
fn made_of(question: &Question) -> String {
    let participants = &question.maps.participants;
    let members: Vec<&str> = participants.iter().map(|participant| participant.summary_sha256.as_str()).collect();
    let asked = serde_json::json!([question.plan, members, question.flips.len(), Provenance::here().version]);
    file::sha256(asked.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_are_all_flips() {
        for (all, of) in [(4096, 7), (10, 3), (5, 5), (3, 8), (1001, 1)] {
            let parts: Vec<_> = (1..=of).map(|number| PartOf { number, of }.flips(all)).collect();
            assert_eq!((parts[0].start, parts[of - 1].end), (0, all));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn a_part_is_a_number_of_several() {
        assert_eq!("2/10".parse(), Ok(PartOf { number: 2, of: 10 }));
        for wrong in ["0/3", "4/3", "2", "a/b", "1/0"] {
            assert!(wrong.parse::<PartOf>().is_err(), "{wrong}");
        }
    }
}
