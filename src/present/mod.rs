//! Shows an image set in the scanner: a protocol and an image set go in; the events of a run, and the journal that they
//! were made from, come out below a BIDS dataset.

mod clock;
mod display;
mod error;
mod journal;
mod order;
mod pace;
mod player;
mod protocol;
mod record;
mod refresh;
mod session;
#[cfg(test)]
mod simulated;
mod sprite;
mod timeline;
mod trigger;
mod verdict;
mod virtual_display;
mod window;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{SystemTime, UNIX_EPOCH};

pub use error::Error;
pub use protocol::Protocol;
pub use session::{Scanner, Screen, Session};

use crate::present::clock::Moment;
use crate::present::display::Display;
use crate::present::journal::{Beginning, Ending, Journal, JournalFile, Row, ShownImage};
use crate::present::protocol::{SerialSetup, TriggerSetup};
use crate::present::sprite::Sprite;
use crate::present::timeline::Timeline;
use crate::present::trigger::{EmulatedScanner, KeyTrigger, SerialTrigger, Trigger};
use crate::present::virtual_display::VirtualDisplay;
use crate::present::window::Window;
use crate::study::bids::{self, DatasetType, RunName};
use crate::study::{self, ImageSet, Picture, Progress, Provenance, Verdict, file};

/// From the moment an emulated scanner is ready to its first pulse.
const EMULATED_DELAY_S: f64 = 0.5;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The table of events; its sidecar lies beside it.
    pub events: PathBuf,
    /// The journal that they were made from.
    pub journal: PathBuf,
    /// Whether the run went to its planned end.
    pub complete: bool,
    /// What the pulses say.
    pub verdict: Verdict,
    /// Refreshes of the screen that passed without a new frame.
    pub missed_refreshes: u64,
}

/// Presents one run. To be called from the main thread, once in a process: that is where windows are made.
///
/// Nothing is written before the screen, the trigger and the images are found to be sound. A run that was begun is
/// always recorded, also where it was aborted or failed.
pub fn run(
    protocol: &Protocol,
    images: &ImageSet,
    session: &Session,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let files = Files::of(protocol, images, session)?;
    let sprites = read_images(images)?;
    let order = order::draw(sprites.len(), &protocol.trials, session.seed.of(&files.name.to_string()))?;

    // Declared first, so that it ends last: the window is closed before its display.
    let _virtual_display = match session.screen {
        Screen::Virtual => Some(VirtualDisplay::start()?),
        Screen::Fullscreen(_) | Screen::Windowed => None,
    };
    let (presses, heard) = channel();
    let mut room = Room::connect(protocol, &session.scanner, heard)?;
    let mut window = Window::open(session.screen, presses)?;
    let look = window.load(&protocol.screen, &sprites)?;
    window.find_pace()?;
    let timeline = Timeline::plan(protocol, &order, window.facts().refresh_hz)?;

    let beginning = Beginning {
        provenance: Provenance::here(),
        unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        run: files.name.to_string(),
        emulated: session.scanner == Scanner::Emulated,
        trigger: room.description.clone(),
        image_set: files.image_set.clone(),
        image_set_sha256: images.sha256().into(),
        images: files.images.clone(),
        image_px: look.image_px,
        image_deg: look.image_deg,
        background_rgb: look.background_rgb,
        seed: session.seed,
        display: window.facts().clone(),
        volumes: timeline.volumes(),
        trials: timeline.trials().to_vec(),
        end_frame: timeline.end_frame(),
        protocol: protocol.clone(),
    };
    tell(&beginning, progress);
    let journal_file = files.claim(images, &session.dataset)?;

    let (journal, rows) = journal::journal();
    let played = std::thread::scope(|scope| {
        let writer = scope.spawn(move || journal_file.keep(&rows, progress));
        let played = play(beginning, &timeline, &mut window, &mut room, &journal);
        drop(journal);
        let written = writer.join().expect("the writer does not panic");
        // Why the journal stopped is the reason; that the player could not go on is what came of it.
        written.and(played)
    });
    drop((window, room));
    record(&files, played)
}

/// Waits for the scanner, follows the timeline and writes down how it ended.
fn play(
    beginning: Beginning,
    timeline: &Timeline,
    display: &mut impl Display,
    room: &mut Room,
    journal: &Journal,
) -> Result<(), Error> {
    let (tr_s, dummy_pulses) = (beginning.protocol.tr_s, beginning.protocol.dummy_pulses);
    journal.put(Row::Begin(Box::new(beginning)))?;
    room.make_ready(tr_s, dummy_pulses + timeline.volumes())?;
    let trigger = &mut *room.trigger;
    let Some(start) = player::wait(dummy_pulses, display, trigger, journal)? else {
        return Err(Error::AbortedBeforeStart);
    };
    let ended = player::follow(timeline, start, display, trigger, journal);
    let ending = *ended.as_ref().unwrap_or(&Ending::Failed);
    journal.put(Row::End { at_ns: Moment::now(), ending })?;
    ended.map(drop)
}

/// Makes the table of events from the journal. A run that never began leaves no journal.
fn record(files: &Files, played: Result<(), Error>) -> Result<Outcome, Error> {
    let rows = journal::read(&files.journal)?;
    if !rows.iter().any(|row| matches!(row, Row::Start { .. })) {
        std::fs::remove_file(&files.journal).map_err(study::Error::file("remove", &files.journal))?;
        return Err(played.err().unwrap_or(Error::AbortedBeforeStart));
    }
    let record = record::make(&files.journal, &rows)?;
    record.write(&files.events)?;
    played?;
    Ok(Outcome {
        events: files.events.clone(),
        journal: files.journal.clone(),
        complete: record.facts.complete,
        verdict: record.facts.trigger.verdict,
        missed_refreshes: record.facts.flips.missed_refreshes,
    })
}

fn tell(beginning: &Beginning, progress: &dyn Progress) {
    let Beginning { display, volumes, trials, protocol, .. } = beginning;
    let [width, height] = display.window_px;
    let dummies = protocol.dummy_pulses;
    let minutes = f64::from(*volumes) * protocol.tr_s / 60.0;
    progress.say(&format!("screen: {width} x {height} at {} Hz, {}", display.refresh_hz, display.adapter));
    progress.say(&format!(
        "run: {} trials, {minutes:.1} min; the scanner needs at least {volumes} volumes{}",
        trials.len(),
        if dummies > 0 { format!(" after {dummies} dummies") } else { String::new() },
    ));
    if beginning.emulated {
        progress.say("the scanner is EMULATED: this run is a rehearsal and no data");
    }
    progress.say(&format!("waiting for the scanner's first pulse on {} (Escape aborts)", beginning.trigger));
}

fn read_images(images: &ImageSet) -> Result<Vec<Sprite>, Error> {
    let manifest = images.manifest();
    let read = |image| {
        let path = images.path(image);
        let picture = Picture::read(&path)?;
        let (found, expected) = ([picture.width, picture.height], manifest.size_px);
        if found != expected {
            let what = format!("expected {} x {} pixels, found {} x {}", expected[0], expected[1], found[0], found[1]);
            return Err(Error::Picture { path, what });
        }
        Ok(Sprite::of(&picture))
    };
    manifest.images.iter().map(read).collect()
}

/// What brings the pulses.
struct Room {
    trigger: Box<dyn Trigger>,
    description: String,
    emulated: Option<(EmulatedScanner, u8)>,
}

impl Room {
    fn connect(
        protocol: &Protocol,
        scanner: &Scanner,
        presses: std::sync::mpsc::Receiver<trigger::KeyPress>,
    ) -> Result<Room, Error> {
        let serial = match (&protocol.trigger, scanner) {
            (TriggerSetup::Keyboard(setup), Scanner::AsWired) => {
                let trigger = Box::new(KeyTrigger::new(setup.key, presses));
                return Ok(Room { trigger, description: format!("key {:?}", setup.key), emulated: None });
            }
            (TriggerSetup::Keyboard(_), Scanner::AtPort(_)) => return Err(Error::PortForKey),
            (TriggerSetup::Keyboard(_), Scanner::Emulated) => return Err(Error::EmulatedKey),
            (TriggerSetup::Serial(setup), _) => setup,
        };
        let emulated = match scanner {
            Scanner::Emulated => Some(EmulatedScanner::new()?),
            Scanner::AsWired | Scanner::AtPort(_) => None,
        };
        let port = match (&emulated, scanner) {
            (Some(emulated), _) => emulated.port(),
            (None, Scanner::AtPort(port)) => port.clone(),
            (None, _) => serial.port.clone(),
        };
        let trigger = Box::new(SerialTrigger::open(&SerialSetup { port: port.clone(), ..serial.clone() })?);
        Ok(Room { trigger, description: port, emulated: emulated.map(|scanner| (scanner, serial.byte)) })
    }

    /// Refuses a scanner that is running already; an emulated one begins.
    fn make_ready(&mut self, tr_s: f64, pulses: u32) -> Result<(), Error> {
        while let Some(signal) = self.trigger.poll() {
            match signal {
                trigger::Signal::Pulse(_) => return Err(Error::ScannerRunning),
                trigger::Signal::Lost(_) => return Err(Error::TriggerLost),
                trigger::Signal::OtherByte(..) => (),
            }
        }
        if let Some((scanner, byte)) = &mut self.emulated {
            scanner.start(*byte, EMULATED_DELAY_S, tr_s, pulses);
        }
        Ok(())
    }
}

/// The files of a run.
struct Files {
    name: RunName,
    events: PathBuf,
    journal: PathBuf,
    image_set: String,
    images: Vec<ShownImage>,
}

impl Files {
    /// Names them; an error if the run has some already.
    fn of(protocol: &Protocol, images: &ImageSet, session: &Session) -> Result<Files, Error> {
        let name = RunName {
            subject: session.subject.clone(),
            session: session.session.clone(),
            task: protocol.task.clone(),
            run: Some(session.run),
        };
        let events = name.func(&session.dataset, "events.tsv");
        let journal = name.folder(&session.dataset.join("sourcedata/layerprint")).join(format!("{name}_journal.jsonl"));
        if let Some(path) = [&events, &journal].into_iter().find(|path| path.exists()) {
            return Err(Error::RunExists(path.clone()));
        }
        let image_set = set_name(images.folder());
        let shown = |image: &study::ImageRecord| ShownImage {
            name: image.name().into(),
            stim_file: format!("{image_set}/{}", image.file),
            sha256: image.sha256.clone(),
        };
        let images = images.manifest().images.iter().map(shown).collect();
        Ok(Files { name, events, journal, image_set, images })
    }

    /// Describes the dataset, copies the images into it and creates the journal.
    fn claim(&self, images: &ImageSet, dataset: &Path) -> Result<JournalFile, Error> {
        bids::describe_dataset(dataset, "Responses to an image set", DatasetType::Raw)?;
        for (image, shown) in images.manifest().images.iter().zip(&self.images) {
            let copy = dataset.join("stimuli").join(&shown.stim_file);
            let is_there = copy.exists();
            let source = if is_there { copy.clone() } else { images.path(image) };
            let bytes = file::read(&source)?;
            if file::sha256(&bytes) != shown.sha256 {
                let what = "is not the image of the set: give the folder of the set another name, or restore the image";
                return Err(study::Error::content(source, what).into());
            }
            if !is_there {
                file::write(&copy, &bytes)?;
            }
        }
        JournalFile::create(&self.journal)
    }
}

/// The name of a set's folder, as a folder's name below `stimuli/`.
fn set_name(folder: &Path) -> String {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if name.is_empty() { "images".into() } else { name }
}
