//! The journal: what happened in a run, line by line, on disk while it happens.
//!
//! The player hands rows over and goes on: a row is small, and its place was there before the run. Threads of their own
//! write them (see `writer.rs`).
//!
//! A line is a JSON object whose last member is the CRC-32 (as in zlib) of everything before that member, continued from
//! the line before: a line that was changed, lost or put elsewhere is noticed. The first line is the beginning of the run
//! and names the version of the format.

use std::cell::RefCell;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::present::clock::Moment;
use crate::present::display::{DisplayFacts, Unseen};
use crate::present::error::Error;
use crate::present::protocol::Protocol;
use crate::present::timeline::{PlannedTarget, PlannedTrial};
use crate::study::{self, OnsetSource, Provenance, Seed, file};

/// The version of the format, in the first line. Version 1 had no checksums.
const FORMAT: u32 = 2;

/// How many rows may wait for the thread that collects them: four minutes of frames. It waits for no disk.
const CAPACITY: usize = 1 << 14;

/// A line of the journal after the first. Frames count from the first stored volume.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Row {
    /// A pulse of the scanner.
    Pulse {
        /// When it arrived.
        at_ns: Moment,
    },
    /// The run waits for the first pulse.
    Armed {
        /// Since when.
        at_ns: Moment,
    },
    /// A pulse before the run was armed: a scan was under way already.
    EarlyPulse {
        /// When it arrived.
        at_ns: Moment,
    },
    /// The operator wants the run armed anew: what came before is no part of it.
    Disarmed {
        /// When.
        at_ns: Moment,
    },
    /// The operator asked for the end, and has to confirm it.
    AbortAsked {
        /// When.
        at_ns: Moment,
    },
    /// A press of a button, bounces included.
    Press {
        /// When it arrived.
        at_ns: Moment,
        /// Which button, by its place in the order of their names.
        button: u8,
    },
    /// A byte that is neither a pulse nor a button.
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
    /// The buttons are gone.
    ButtonsLost {
        /// When that was noticed.
        at_ns: Moment,
    },
    /// The timeline is moved on the frames of the screen, because the scanner's clock is another.
    Shift {
        /// When.
        at_ns: Moment,
        /// The first frame of the screen that it is moved at.
        frame: u64,
        /// By how many frames.
        shift: i64,
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
    /// Something that the participant is to respond to began.
    TargetOnset {
        /// When the screen took over its first frame.
        at_ns: Moment,
        /// That frame.
        frame: u64,
        /// The target, from 0.
        target: usize,
        /// How the time is known.
        source: OnsetSource,
    },
    /// It was over.
    TargetOffset {
        /// When.
        at_ns: Moment,
        /// The first frame without it.
        frame: u64,
        /// The target, from 0.
        target: usize,
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
    /// What this attempt goes on with, where it does not begin at the first trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
    /// Whether the scanner is emulated.
    pub emulated: bool,
    /// Whether the screen's refreshes are not regular and the operator went on all the same.
    pub unsteady_screen: bool,
    /// The port, device or key that the trigger listens to.
    pub trigger: String,
    /// What else is listened to: the ports and devices of buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_devices: Vec<String>,
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
    /// The colour around the images, before any gamma table.
    pub background_rgb: [u8; 3],
    /// Identifies the gamma table, where there is one: the SHA-256 of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma_table_sha256: Option<String>,
    /// The seed of the order.
    pub seed: Seed,
    /// The display.
    pub display: DisplayFacts,
    /// The number of stored volumes during the run.
    pub volumes: u32,
    /// The trials in their order.
    pub trials: Vec<PlannedTrial>,
    /// What the participant is to respond to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<PlannedTarget>,
    /// The first frame after the run.
    pub end_frame: u64,
    /// The protocol as used.
    pub protocol: Protocol,
}

/// The attempt that another one goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// The number of the interrupted attempt.
    pub attempt: u32,
    /// The first trial of the new attempt, from 0, in the order of the whole run.
    pub first_trial: usize,
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

/// The player's end of the journal.
pub struct Journal(RefCell<rtrb::Producer<Row>>);

/// The writer's end of the journal.
pub struct Rows(rtrb::Consumer<Row>);

/// Both ends of a journal, and the memory between them.
pub fn journal() -> (Journal, Rows) {
    let (producer, consumer) = rtrb::RingBuffer::new(CAPACITY);
    (Journal(RefCell::new(producer)), Rows(consumer))
}

impl Journal {
    /// Hands a row over: without a lock, a wait or new memory.
    pub fn put(&self, row: Row) -> Result<(), Error> {
        self.0.borrow_mut().push(row).map_err(|_| Error::JournalStopped)
    }
}

impl Rows {
    /// The oldest row that was handed over and not taken; `None` where there is none.
    pub fn take(&mut self) -> Option<Row> {
        self.0.pop().ok()
    }

    /// Whether the player's end is gone: nothing more will come than what is there.
    pub fn are_ended(&self) -> bool {
        self.0.is_abandoned()
    }

    /// What was handed over and not taken.
    #[cfg(test)]
    pub fn drain(mut self) -> Vec<Row> {
        std::iter::from_fn(|| self.take()).collect()
    }
}

/// The text of a journal, made line by line.
#[derive(Default)]
pub struct Lines {
    crc: u32,
}

/// Where the checksum stands in a line.
const CHECKSUM: &str = ",\"crc32\":\"";

impl Lines {
    /// Appends the first line.
    pub fn begin(&mut self, text: &mut Vec<u8>, beginning: &Beginning) {
        #[derive(Serialize)]
        #[serde(tag = "row", rename = "begin")]
        struct First<'a> {
            format: u32,
            #[serde(flatten)]
            beginning: &'a Beginning,
        }
        self.append(text, &First { format: FORMAT, beginning });
    }

    /// Appends the line of a row.
    pub fn row(&mut self, text: &mut Vec<u8>, row: Row) {
        self.append(text, &row);
    }

    fn append(&mut self, text: &mut Vec<u8>, line: &impl Serialize) {
        let start = text.len();
        serde_json::to_writer(&mut *text, line).expect("numbers and names are JSON");
        assert_eq!(text.pop(), Some(b'}'), "a row is an object");
        self.crc = continued(self.crc, &text[start..]);
        text.extend_from_slice(CHECKSUM.as_bytes());
        text.extend_from_slice(format!("{:08x}\"}}\n", self.crc).as_bytes());
    }
}

fn continued(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// What is read from a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// What was decided before the first pulse.
    pub beginning: Beginning,
    /// What happened since the run was armed for the last time.
    pub rows: Vec<Row>,
}

impl Account {
    /// When the first stored volume came; `None` where the run did not get that far.
    pub fn start(&self) -> Option<Moment> {
        self.rows.iter().find_map(|row| if let Row::Start { at_ns } = row { Some(*at_ns) } else { None })
    }

    /// How the run ended; `None` where nobody could write that down.
    pub fn ending(&self) -> Option<Ending> {
        self.rows.iter().rev().find_map(|row| if let Row::End { ending, .. } = row { Some(*ending) } else { None })
    }

    /// How many trials were over, counted up to the last one that was shown to its end. One that was cut off is not over.
    pub fn trials_over(&self) -> usize {
        let over = |row: &Row| if let Row::Offset { trial, .. } = row { Some(*trial + 1) } else { None };
        self.rows.iter().filter_map(over).max().unwrap_or(0)
    }
}

/// Reads a journal. A last line that was cut off, as by a power failure, is passed over; any other line that is not as it
/// was written is an error, with its number.
pub fn read(path: &Path) -> Result<Account, study::Error> {
    parse(path, &file::read(path)?)
}

/// Like [`read`], for the bytes of a file named `path`.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Account, study::Error> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let wrong = |line: u64, what: String| study::Error::Line { path: path.into(), line, what };
    let mut lines = (1..).zip(bytes[..whole].split_inclusive(|&byte| byte == b'\n'));
    let Some((number, first)) = lines.next() else {
        return Err(study::Error::content(path, "there is no whole line in it: the run did not begin"));
    };
    let mut crc = 0;
    check_format(first).map_err(|what| wrong(number, what))?;
    let beginning = understood(&mut crc, first).map_err(|what| wrong(number, what))?;
    let rows = lines.map(|(number, line)| understood(&mut crc, line).map_err(|what| wrong(number, what)));
    Ok(Account { beginning, rows: since_armed(rows.collect::<Result<_, _>>()?) })
}

/// The rows without those before the run was armed anew; buttons that were gone then are gone.
fn since_armed(rows: Vec<Row>) -> Vec<Row> {
    let disarmed = rows.iter().rposition(|row| matches!(row, Row::Disarmed { .. })).unwrap_or(0);
    let counts = |(place, row): &(usize, Row)| *place >= disarmed || matches!(row, Row::ButtonsLost { .. });
    rows.into_iter().enumerate().filter(counts).map(|(_, row)| row).collect()
}

fn check_format(line: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct First {
        row: String,
        format: Option<u32>,
    }
    let first: First = serde_json::from_slice(line).map_err(|_| "no journal begins like this".to_owned())?;
    match first.format {
        _ if first.row != "begin" => Err(format!("expected the row \"begin\", found {:?}", first.row)),
        Some(FORMAT) => Ok(()),
        found => Err(format!("expected a journal of format {FORMAT}, found {}", found.unwrap_or(1))),
    }
}

/// The value of a line whose checksum is right.
fn understood<T: serde::de::DeserializeOwned>(crc: &mut u32, line: &[u8]) -> Result<T, String> {
    let mut sound = || {
        let line = line.strip_suffix(b"\"}\n")?;
        let (line, stated) = line.split_at_checked(line.len().checked_sub(8)?)?;
        let line = line.strip_suffix(CHECKSUM.as_bytes())?;
        let stated = u32::from_str_radix(std::str::from_utf8(stated).ok()?, 16).ok()?;
        *crc = continued(*crc, line);
        (stated == *crc).then_some(())
    };
    sound().ok_or("the checksum is wrong: this line, or one before it, is not as it was written")?;
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

#[cfg(test)]
pub(in crate::present) mod tests {
    use super::*;
    use crate::present::display::{FlipSourceFacts, FlipSourceKind, Pacing};
    use crate::present::protocol::tests::sound;

    /// The beginning of a run of 3 trials, the second of them null.
    pub fn beginning() -> Beginning {
        let trial = |image: Option<usize>, onset_frame| PlannedTrial {
            image,
            is_one_back: false,
            onset_frame,
            frames: if image.is_some() { 30 } else { 60 },
        };
        let image =
            |name: &str| ShownImage { name: name.into(), stim_file: format!("set/{name}.png"), sha256: "00".into() };
        Beginning {
            provenance: Provenance::here(),
            unix_s: 1_800_000_000,
            run: "sub-01_task-t_run-01".into(),
            continues: None,
            emulated: false,
            unsteady_screen: false,
            trigger: "/dev/ttyS0".into(),
            other_devices: Vec::new(),
            image_set: "set".into(),
            image_set_sha256: "11".into(),
            images: ["image_01", "image_02"].map(image).to_vec(),
            image_px: [8, 8],
            image_deg: [0.1, 0.1],
            background_rgb: [77; 3],
            gamma_table_sha256: None,
            seed: Seed(7),
            display: DisplayFacts {
                window_px: [640, 480],
                screen_px: [640, 480],
                refresh_hz: 60.0,
                nominal_hz: None,
                measured_hz: 60.0,
                intervals: 119,
                sound_intervals: 119,
                interval_sd_ms: Some(0.01),
                steady: true,
                pacing: Pacing::Software,
                frames_ahead: 0,
                flip_source: FlipSourceFacts::plain(FlipSourceKind::PresentCall, OnsetSource::Estimated),
                adapter: "none".into(),
                backend: "none".into(),
                pixel_format: "none".into(),
            },
            volumes: 13,
            trials: vec![trial(Some(1), 120), trial(None, 180), trial(Some(0), 240)],
            targets: Vec::new(),
            end_frame: 780,
            protocol: sound(),
        }
    }

    pub fn rows() -> Vec<Row> {
        vec![
            Row::Pulse { at_ns: Moment(u64::MAX / 2) },
            Row::Start { at_ns: Moment(7) },
            Row::Onset { at_ns: Moment(8), frame: 120, trial: 0, source: OnsetSource::Estimated },
            Row::End { at_ns: Moment(9), ending: Ending::Aborted },
        ]
    }

    pub fn text(beginning: &Beginning, rows: &[Row]) -> Vec<u8> {
        let (mut lines, mut text) = (Lines::default(), Vec::new());
        lines.begin(&mut text, beginning);
        rows.iter().for_each(|&row| lines.row(&mut text, row));
        text
    }

    fn complaint(bytes: &[u8]) -> String {
        parse(Path::new("j.jsonl"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_whatever_the_place_at_which_it_was_cut() {
        let (beginning, rows) = (beginning(), rows());
        let text = text(&beginning, &rows);
        assert_eq!(parse(Path::new("j.jsonl"), &text).unwrap(), Account { beginning, rows: rows.clone() });
        let first = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for end in 0..text.len() {
            if end < first {
                assert!(complaint(&text[..end]).contains("the run did not begin"));
            } else {
                let whole = text[first..end].iter().filter(|&&byte| byte == b'\n').count();
                assert_eq!(parse(Path::new("j.jsonl"), &text[..end]).unwrap().rows, rows[..whole]);
            }
        }
    }

    #[test]
    fn a_byte_that_changed_is_an_error_with_file_and_line() {
        let text = text(&beginning(), &rows());
        let mut line = 1;
        for place in 0..text.len() {
            let mut changed = text.clone();
            changed[place] ^= 1;
            // The last line end is the only byte without which a line may be a cut one.
            if place + 1 < text.len() {
                let what = complaint(&changed);
                assert!(what.starts_with(&format!("j.jsonl, line {line}: ")), "{place}: {what}");
            }
            line += usize::from(text[place] == b'\n');
        }
    }

    #[test]
    fn a_line_that_was_taken_out_or_moved_is_noticed() {
        let text = text(&beginning(), &rows());
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let without = [lines[0], lines[1], lines[3], lines[4]].concat();
        assert!(complaint(&without).starts_with("j.jsonl, line 3: the checksum is wrong"));
        let swapped = [lines[0], lines[2], lines[1]].concat();
        assert!(complaint(&swapped).starts_with("j.jsonl, line 2: the checksum is wrong"));
    }

    #[test]
    fn another_format_is_named() {
        let text = String::from_utf8(text(&beginning(), &rows())).unwrap();
        let other = text.replacen("\"format\":2", "\"format\":3", 1);
        assert!(complaint(other.as_bytes()).contains("expected a journal of format 2, found 3"));
        let former = text.replacen("\"format\":2,", "", 1);
        assert!(complaint(former.as_bytes()).contains("expected a journal of format 2, found 1"));
        assert!(complaint(b"{\"row\":\"flip\"}\n").contains("expected the row \"begin\""));
    }

    #[test]
    fn what_came_before_a_run_was_armed_anew_is_no_part_of_it() {
        let at_ns = Moment(3);
        let [lost, disarmed] = [Row::ButtonsLost { at_ns }, Row::Disarmed { at_ns }];
        let before = [Row::Pulse { at_ns }, Row::Start { at_ns }, lost, disarmed, Row::Pulse { at_ns }, disarmed];
        let all: Vec<Row> = before.into_iter().chain(rows()).collect();
        let kept: Vec<Row> = [lost, disarmed].into_iter().chain(rows()).collect();
        assert_eq!(since_armed(all), kept);
        assert_eq!(since_armed(rows()), rows());
    }

    #[test]
    fn what_is_handed_over_is_taken_in_its_order_and_no_more_than_there_is_room_for() {
        let (journal, mut taken) = journal();
        rows().into_iter().for_each(|row| journal.put(row).unwrap());
        assert_eq!(taken.take(), Some(rows()[0]));
        assert!(!taken.are_ended());
        let row = Row::Start { at_ns: Moment(1) };
        let room = std::iter::repeat_with(|| journal.put(row)).take_while(Result::is_ok).count();
        assert_eq!(room, CAPACITY - 3);
        assert!(matches!(journal.put(row), Err(Error::JournalStopped)));
        drop(journal);
        assert!(taken.are_ended());
        assert_eq!(taken.drain().len(), CAPACITY);
    }
}
