//! The journal: what happened in a run, line by line, on disk while it happens.
//!
//! The player hands rows over and goes on; a thread of its own writes them, and tells of progress.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::present::clock::Moment;
use crate::present::display::{DisplayFacts, Unseen};
use crate::present::error::Error;
use crate::present::protocol::Protocol;
use crate::present::timeline::PlannedTrial;
use crate::study::{self, OnsetSource, Progress, Provenance, Seed, file};

/// How many rows may wait for a disk that does not answer: a quarter of an hour of frames.
const CAPACITY: usize = 1 << 16;

/// How often the disk is asked to keep what was written.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A line of the journal. Frames count from the first stored volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Row {
    /// The run is ready, and all that is decided beforehand.
    Begin(Box<Beginning>),
    /// A pulse of the scanner.
    Pulse {
        /// When it arrived.
        at_ns: Moment,
    },
    /// A byte that is not the trigger's.
    OtherByte {
        /// When it arrived.
        at_ns: Moment,
        /// Which.
        byte: u8,
    },
    /// The trigger's port is gone.
    TriggerLost {
        /// When that was noticed.
        at_ns: Moment,
    },
    /// The pulse of the first stored volume came: onset 0.
    Start {
        /// When it arrived.
        at_ns: Moment,
    },
    /// The screen took over a frame.
    Flip {
        /// When.
        at_ns: Moment,
        /// Which.
        frame: u64,
        /// How the time is known.
        source: OnsetSource,
        /// The number of the screen's refresh, where its server or driver counts them.
        sequence: Option<u64>,
    },
    /// A frame was given to the screen and not seen, or nobody can tell when.
    Unseen {
        /// When that became known.
        at_ns: Moment,
        /// The frame that it was meant for.
        frame: u64,
        /// Why.
        why: Unseen,
    },
    /// A trial began.
    Onset {
        /// When the screen took over its first frame.
        at_ns: Moment,
        /// That frame.
        frame: u64,
        /// The trial, from 0.
        trial: usize,
        /// How the time is known.
        source: OnsetSource,
    },
    /// A trial's image was taken from the screen, or the null trial was over.
    Offset {
        /// When.
        at_ns: Moment,
        /// The first frame without it.
        frame: u64,
        /// The trial, from 0.
        trial: usize,
    },
    /// A frame came later than the one after the frame before.
    Late {
        /// When.
        at_ns: Moment,
        /// The frame that came.
        frame: u64,
        /// How many refreshes passed without a new frame, by the time since the flip before.
        missed: u64,
        /// The same by the numbers of the refreshes, where there are any.
        missed_by_sequence: Option<u64>,
    },
    /// The run ended.
    End {
        /// When.
        at_ns: Moment,
        /// How.
        ending: Ending,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// At its planned end.
    Complete,
    /// The user aborted it.
    Aborted,
    /// It could not go on.
    Failed,
}

/// What was decided before the first pulse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beginning {
    /// The program.
    pub provenance: Provenance,
    /// Wall-clock time, in seconds since 1970.
    pub unix_s: u64,
    /// The run, as its files are called.
    pub run: String,
    /// Whether the scanner is emulated.
    pub emulated: bool,
    /// The serial port or key that the trigger listens to.
    pub trigger: String,
    /// The name of the image set below `stimuli/`.
    pub image_set: String,
    /// Identifies the image set.
    pub image_set_sha256: String,
    /// The images of the set.
    pub images: Vec<ShownImage>,
    /// Width and height of the images as drawn, in pixels.
    pub image_px: [u32; 2],
    /// Width and height of the images as seen, in degrees of visual angle.
    pub image_deg: [f64; 2],
    /// The colour around the images.
    pub background_rgb: [u8; 3],
    /// The seed of the order.
    pub seed: Seed,
    /// The display.
    pub display: DisplayFacts,
    /// The number of stored volumes during the run.
    pub volumes: u32,
    /// The trials in their order.
    pub trials: Vec<PlannedTrial>,
    /// The first frame after the run.
    pub end_frame: u64,
    /// The protocol as used.
    pub protocol: Protocol,
}

/// An image that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownImage {
    /// Its name.
    pub name: String,
    /// Its file below `stimuli/`.
    pub stim_file: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// A journal's file that was created and is not written to yet.
pub struct JournalFile {
    path: PathBuf,
    file: File,
}

/// The player's end of the journal.
#[derive(Clone)]
pub struct Journal(SyncSender<Row>);

/// The writer's end of the journal.
pub struct Rows(Receiver<Row>);

/// Both ends of a journal.
pub fn journal() -> (Journal, Rows) {
    let (sender, receiver) = sync_channel(CAPACITY);
    (Journal(sender), Rows(receiver))
}

impl Journal {
    /// Hands a row over; never waits.
    pub fn put(&self, row: Row) -> Result<(), Error> {
        self.0.try_send(row).map_err(|_| Error::JournalStopped)
    }
}

impl Rows {
    /// What was handed over and not written.
    #[cfg(test)]
    pub fn drain(self) -> Vec<Row> {
        self.0.try_iter().collect()
    }
}

impl JournalFile {
    /// Creates the file; one that exists is never written to.
    pub fn create(path: &Path) -> Result<JournalFile, Error> {
        let create = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            File::options().write(true).create_new(true).open(path)
        };
        match create() {
            Ok(file) => Ok(JournalFile { path: path.into(), file }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::RunExists(path.into())),
            Err(source) => Err(study::Error::File { action: "create", path: path.into(), source }.into()),
        }
    }

    /// Writes rows until the player's end is gone. Each row is handed to the system at once, and kept by the disk about
    /// once a second and wherever a run begins, starts or ends.
    pub fn keep(mut self, rows: &Rows, progress: &dyn Progress) -> Result<(), Error> {
        let trials = |row: &Row| match row {
            Row::Begin(beginning) => Some(beginning.trials.len()),
            _ => None,
        };
        let (mut total, mut pulses, mut late) = (0, 0_u32, 0_u64);
        let mut stage = None;
        let mut synced = Instant::now();
        let mut unsynced = false;
        loop {
            let row = match rows.0.recv_timeout(SYNC_EVERY) {
                Ok(row) => row,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.sync(&mut unsynced)?;
                    continue;
                }
            };
            self.append(&row)?;
            unsynced = true;
            let is_milestone = matches!(row, Row::Begin(_) | Row::Start { .. } | Row::End { .. });
            if is_milestone || synced.elapsed() >= SYNC_EVERY {
                self.sync(&mut unsynced)?;
                synced = Instant::now();
            }
            total = trials(&row).unwrap_or(total);
            match row {
                Row::Start { .. } => stage = Some(progress.stage("present", total as u64)),
                Row::Pulse { .. } => pulses += 1,
                Row::Late { missed, .. } => late += missed,
                Row::TriggerLost { .. } => progress.say("the trigger's port was lost; the run goes on without pulses"),
                _ => (),
            }
            if let (Some(stage), Row::Onset { .. }) = (&stage, &row) {
                stage.advance(1);
                stage.figures(&format!("{pulses} pulses, {late} late frames"));
            }
        }
        self.sync(&mut unsynced)
    }

    fn append(&mut self, row: &Row) -> Result<(), Error> {
        let mut line = serde_json::to_vec(row)
            .map_err(|source| study::Error::Json { path: self.path.clone(), source })
            .map_err(Error::File)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|source| Error::Journal { path: self.path.clone(), source })
    }

    fn sync(&mut self, unsynced: &mut bool) -> Result<(), Error> {
        if std::mem::take(unsynced) {
            self.file.sync_data().map_err(|source| Error::Journal { path: self.path.clone(), source })?;
        }
        Ok(())
    }
}

/// Reads a journal. A last line that was cut off, as by a power failure, is passed over.
pub fn read(path: &Path) -> Result<Vec<Row>, study::Error> {
    let bytes = file::read(path)?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| study::Error::Line {
                path: path.into(),
                line: number as u64 + 1,
                what: error.to_string(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Silent;

    #[test]
    fn what_is_put_is_read_and_a_cut_last_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/run_journal.jsonl");
        let written = [
            Row::Pulse { at_ns: Moment(u64::MAX / 2) },
            Row::Start { at_ns: Moment(7) },
            Row::Onset { at_ns: Moment(8), frame: 120, trial: 0, source: OnsetSource::Estimated },
            Row::End { at_ns: Moment(9), ending: Ending::Aborted },
        ];
        let (journal, rows) = journal();
        written.iter().for_each(|row| journal.put(row.clone()).unwrap());
        drop(journal);
        JournalFile::create(&path).unwrap().keep(&rows, &Silent).unwrap();
        assert_eq!(read(&path).unwrap(), written);

        let mut text = std::fs::read(&path).unwrap();
        text.truncate(text.len() - 5);
        std::fs::write(&path, text).unwrap();
        assert_eq!(read(&path).unwrap(), written[..3]);
    }

    #[test]
    fn a_journal_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.jsonl");
        std::fs::write(&path, "kept").unwrap();
        assert!(matches!(JournalFile::create(&path), Err(Error::RunExists(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }

    #[test]
    fn a_full_disk_stops_the_run_and_not_silently() {
        let (journal, rows) = journal();
        journal.put(Row::Start { at_ns: Moment(1) }).unwrap();
        let Ok(file) = File::options().write(true).open("/dev/full") else {
            eprintln!("skipped: this system has no /dev/full");
            return;
        };
        let failed = JournalFile { path: "/dev/full".into(), file }.keep(&rows, &Silent);
        assert!(matches!(failed, Err(Error::Journal { .. })));
        drop(rows);
        assert!(matches!(journal.put(Row::Start { at_ns: Moment(1) }), Err(Error::JournalStopped)));
    }
}
