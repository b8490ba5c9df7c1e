//! The gate: everything that a session needs, looked at in the order in which an operator would put it right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::present::attempt;
use crate::present::check::machine;
use crate::present::check::scanner::{self, Heard};
use crate::present::check::screen::{self, Ruler};
use crate::present::clock::Moment;
use crate::present::disk_space;
use crate::present::display::{Display, DisplayFacts, Scene};
use crate::present::error::Error;
use crate::present::gamma::GammaTable;
use crate::present::order;
use crate::present::protocol::Protocol;
use crate::present::pulses::Expected;
use crate::present::room::Room;
use crate::present::session::{Scanner, Screen};
use crate::present::sprite::Sprite;
use crate::present::timeline::Timeline;
use crate::present::trigger::KeyPress;
use crate::present::virtual_display::VirtualDisplay;
use crate::present::window::Window;
use crate::present::wiring::TriggerSetup;
use crate::study::bids::{self, DatasetType, Label, RunName};
use crate::study::{self, Finding, GridFit, ImageSet, Judgement, Progress, Provenance, Seed, file, with_causes};

/// The circumstances of a session.
pub struct Gate<'a> {
    /// What is shown when.
    pub protocol: &'a Protocol,
    /// The image set, as far as it could be read.
    pub images: Result<ImageSet, study::Error>,
    /// The dataset; without it no record is kept.
    pub dataset: Option<&'a Path>,
    /// How many runs the session has.
    pub runs: u32,
    /// Who sends the pulses.
    pub scanner: Scanner,
    /// Where the images are shown.
    pub screen: Screen,
    /// How long pulses are waited for, in seconds.
    pub patience_s: f64,
}

/// What was found, and where the record of it lies.
#[derive(Debug)]
pub struct Passage {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
    /// Below the dataset.
    pub record: Option<PathBuf>,
}

/// What is kept of a check.
#[derive(Serialize)]
struct Record<'a> {
    provenance: Provenance,
    unix_s: u64,
    worst: Option<Judgement>,
    findings: &'a [Finding],
    emulated: bool,
    image_set_sha256: Option<&'a str>,
    display: &'a Option<DisplayFacts>,
    trigger: &'a Option<Heard>,
    /// How often each button was pressed.
    buttons: BTreeMap<&'a str, u32>,
    fit: Option<GridFit>,
    protocol: &'a Protocol,
}

/// Looks at everything and tells each finding when it is known. To be called from the main thread, once in a process: that
/// is where windows are made.
pub fn gate(gate: &Gate, progress: &dyn Progress, tell: &mut dyn FnMut(&Finding)) -> Result<Passage, Error> {
    if let Some(dataset) = gate.dataset {
        // Better now than when the record is to be kept.
        disk_space::require_place(&dataset.join(attempt::RECORDS))?;
    }
    let mut findings = Vec::new();
    let mut found = |finding: Finding| {
        tell(&finding);
        findings.push(finding);
    };
    found(images(&gate.images));
    found(machine::power(Path::new(machine::SYS)));
    let (display, timeline, trigger, fit) = room(gate, progress, &mut found)?;
    if let (Some(dataset), Some(timeline), Ok(images)) = (gate.dataset, &timeline, &gate.images) {
        let needed = u64::from(gate.runs) * disk_space::of_run(timeline) + disk_space::of_images(images)?;
        found(machine::disk(dataset, needed));
    }
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let record = Record {
        provenance: Provenance::here(),
        unix_s,
        worst: findings.iter().map(|finding| finding.judgement).max(),
        findings: &findings,
        emulated: gate.scanner == Scanner::Emulated,
        image_set_sha256: gate.images.as_ref().ok().map(ImageSet::sha256),
        display: &display,
        trigger: &trigger,
        buttons: pressed(gate.protocol, trigger.as_ref()),
        fit,
        protocol: gate.protocol,
    };
    let record = gate.dataset.map(|dataset| keep(dataset, &record)).transpose()?;
    Ok(Passage { findings, record })
}

/// How often each button of a protocol was pressed.
fn pressed<'a>(protocol: &'a Protocol, heard: Option<&Heard>) -> BTreeMap<&'a str, u32> {
    let count = |number: u8| heard.and_then(|heard| heard.presses.get(&number)).copied().unwrap_or(0);
    let buttons = protocol.responses.iter().flat_map(|responses| responses.numbered());
    buttons.map(|(number, name, _)| (name, count(number))).collect()
}

fn images(images: &Result<ImageSet, study::Error>) -> Finding {
    const SUBJECT: &str = "images";
    match images.as_ref().map(|images| (images, Sprite::of_set(images))) {
        Ok((images, Ok(sprites))) => {
            let [width, height] = images.manifest().size_px;
            let folder = images.folder().display();
            let found = format!("{} of {width} x {height} pixels, as their hashes say, in {folder}", sprites.len());
            Finding::pass(SUBJECT, found)
        }
        Ok((_, Err(error))) => Finding::fail(SUBJECT, with_causes(&error), "restore the image set"),
        Err(error) => {
            Finding::fail(SUBJECT, with_causes(error), "restore the image set, or name another with --images")
        }
    }
}

/// The keys that the window hears, from where they are pressed to where they are listened to.
type Keys = (Sender<KeyPress>, Receiver<KeyPress>);

type InTheRoom = (Option<DisplayFacts>, Option<Timeline>, Option<Heard>, Option<GridFit>);

/// Looks at the screen and listens to the scanner.
fn room(gate: &Gate, progress: &dyn Progress, found: &mut dyn FnMut(Finding)) -> Result<InTheRoom, Error> {
    // Declared first, so that it ends last: the window is closed before its display.
    let _virtual_display = match gate.screen {
        Screen::Virtual => Some(VirtualDisplay::start()?),
        Screen::Fullscreen(_) | Screen::Windowed => None,
    };
    let (fingers, heard) = channel();
    let opened = Window::open(gate.screen, fingers.clone());
    let system = opened.as_ref().ok().and_then(Window::system);
    found(machine::window_system(gate.screen, system, |name| std::env::var(name).ok()));
    let mut window = match opened {
        Ok(window) => Some(window),
        Err(error) => {
            let advice = "start this on the computer's own screen, or rehearse with --virtual-display";
            found(Finding::fail("screen", with_causes(&error), advice));
            None
        }
    };
    let timeline = match &mut window {
        Some(window) => look_at(window, gate, found)?,
        None => None,
    };
    let display = window.as_ref().map(|window| window.facts().clone());
    let (trigger, fit) = listen_to(gate, window, (fingers, heard), progress, found)?;
    Ok((display, timeline, trigger, fit))
}

/// Measures the screen; the timeline that a run would have on it. The ruler is on it afterwards.
fn look_at(window: &mut Window, gate: &Gate, found: &mut dyn FnMut(Finding)) -> Result<Option<Timeline>, Error> {
    let protocol = gate.protocol;
    found(screen::size(window.facts(), &protocol.screen));
    let sprites = gate.images.as_ref().ok().and_then(|images| Sprite::of_set(images).ok());
    if let Some(sprites) = sprites {
        let loaded = match GammaTable::of(protocol) {
            Ok(gamma) => window.load(&protocol.screen, &sprites, gamma.as_ref()),
            Err(error) => Err(error.into()),
        };
        found(match loaded {
            Ok(look) => {
                let ([width, height], [across, down]) = (look.image_px, look.image_deg);
                let found = format!("{width} x {height} pixels, {across:.2} x {down:.2} degrees");
                Finding::pass("image size", found)
            }
            Err(error) => Finding::fail("image size", with_causes(&error), "change the protocol's [screen]"),
        });
    }
    window.find_pace()?;
    let facts = window.facts().clone();
    found(screen::refresh(&facts, &gate.scanner));
    found(screen::late_frames(window, facts.refresh_hz)?);
    found(screen::dropped_frame(window, facts.refresh_hz)?);
    let timeline = gate.images.as_ref().ok().map(|images| plan(protocol, images, facts.refresh_hz));
    if let Some(timeline) = &timeline {
        found(screen::durations(timeline));
    }
    let ruler = Ruler::on(&protocol.screen, facts.screen_px[0], facts.window_px[0]);
    window.load(&ruler.setup, std::slice::from_ref(&ruler.sprite), None)?;
    window.show_untimed(Scene { image: Some(0), ..Scene::default() })?;
    found(ruler.finding());
    Ok(timeline.and_then(Result::ok))
}

/// The timeline of a run of this protocol; another participant's has other places and the same length.
fn plan(protocol: &Protocol, images: &ImageSet, refresh_hz: f64) -> Result<Timeline, Error> {
    let names: Vec<String> = images.manifest().images.iter().map(|image| image.name().into()).collect();
    let subject = Label::new("check").expect("letters alone");
    let run = RunName { subject, session: None, task: protocol.task().clone(), run: Some(1) };
    Timeline::plan(protocol, &order::draw(&names, protocol, Seed(0), &run)?, refresh_hz)
}

/// Waits for some pulses and for each button, with the ruler on the screen; then for the operator to be done with that.
fn listen_to(
    gate: &Gate,
    mut window: Option<Window>,
    keys: Keys,
    progress: &dyn Progress,
    found: &mut dyn FnMut(Finding),
) -> Result<(Option<Heard>, Option<GridFit>), Error> {
    let protocol = gate.protocol;
    if let TriggerSetup::Serial(setup) = &protocol.trigger
        && let Some(port) = machine::port_of(&gate.scanner, &setup.port.port)
    {
        found(machine::latency_timer(Path::new(machine::SYS), Path::new(&port)));
    }
    let (fingers, presses) = keys;
    let heard = match Room::connect(protocol, &gate.scanner, presses) {
        Ok(room) => listen_in(room, &fingers, gate, &mut window, progress, found)?,
        Err(error) => {
            let advice =
                "plug the box in; look for its name in /dev, and name it in the protocol or with --trigger-port";
            found(Finding::fail("trigger", with_causes(&error), advice));
            (None, None)
        }
    };
    // Nobody holds a ruler to a virtual display.
    if let Some(window) = window.as_mut().filter(|_| gate.screen != Screen::Virtual) {
        progress.say(&format!(
            "the ruler is on the screen: Enter when you are done with it, or it goes in {} s",
            gate.patience_s
        ));
        let mut wait = Wait::new(Some(window), gate.patience_s);
        while wait.goes_on()? {}
    }
    Ok(heard)
}

/// Waits for pulses and presses in a room.
fn listen_in(
    mut room: Room,
    fingers: &Sender<KeyPress>,
    gate: &Gate,
    window: &mut Option<Window>,
    progress: &dyn Progress,
    found: &mut dyn FnMut(Finding),
) -> Result<(Option<Heard>, Option<GridFit>), Error> {
    let protocol = gate.protocol;
    if gate.scanner == Scanner::Emulated {
        found(Finding::warn("trigger", "an emulated scanner", "leave --emulate out to hear the real one"));
    } else {
        found(Finding::pass("trigger", format!("{} is open", room.devices.descriptions()[0])));
    }
    let wanted = scanner::wanted(protocol);
    progress.say(&format!(
        "waiting up to {} s for {wanted} of the scanner's pulses, by hand or with a phantom; Enter goes on without",
        gate.patience_s
    ));
    let expected = Expected { interval_s: protocol.pulse_interval_s(), pulses: wanted as u32, per_volume: 1 };
    room.rehearse_all(protocol, &expected, fingers);
    let mut heard = {
        let stage = progress.stage("pulses", wanted as u64);
        let mut wait = Wait::new(window.as_mut(), gate.patience_s);
        scanner::listen(&mut room.devices, wanted, &*stage, || wait.goes_on())?
    };
    let (finding, fit) = scanner::pulses(protocol, &room.devices.descriptions()[0], &heard);
    found(finding);
    if let Some(responses) = &protocol.responses {
        let names: Vec<&str> = responses.numbered().map(|(_, name, _)| name).collect();
        progress.say(&format!(
            "waiting up to {} s for a press of each button: {}; Enter goes on without",
            gate.patience_s,
            names.join(", ")
        ));
        let tell = |number: u8| progress.say(&format!("  {} is pressed", responses.name(number).unwrap_or_default()));
        let mut wait = Wait::new(window.as_mut(), gate.patience_s);
        scanner::listen_to_buttons(&mut room.devices, responses, &mut heard, tell, || wait.goes_on())?;
        scanner::buttons(responses, &heard).into_iter().for_each(&mut *found);
    }
    Ok((Some(heard), fit))
}

/// A wait of the gate's, with the ruler on the screen where there is a window.
struct Wait<'a> {
    window: Option<&'a mut Window>,
    until: Moment,
}

impl Wait<'_> {
    /// For so long.
    fn new(window: Option<&mut Window>, seconds: f64) -> Wait<'_> {
        Wait { window, until: Moment::now().plus(seconds) }
    }

    /// Shows the ruler for one frame more; `false` once the time is over or the operator goes on.
    fn goes_on(&mut self) -> Result<bool, Error> {
        let is_over = self.until.remaining().is_zero();
        let Some(window) = &mut self.window else {
            std::thread::sleep(Duration::from_millis(10));
            return Ok(!is_over);
        };
        window.show_untimed(Scene { image: Some(0), ..Scene::default() })?;
        // Every key of the operator's goes on: nothing here can be lost.
        Ok(window.operator_key().is_none() && !is_over)
    }
}

/// Writes the record below the dataset, under the time; one that exists is not written over.
fn keep(dataset: &Path, record: &Record) -> Result<PathBuf, Error> {
    bids::describe_dataset(dataset, "Responses to an image set", DatasetType::Raw)?;
    let path = dataset.join(attempt::RECORDS).join(format!("check_{}.json", utc(record.unix_s)));
    if path.exists() {
        return Err(study::Error::Exists(path).into());
    }
    file::write_json(&path, record)?;
    Ok(path)
}

/// A moment as `20261125T131530Z`.
fn utc(unix_s: u64) -> String {
    let seconds = unix_s as libc::time_t;
    // SAFETY: all zeros are a tm.
    let mut at: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of ours; the call writes the second and nothing else.
    unsafe { libc::gmtime_r(&raw const seconds, &raw mut at) };
    let (year, month) = (at.tm_year + 1900, at.tm_mon + 1);
    format!("{year:04}{month:02}{:02}T{:02}{:02}{:02}Z", at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_by_the_time_in_utc() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(1_709_210_096), "20240229T123456Z");
    }
}
