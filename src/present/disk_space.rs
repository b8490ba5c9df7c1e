//! How much room a run needs on a disk, and whether it is there.

use std::path::Path;

use crate::present::error::Error;
use crate::present::timeline::Timeline;
use crate::study::disk_space::{DiskSpace, at};
use crate::study::{self, ImageSet};

/// The line of a frame in the journal, of a pulse or of a trial's onset, is shorter.
const ROW_BYTES: u64 = 128;

/// A trial has two rows in the journal, a place in its first line, and one in the table and its copy that counts.
const TRIAL_BYTES: u64 = 1024;

/// The journal's first line without its trials, and the sidecar and its copy without the pulses.
const RUN_BYTES: u64 = 64 * 1024;

/// Room is asked for so many times over: a run may be repeated, and nothing else on the disk stands still.
const TIMES: u64 = 2;

/// The bytes that the journal and tables of a run take at the most, with several pulses each volume.
pub fn of_run(timeline: &Timeline) -> u64 {
    let rows = timeline.end_frame() + 64 * u64::from(timeline.volumes());
    RUN_BYTES + ROW_BYTES * rows + TRIAL_BYTES * timeline.trials().len() as u64
}

/// The bytes of a set's images, which are copied once.
pub fn of_images(images: &ImageSet) -> Result<u64, Error> {
    let size = |image| {
        let path = images.path(image);
        std::fs::metadata(&path).map(|file| file.len()).map_err(study::Error::file("read", path))
    };
    Ok(images.manifest().images.iter().map(size).sum::<Result<u64, _>>()?)
}

/// An error where nothing can be written into a folder that is there or will be made.
pub fn require_place(folder: &Path) -> Result<(), Error> {
    // A file is in the way of the folder, and of everything below it.
    let in_the_way = folder.ancestors().find(|path| path.is_file());
    if let Some(path) = in_the_way {
        return Err(Error::NoPlace { path: path.into(), what: "it is a file, and should be a folder" });
    }
    let space = at(folder)?;
    if space.is_writable {
        return Ok(());
    }
    Err(Error::NoPlace { path: space.folder, what: "this user may not; change its owner, or choose another folder" })
}

/// An error where a folder has not twice the room that is needed.
pub fn require(folder: &Path, needed: u64) -> Result<DiskSpace, Error> {
    let space = at(folder)?;
    let needed = TIMES * needed;
    if space.free < needed {
        return Err(Error::NoRoom { path: space.folder, free: space.free, needed });
    }
    Ok(space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::clock::Moment;
    use crate::present::journal::{self, Row, tests as journals};
    use crate::present::order;
    use crate::present::protocol::tests::sound;
    use crate::study::bids::RunName;
    use crate::study::{OnsetSource, Seed};

    #[test]
    fn a_run_takes_less_than_is_asked_for() {
        let protocol = sound();
        let names: Vec<String> = (1..=16).map(|image| format!("image_{image:02}")).collect();
        let run = RunName::parse("sub-01_task-t_run-01").unwrap();
        let order = order::draw(&names, &protocol, Seed(1), &run).unwrap();
        let timeline = Timeline::plan(&protocol, &order, 60.0).unwrap();
        let at_ns = Moment(u64::MAX);
        let mut rows: Vec<Row> = (0..timeline.end_frame())
            .map(|frame| Row::Flip { at_ns, frame, source: OnsetSource::Estimated, sequence: Some(u64::MAX) })
            .collect();
        for trial in 0..timeline.trials().len() {
            let frame = timeline.end_frame();
            rows.push(Row::Onset { at_ns, frame, trial, source: OnsetSource::Estimated });
            rows.push(Row::Offset { at_ns, frame, trial });
        }
        let beginning = journal::Beginning { trials: timeline.trials().to_vec(), ..journals::beginning() };
        let written = journals::text(&beginning, &rows).len() as u64;
        assert!(written < of_run(&timeline) && of_run(&timeline) < 5 * written + RUN_BYTES, "{written}");
    }

    #[test]
    fn a_file_where_a_folder_should_be_is_named_and_a_folder_that_is_not_there_yet_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        require_place(&folder.path().join("a/b")).unwrap();
        for place in [file.clone(), file.join("sub-01/func")] {
            let error = require_place(&place).unwrap_err().to_string();
            assert_eq!(error, format!("cannot write to {}: it is a file, and should be a folder", file.display()));
        }
    }

    #[test]
    fn a_folder_that_may_not_be_written_to_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        // SAFETY: it asks for a number.
        if unsafe { libc::geteuid() } == 0 {
            eprintln!("skipped: whoever is root may write everywhere");
            return;
        }
        let error = require_place(&folder.path().join("sub-01")).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()) && error.contains("this user may not"), "{error}");
    }

    #[test]
    fn too_little_room_is_said_with_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(require(folder.path(), 1).is_ok());
        let error = require(folder.path(), u64::MAX / 4).unwrap_err().to_string();
        assert!(error.contains("too little room") && error.contains("are needed"), "{error}");
    }
}
