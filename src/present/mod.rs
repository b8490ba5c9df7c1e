//! Shows an image set in the scanner: a protocol and an image set go in; the events of a run, and the journal that they
//! were made from, come out below a BIDS dataset.

#[cfg(test)]
mod allocation;
mod attempt;
mod check;
mod clock;
mod console;
mod countdown;
mod design;
mod disk_space;
mod display;
mod error;
mod gamma;
mod journal;
mod lock;
mod operator;
mod order;
mod pace;
mod player;
mod protocol;
mod psychopy;
mod pulses;
mod quantity;
mod record;
mod recover;
mod refresh;
mod resume;
mod room;
mod screen_setup;
mod session;
mod simulated;
mod sprite;
mod task;
mod timeline;
mod trials;
mod trigger;
mod virtual_display;
mod window;
mod wiring;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{SystemTime, UNIX_EPOCH};

pub use attempt::{Attempt, Standing};
pub use check::{Gate, Passage, faults, gate, outfit, rehearse_until_killed};
pub use design::{Assumptions, CarryOver, Compared, Design, PairCounts, design};
pub use error::Error;
pub use order::Trial;
pub use protocol::{PROTOCOL, Protocol};
pub use psychopy::export_psychopy;
pub use recover::{Found, Recovery, recover, recover_all};
pub use session::{Scanner, Screen, Session};
pub use task::Score;

use crate::present::gamma::GammaTable;
use crate::present::journal::{Beginning, Continued, ShownImage};
use crate::present::protocol::Dummies;
use crate::present::resume::{Circumstances, Interrupted};
use crate::present::room::Room;
use crate::present::sprite::Sprite;
use crate::present::timeline::Timeline;
use crate::present::trials::Targets;
use crate::present::virtual_display::VirtualDisplay;
use crate::present::window::Window;
use crate::present::writer::{JournalFile, Kept};
use crate::study::bids::{self, DatasetType, RunName};
use crate::study::{self, ImageSet, Progress, Provenance, Stream, Verdict};

/// An emulated pulse that is later than this may look like a scanner's fault, in seconds.
const EMULATED_LATE_S: f64 = 0.01;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The number of the attempt.
    pub attempt: u32,
    /// The table of events; its sidecar lies beside it.
    pub events: PathBuf,
    /// Whether that is the table that counts as the run's.
    pub counts: bool,
    /// The journal that they were made from.
    pub journal: PathBuf,
    /// Whether the run went to its planned end.
    pub complete: bool,
    /// What the pulses say.
    pub verdict: Verdict,
    /// How well the participant did the task, where there are buttons.
    pub score: Option<Score>,
    /// Refreshes of the screen that passed without a new frame.
    pub missed_refreshes: u64,
}

/// Presents one run. To be called from the main thread, once in a process: that is where windows are made.
///
/// Nothing is written before the screen, the trigger and the images are found to be sound. A run that was begun is
/// always recorded, also where it was aborted or failed. A run that was presented before is presented again, as a new
/// attempt: see [`Attempt`].
pub fn run(
    protocol: &Protocol,
    images: &ImageSet,
    session: &Session,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let gamma = GammaTable::of(protocol)?;
    let files = Files::of(protocol, images, session)?;
    let sprites = Sprite::of_set(images)?;
    let names: Vec<String> = images.manifest().images.iter().map(|image| image.name().into()).collect();
    let order = order::draw(&names, protocol, session.seed, &files.name)?;
    let circumstances = Circumstances {
        protocol,
        image_set_sha256: images.sha256(),
        seed: session.seed,
        emulated: session.scanner == Scanner::Emulated,
        gamma_table_sha256: gamma.as_ref().map(GammaTable::sha256),
    };
    let continues =
        if session.resume { Some(files.resumed(&circumstances, session, &order.trials, progress)?) } else { None };

    // Declared first, so that it ends last: the window is closed before its display.
    let _virtual_display = match session.screen {
        Screen::Virtual => Some(VirtualDisplay::start()?),
        Screen::Fullscreen(_) | Screen::Windowed => None,
    };
    let (presses, heard) = channel();
    let mut room = Room::connect(protocol, &session.scanner, heard)?;
    let mut window = Window::open(session.screen, presses)?;
    let look = window.load(&protocol.screen, &sprites, gamma.as_ref())?;
    window.find_pace()?;
    if !session.unsteady_screen {
        refresh::require_steady(window.facts(), &session.scanner)?;
    }
    let timeline = Timeline::plan(protocol, &order, window.facts().refresh_hz)?;
    let timeline = timeline.beginning_at(continues.map_or(0, |continued| continued.first_trial));
    window.place(timeline.targets(), protocol.targets.as_ref().and_then(Targets::fixation_rgb), gamma.as_ref());
    let emulated_presses = {
        let targets = timeline.targets().iter();
        let targets_s: Vec<f64> = targets.map(|t| t.onset_frame as f64 / timeline.refresh_hz()).collect();
        let seed = session.seed.of(&files.attempt.run().to_string());
        task::emulated_presses(&targets_s, &mut seed.stream(Stream::EmulatedParticipant, files.attempt.number()))
    };

    let (source, others) = room.devices.descriptions().split_first().expect("a room has a trigger");
    let beginning = Beginning {
        provenance: Provenance::here(),
        unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        run: files.name.to_string(),
        continues,
        emulated: circumstances.emulated,
        unsteady_screen: session.unsteady_screen && !window.facts().steady,
        trigger: source.clone(),
        other_devices: others.to_vec(),
        image_set: files.image_set.clone(),
        image_set_sha256: images.sha256().into(),
        images: files.images.clone(),
        image_px: look.image_px,
        image_deg: look.image_deg,
        background_rgb: look.background_rgb,
        gamma_table_sha256: gamma.as_ref().map(|table| table.sha256().into()),
        seed: session.seed,
        display: window.facts().clone(),
        volumes: timeline.volumes(),
        trials: timeline.trials().to_vec(),
        targets: timeline.targets().to_vec(),
        end_frame: timeline.end_frame(),
        protocol: protocol.clone(),
    };
    tell(&beginning, &files.attempt, progress);
    room.devices.warnings().iter().for_each(|warning| progress.say(warning));
    disk_space::require(&session.dataset, disk_space::of_run(&timeline) + disk_space::of_images(images)?)?;
    let writer = files.claim(images, &session.dataset)?.begin(&beginning)?;

    let (journal, rows) = journal::journal();
    let (kept, played) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer.keep(rows, &session.spare, progress));
        let played = room.perform(protocol, &timeline, &emulated_presses, &mut window, &journal);
        drop(journal);
        (writing.join().expect("the writer does not panic"), played)
    });
    if let Some(late_s) = room.emulated_late_s().filter(|late_s| *late_s > EMULATED_LATE_S) {
        progress.say(&format!(
            "the emulated scanner itself was late, by up to {:.0} ms: this machine is busy, and what is said of the trigger \
             may be about that",
            1000.0 * late_s
        ));
    }
    drop((window, room));
    record(&files.attempt, &kept, played, progress)
}

/// Makes the table of events from the journal. A run that never began leaves no journal.
fn record(
    attempt: &Attempt,
    kept: &Kept,
    played: Result<(), Error>,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let (journal, events) = match kept {
        Kept::InPlace => (attempt.journal(), attempt.table()),
        Kept::Spare(path) => {
            let table = attempt.table();
            (path.clone(), path.with_file_name(table.file_name().expect("a table has a name")))
        }
    };
    let account = journal::read(&journal)?;
    if account.start().is_none() {
        for path in [&journal, &attempt.journal()].into_iter().filter(|path| path.exists()) {
            std::fs::remove_file(path).map_err(study::Error::file("remove", path))?;
        }
        return Err(played.err().unwrap_or(Error::AbortedBeforeStart));
    }
    let recover = || match kept {
        Kept::InPlace => format!("layerprint recover {}", journal.display()),
        Kept::Spare(path) => format!("layerprint recover {} --out {}", path.display(), attempt.dataset().display()),
    };
    let record = record::make(&journal, &account, attempt.number(), false)?;
    let written = record.write(&events);
    if written.is_err() {
        progress.say(&format!("the journal {} is whole: `{}` makes the table", journal.display(), recover()));
    }
    written?;
    let promoted = match kept {
        Kept::InPlace => attempt.promote_if_due(&record.facts)?,
        Kept::Spare(_) => {
            progress.say(&format!("the dataset does not have the whole run: `{}` brings it there", recover()));
            None
        }
    };
    played?;
    Ok(Outcome {
        attempt: attempt.number(),
        counts: promoted.is_some(),
        events: promoted.unwrap_or(events),
        journal,
        complete: record.facts.complete,
        verdict: record.facts.trigger.verdict,
        score: record.score,
        missed_refreshes: record.facts.flips.missed_refreshes,
    })
}

fn tell(beginning: &Beginning, attempt: &Attempt, progress: &dyn Progress) {
    let Beginning { display, volumes, trials, protocol, continues, .. } = beginning;
    let [width, height] = display.window_px;
    let minutes = f64::from(*volumes) * protocol.tr_s / 60.0;
    progress.say(&format!("screen: {width} x {height} at {} Hz, {}", display.refresh_hz, display.adapter));
    progress.say(&format!("times of flips: {}", display.flip_source));
    if !display.steady {
        progress.say(&format!(
            "the screen is NOT STEADY: its refreshes are not regular, and it shows {:.1} frames a second where {} are planned",
            display.measured_hz, display.refresh_hz
        ));
    }
    progress.say(&format!(
        "run: {} trials, {minutes:.1} min; the scanner needs at least {volumes} volumes{}",
        trials.len(),
        match protocol.dummies {
            Dummies::None => String::new(),
            Dummies::Discarded(dummies) => format!(" after {dummies} that it discards"),
            Dummies::Stored(dummies) => format!(", of which {dummies} before the lead-in"),
        },
    ));
    if let Some(Continued { attempt, first_trial }) = continues {
        progress.say(&format!("it goes on with attempt {attempt} at trial {}", first_trial + 1));
    } else if attempt.number() > 1 {
        progress.say(&format!("this run was presented before: this is attempt {}", attempt.number()));
    }
    if beginning.emulated {
        progress.say("the scanner is EMULATED: this run is a rehearsal and no data");
    }
}

/// The files of a run.
struct Files {
    name: RunName,
    attempt: Attempt,
    image_set: String,
    images: Vec<ShownImage>,
}

impl Files {
    /// Names them.
    fn of(protocol: &Protocol, images: &ImageSet, session: &Session) -> Result<Files, Error> {
        let name = session.run_name(&protocol.task);
        let attempt = Attempt::next(&session.dataset, &name)?;
        let stimuli = session.dataset.join("stimuli");
        attempt.places().iter().chain([&stimuli]).try_for_each(|place| disk_space::require_place(place))?;
        let image_set = images.stimuli_name();
        let shown = |image: &study::ImageRecord| ShownImage {
            name: image.name().into(),
            stim_file: images.stim_file(image),
            sha256: image.sha256.clone(),
        };
        let images = images.manifest().images.iter().map(shown).collect();
        Ok(Files { name, attempt, image_set, images })
    }

    /// Where the latest attempt is gone on with. One that was killed gets its table.
    fn resumed(
        &self,
        now: &Circumstances,
        session: &Session,
        order: &[Trial],
        progress: &dyn Progress,
    ) -> Result<Continued, Error> {
        let interrupted = Interrupted::latest(Attempt::all(&session.dataset, &self.name)?, &self.name.to_string())?;
        let continued = interrupted.goes_on(now, order)?;
        if !interrupted.attempt().table().exists() {
            progress.say(&recover::make_table(interrupted.attempt())?.to_string());
        }
        Ok(continued)
    }

    /// Describes the dataset, copies the images into it and creates the journal.
    fn claim(&self, images: &ImageSet, dataset: &Path) -> Result<JournalFile, Error> {
        bids::describe_dataset(dataset, "Responses to an image set", DatasetType::Raw)?;
        images.copy_stimuli(dataset)?;
        JournalFile::create(&self.attempt.journal())
    }
}
