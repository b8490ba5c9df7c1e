//! The self-test: the faults that a session can meet, each made on purpose, met by the parts that a session uses: player,
//! trigger, journal, writer, verdict and recovery. The screen is simulated, because its refreshes must be exact to be
//! counted; bytes pass through a real pseudo-terminal, files are real, and what is killed is a real process.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::present::attempt::Attempt;
use crate::present::clock::Moment;
use crate::present::display::{DisplayFacts, FlipSourceFacts, FlipSourceKind, Pacing};
use crate::present::error::Error;
use crate::present::journal::{self, Account, Beginning, Row, ShownImage};
use crate::present::order;
use crate::present::player;
use crate::present::protocol::Protocol;
use crate::present::record;
use crate::present::recover::{self, Found};
use crate::present::simulated::SimulatedDisplay;
use crate::present::timeline::Timeline;
use crate::present::trigger::Devices;
use crate::present::trigger::emulated::{EmulatedBox, without_heirs};
use crate::present::wiring::{Code, PortSetup, SerialSetup, TriggerSetup};
use crate::present::writer::{JournalFile, Kept, Medium};
use crate::study::bids::RunName;
use crate::study::{
    self, Fault, Finding, OnsetSource, Progress, Provenance, RunFacts, Seed, Silent, Stage, Verdict, with_causes,
};

/// The byte that is a pulse.
const PULSE: u8 = b'5';

/// What the images are called.
const IMAGES: [&str; 2] = ["a", "b"];

/// What is rehearsed: 8 trials and 11 volumes in 2.2 s.
const PROTOCOL: &str = r#"
task = "faults"
tr_s = 0.2
dummies = "none"

[trials]
repetitions = 4
image_s = 0.1
soa_s = 0.2
null_fraction = 0.0
lead_in_s = 0.2
lead_out_s = 0.4

[screen]
width_mm = 400.0
distance_mm = 1000.0
image_size = "native"
background = { grey = 128 }

[trigger.serial]
port = "pseudo-terminal"
baud = 19200
byte = 0x35
"#;

/// Refreshes of the simulated screen a second.
const REFRESH_HZ: f64 = 60.0;

/// From arming to the first pulse.
const DELAY_S: f64 = 0.3;

/// How late the late pulse comes: within its own volume.
const LATE_S: f64 = 0.08;

/// How long after a pulse its double comes.
const BOUNCE_S: f64 = 0.015;

/// How many processes are killed.
const KILLS: u32 = 8;

/// A process that is killed may take this much of what it did with it, in seconds.
const LOST_WITH_A_KILL_S: f64 = 0.25;

/// On a machine that is busy the emulated scanner itself may be late: so often it is tried.
const ATTEMPTS: u32 = 5;

/// How long a process that is to be killed may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fault came to: whether it was dealt with as it should be, and what was seen.
type Seen = Result<(bool, String), Error>;

/// A fault that is made on purpose.
struct Mishap {
    name: &'static str,
    /// What a sound program makes of it.
    promise: &'static str,
    make: fn(&Path) -> Seen,
}

const MISHAPS: [Mishap; 10] = [
    Mishap { name: "an undisturbed run", promise: "it raises no alarm", make: undisturbed },
    Mishap {
        name: "dropped frames",
        promise: "each is counted and later trials keep their places",
        make: dropped_frames,
    },
    Mishap { name: "the first pulse lost", promise: "the run is ambiguous by one volume", make: first_pulse_lost },
    Mishap { name: "a pulse lost", promise: "it is missing and the onsets stand", make: pulse_lost },
    Mishap { name: "a doubled pulse", promise: "the double is told from the pulse", make: doubled_pulse },
    Mishap { name: "a late pulse", promise: "it is off the grid", make: late_pulse },
    Mishap { name: "the trigger's box unplugged", promise: "the run goes on to its end", make: unplugged },
    Mishap {
        name: "a full disk, for a while",
        promise: "the operator hears of it and nothing is lost",
        make: full_disk_for_a_while,
    },
    Mishap {
        name: "a full disk, to the end",
        promise: "the whole run is kept elsewhere and brought back",
        make: full_disk_to_the_end,
    },
    Mishap { name: "kill -9", promise: "what is older than 250 ms is recovered", make: killed },
];

/// Makes each fault and tells what became of it, in a fixed order. Takes about ten seconds, and a folder for temporary files.
pub fn faults(mut tell: impl FnMut(&Finding)) -> Result<Vec<Finding>, Error> {
    let folder = tempfile::tempdir().map_err(study::Error::file("create", std::env::temp_dir()))?;
    let folder = folder.path();
    std::thread::scope(|scope| {
        // All at once: they wait most of the time.
        let running: Vec<_> =
            (0..).zip(MISHAPS).map(|(n, mishap)| scope.spawn(move || face(folder, n, &mishap))).collect();
        let findings = running.into_iter().map(|fault| {
            let finding = fault.join().expect("a self-test does not panic");
            tell(&finding);
            finding
        });
        Ok(findings.collect())
    })
}

fn face(folder: &Path, number: u32, mishap: &Mishap) -> Finding {
    let Mishap { name, promise, make } = *mishap;
    let mut what = String::new();
    for attempt in 1..=ATTEMPTS {
        what = match make(&folder.join(format!("{number}-{attempt}"))) {
            Ok((true, seen)) if attempt == 1 => return Finding::pass(name, format!("{promise}: {seen}")),
            Ok((true, seen)) => {
                let before = format!("attempt {attempt}, a busy machine; the one before: {what}");
                return Finding::pass(name, format!("{promise}: {seen} ({before})"));
            }
            Ok((false, seen)) => seen,
            Err(error) => with_causes(&error),
        };
    }
    let advice =
        "close what else runs on this computer and try again; if it stays so, do not present with this program";
    Finding::fail(name, format!("not so that {promise}: {what}"), advice)
}

/// In a process of its own: presents a rehearsal into a dataset, until it is killed.
pub fn rehearse_until_killed(dataset: &Path) -> Result<(), Error> {
    Rehearsal::new()?.present(&attempt(dataset)?, Disturbance::default(), |disk| disk, dataset, &Silent).map(drop)
}

fn undisturbed(dataset: &Path) -> Seen {
    trigger_fault(dataset, |_| (), |verdict| *verdict == Verdict::Clean)
}

fn first_pulse_lost(dataset: &Path) -> Seen {
    let is_found =
        |verdict: &Verdict| matches!(verdict, Verdict::Ambiguous { pulses: 1, faults, .. } if faults.is_empty());
    trigger_fault(dataset, |pulses_s| _ = pulses_s.remove(0), is_found)
}

fn pulse_lost(dataset: &Path) -> Seen {
    let lost = [Fault::Missing { after_pulse: 5, count: 1 }];
    trigger_fault(dataset, |pulses_s| _ = pulses_s.remove(5), move |verdict| verdict.faults() == lost)
}

fn doubled_pulse(dataset: &Path) -> Seen {
    let double = |pulses_s: &mut Vec<f64>| pulses_s.insert(5, pulses_s[4] + BOUNCE_S);
    trigger_fault(dataset, double, |verdict| verdict.faults() == [Fault::Duplicate { pulse: 6 }])
}

fn late_pulse(dataset: &Path) -> Seen {
    let delay = |pulses_s: &mut Vec<f64>| pulses_s[5] += LATE_S;
    trigger_fault(dataset, delay, |verdict| matches!(verdict.faults(), [Fault::OffGrid { pulse: 6, .. }]))
}

fn unplugged(dataset: &Path) -> Seen {
    let disturbance = Disturbance { unplugged_after_s: Some(1.0), ..Disturbance::default() };
    let run = Rehearsal::new()?.recorded(dataset, disturbance)?;
    let is_lost = matches!(run.facts.trigger.verdict.faults(), [.., Fault::Lost { .. }]);
    Ok((is_lost && run.is_whole(), run.to_string()))
}

fn dropped_frames(dataset: &Path) -> Seen {
    const STALLS: [(u64, u64); 3] = [(90, 1), (110, 2), (130, 5)];
    let run = Rehearsal::new()?.recorded(dataset, Disturbance { stalls: STALLS.to_vec(), ..Disturbance::default() })?;
    let late = |row: &Row| if let Row::Late { missed, .. } = row { Some(*missed) } else { None };
    let late: Vec<u64> = run.account.rows.iter().filter_map(late).collect();
    let onset = |row: &Row| if let Row::Onset { frame, trial, .. } = row { Some((*trial, *frame)) } else { None };
    let delayed = run.account.rows.iter().filter_map(onset).filter(|(trial, frame)| {
        let planned = run.account.beginning.trials[*trial].onset_frame;
        // An onset may itself lie in a stall, and no longer than that.
        *frame < planned || *frame > planned + STALLS[2].1
    });
    let shifted = delayed.count();
    let seen = format!("{late:?} refreshes without a new frame, made were [1, 2, 5]; {shifted} trials shifted");
    Ok((late == STALLS.map(|(_, refreshes)| refreshes) && shifted == 0 && run.is_whole(), seen))
}

fn full_disk_for_a_while(dataset: &Path) -> Seen {
    let is_full = Arc::new(AtomicBool::new(false));
    let operator = Operator::default();
    let attempt = attempt(dataset)?;
    let kept = std::thread::scope(|scope| {
        let filling = is_full.clone();
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(1000));
            filling.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(700));
            filling.store(false, Ordering::Relaxed);
        });
        let behind = |disk| -> Arc<dyn Medium> { Arc::new(FillingDisk { disk, is_full }) };
        Rehearsal::new()?.present(&attempt, Disturbance::default(), behind, dataset, &operator)
    })?;
    let run = Recorded::of(&attempt)?;
    let is_told = operator.heard("THE RUN GOES ON") && operator.heard("is being written again");
    let seen = format!("{run}; the operator was {}told", if is_told { "" } else { "not " });
    Ok((kept == Kept::InPlace && run.is_whole() && is_told, seen))
}

fn full_disk_to_the_end(dataset: &Path) -> Seen {
    let is_full = Arc::new(AtomicBool::new(false));
    let operator = Operator::default();
    let attempt = attempt(dataset)?;
    let spare = dataset.with_extension("spare");
    let kept = std::thread::scope(|scope| {
        let filling = is_full.clone();
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(1000));
            filling.store(true, Ordering::Relaxed);
        });
        let behind = |disk| -> Arc<dyn Medium> { Arc::new(FillingDisk { disk, is_full }) };
        Rehearsal::new()?.present(&attempt, Disturbance::default(), behind, &spare, &operator)
    })?;
    let Kept::Spare(journal) = kept else { return Ok((false, "nobody noticed that the disk was full".into())) };
    let cut = std::fs::metadata(attempt.journal()).map_or(0, |file| file.len());
    without_heirs(|| recover::recover(&journal, Some(dataset)))?;
    let run = Recorded::of(&attempt)?;
    Ok((run.is_whole() && cut > 0, format!("{run}, of which the full disk had {cut} bytes")))
}

/// Kills processes at moments from their beginning to their end.
fn killed(folder: &Path) -> Seen {
    let recovered = std::thread::scope(|scope| {
        let kills: Vec<_> = (0..KILLS).map(|kill| scope.spawn(move || kill_and_recover(folder, kill))).collect();
        kills.into_iter().map(|kill| kill.join().expect("a self-test does not panic")).collect::<Result<Vec<_>, _>>()
    })?;
    let trials: Vec<String> = recovered.iter().map(|(_, trials)| trials.to_string()).collect();
    let lost_s = recovered.iter().map(|(lost_s, _)| *lost_s).fold(0.0, f64::max);
    let seen = format!(
        "{KILLS} processes killed, {} trials recovered of each; at most the last {:.0} ms were lost",
        trials.join(", "),
        1000.0 * lost_s
    );
    Ok((lost_s < LOST_WITH_A_KILL_S, seen))
}

/// Kills one and recovers what it did; how much was lost, in seconds, and how many trials were recovered.
fn kill_and_recover(folder: &Path, kill: u32) -> Result<(f64, usize), Error> {
    let dataset = folder.join(format!("killed-{kill}"));
    let program = std::env::current_exe().map_err(study::Error::file("find", "this program"))?;
    // Named before there is one.
    let attempt = Attempt::next(&dataset, &run_name())?;
    let mut command = Command::new(&program);
    command.args(["check", "--faults", "--until-killed"]).arg(&dataset);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = without_heirs(|| command.spawn()).map_err(study::Error::file("start", program))?;
    let journal = attempt.journal();
    let until = Instant::now() + PATIENCE;
    while std::fs::metadata(&journal).map_or(true, |file| file.len() == 0) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let run_s = 2.2 + DELAY_S;
    std::thread::sleep(Duration::from_secs_f64(run_s * (f64::from(kill) + 0.9) / f64::from(KILLS)));
    let killed = Moment::now();
    running.kill().and_then(|()| running.wait()).map_err(study::Error::file("kill", "a process of ours"))?;
    let account = journal::read(&journal)?;
    let last = account.rows.iter().map(record::moment).max();
    // The wait for silence before a run is armed has no rows.
    let lost_s = last.map_or(0.0, |last| killed.seconds_since(last).max(0.0));
    match recover::recover(&journal, None)?.found {
        Found::Recovered { table, .. } => {
            let events = study::Events::read(&table);
            let shown: Vec<String> =
                events.map_or(Vec::new(), |events| events.0.into_iter().map(|e| e.trial_type).collect());
            let planned = planned(&account.beginning);
            if !planned.starts_with(&shown) {
                let what = format!("{shown:?} is not the beginning of {planned:?}");
                return Err(study::Error::content(table, what).into());
            }
            Ok((lost_s, shown.len()))
        }
        Found::NeverBegan => Ok((0.0, 0)),
        Found::Table(_) => Ok((lost_s, 0)),
    }
}

fn planned(beginning: &Beginning) -> Vec<String> {
    let name = |image: Option<usize>| image.map_or("null".into(), |image| beginning.images[image].name.clone());
    beginning.trials.iter().map(|trial| name(trial.image)).collect()
}

/// A run whose pulses were disturbed.
fn trigger_fault(dataset: &Path, disturb: impl FnOnce(&mut Vec<f64>), is_found: impl FnOnce(&Verdict) -> bool) -> Seen {
    let rehearsal = Rehearsal::new()?;
    let mut pulses_s = rehearsal.pulses_s();
    disturb(&mut pulses_s);
    let run = rehearsal.recorded(dataset, Disturbance { pulses_s: Some(pulses_s), ..Disturbance::default() })?;
    Ok((is_found(&run.facts.trigger.verdict) && run.is_whole(), run.to_string()))
}

/// What goes wrong in a rehearsal.
#[derive(Default)]
struct Disturbance {
    /// When the pulses come, in seconds from the first; as they should where there are none.
    pulses_s: Option<Vec<f64>>,
    /// Refreshes of the screen, and how many too late they come.
    stalls: Vec<(u64, u64)>,
    /// When the trigger's box is unplugged, in seconds from arming.
    unplugged_after_s: Option<f64>,
}

/// A short run on a simulated screen, with pulses through a pseudo-terminal.
struct Rehearsal {
    protocol: Protocol,
    timeline: Timeline,
}

impl Rehearsal {
    fn new() -> Result<Rehearsal, Error> {
        let protocol = Protocol::parse(Path::new("the self-test's protocol"), PROTOCOL)?;
        let order = order::draw(&IMAGES.map(String::from), &protocol, Seed(0), &run_name())?;
        let timeline = Timeline::plan(&protocol, &order, REFRESH_HZ)?;
        Ok(Rehearsal { protocol, timeline })
    }

    /// When the pulses should come, in seconds from the first.
    fn pulses_s(&self) -> Vec<f64> {
        let expected = self.protocol.expected_pulses(self.timeline.volumes());
        (0..expected.pulses).map(|pulse| f64::from(pulse) * expected.interval_s).collect()
    }

    /// Presents it and makes its table.
    fn recorded(&self, dataset: &Path, disturbance: Disturbance) -> Result<Recorded, Error> {
        let attempt = attempt(dataset)?;
        self.present(&attempt, disturbance, |disk| disk, dataset, &Silent)?;
        Recorded::of(&attempt)
    }

    /// Presents it: everything that happens goes to the attempt's journal.
    fn present(
        &self,
        attempt: &Attempt,
        disturbance: Disturbance,
        behind: impl FnOnce(Arc<dyn Medium>) -> Arc<dyn Medium>,
        spare: &Path,
        operator: &dyn Progress,
    ) -> Result<Kept, Error> {
        let Disturbance { mut pulses_s, stalls, unplugged_after_s } = disturbance;
        let scanner = EmulatedBox::new(&[])?;
        let port = PortSetup { port: scanner.port(), baud: 19200, handshake: Vec::new() };
        let setup = TriggerSetup::Serial(SerialSetup { port, pulse: Code::Byte(PULSE) });
        let mut trigger = Devices::open(&setup, None, channel().1)?;
        let mut plugged_in = Some(scanner);
        let writer = JournalFile::create(&attempt.journal())?.behind(behind).begin(&self.beginning(attempt))?;
        let mut display = SimulatedDisplay::waited_for(REFRESH_HZ, &stalls);
        let (journal, rows) = journal::journal();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| writer.keep(rows, spare, operator));
            // Nobody is there who would have it armed anew.
            let armed = |_| {
                let first = Moment::now().plus(DELAY_S);
                let pulses_s = pulses_s.take().unwrap_or_else(|| self.pulses_s());
                if let Some(scanner) = &plugged_in {
                    scanner.send(pulses_s.into_iter().map(|at_s| (first.plus(at_s), PULSE)).collect());
                }
                if let Some(seconds) = unplugged_after_s {
                    let unplugged = plugged_in.take();
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_secs_f64(seconds));
                        drop(unplugged);
                    });
                }
            };
            let performed =
                player::perform(&self.protocol, &self.timeline, &mut display, &mut trigger, &journal, armed);
            drop(journal);
            let kept = writing.join().expect("the writer does not panic");
            performed.map(|()| kept)
        })
    }

    fn beginning(&self, attempt: &Attempt) -> Beginning {
        let image =
            |name: &str| ShownImage { name: name.into(), stim_file: format!("{name}.png"), sha256: "00".into() };
        Beginning {
            provenance: Provenance::here(),
            unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            run: attempt.run().to_string(),
            continues: None,
            emulated: true,
            unsteady_screen: false,
            trigger: "a pseudo-terminal".into(),
            other_devices: Vec::new(),
            image_set: "none".into(),
            image_set_sha256: "00".into(),
            images: IMAGES.map(image).to_vec(),
            image_px: [1, 1],
            image_deg: [0.1, 0.1],
            background_rgb: [128; 3],
            gamma_table_sha256: None,
            seed: Seed(0),
            display: DisplayFacts {
                window_px: [1, 1],
                screen_px: [1, 1],
                refresh_hz: REFRESH_HZ,
                nominal_hz: None,
                measured_hz: REFRESH_HZ,
                intervals: 0,
                sound_intervals: 0,
                interval_sd_ms: None,
                steady: true,
                pacing: Pacing::Software,
                frames_ahead: 0,
                flip_source: FlipSourceFacts::plain(FlipSourceKind::Simulated, OnsetSource::Simulated),
                adapter: "simulated".into(),
                backend: "none".into(),
                pixel_format: "none".into(),
            },
            volumes: self.timeline.volumes(),
            trials: self.timeline.trials().to_vec(),
            targets: self.timeline.targets().to_vec(),
            end_frame: self.timeline.end_frame(),
            protocol: self.protocol.clone(),
        }
    }
}

fn run_name() -> RunName {
    RunName::parse("sub-check_task-faults_run-01").expect("a run's name")
}

fn attempt(dataset: &Path) -> Result<Attempt, Error> {
    Attempt::next(dataset, &run_name())
}

/// A rehearsal that was presented, and its table.
struct Recorded {
    account: Account,
    facts: RunFacts,
    trials: Vec<String>,
}

impl Recorded {
    /// Makes the table from the journal, if that was not done.
    fn of(attempt: &Attempt) -> Result<Recorded, Error> {
        // Until it is another program a process that was started holds the lock of every journal.
        without_heirs(|| recover::make_table(attempt))?;
        let table = attempt.table();
        let facts = RunFacts::read(&table.with_extension("json"))?;
        let facts = facts.ok_or_else(|| study::Error::content(&table, "its sidecar is missing"))?;
        let trials = study::Events::read(&table)?.0.into_iter().map(|event| event.trial_type).collect();
        Ok(Recorded { account: journal::read(&attempt.journal())?, facts, trials })
    }

    /// Whether the run went to its end and its table has all of its trials in their order.
    fn is_whole(&self) -> bool {
        self.facts.complete && self.trials == planned(&self.account.beginning)
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, planned) = (self.trials.len(), self.account.beginning.trials.len());
        write!(f, "{shown} of {planned} trials, {}", self.facts.trigger.verdict)
    }
}

/// A disk that has no room for a while.
struct FillingDisk {
    disk: Arc<dyn Medium>,
    is_full: Arc<AtomicBool>,
}

impl Medium for FillingDisk {
    fn write_whole_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if !self.is_full.load(Ordering::Relaxed) {
            return self.disk.write_whole_at(bytes, offset);
        }
        // As full disks do, it takes a part.
        self.disk.write_whole_at(&bytes[..bytes.len() / 2], offset)?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

/// Hears what an operator would hear.
#[derive(Default)]
struct Operator(Mutex<Vec<String>>);

impl Operator {
    fn heard(&self, what: &str) -> bool {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().any(|line| line.contains(what))
    }
}

impl Progress for Operator {
    fn stage(&self, _: &str, _: u64) -> Box<dyn Stage + '_> {
        Box::new(Silent)
    }

    fn say(&self, line: &str) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Judgement;

    #[test]
    fn a_fault_that_is_not_found_fails_with_what_was_seen_or_why_not() {
        let unseen = Mishap { name: "x", promise: "it is found", make: |_| Ok((false, "nothing".into())) };
        let finding = face(Path::new("/nonexistent"), 0, &unseen);
        assert_eq!((finding.judgement, &*finding.found), (Judgement::Fail, "not so that it is found: nothing"));
        let broken = Mishap { make: |_| Err(Error::TriggerLost), ..unseen };
        let finding = face(Path::new("/nonexistent"), 0, &broken);
        assert!(finding.judgement == Judgement::Fail && finding.found.ends_with("before the run began"), "{finding:?}");
    }

    #[test]
    fn a_fault_that_is_found_the_second_time_says_that_the_machine_is_busy() {
        let second =
            |folder: &Path| Ok(if folder.ends_with("0-2") { (true, "seen".into()) } else { (false, "a stall".into()) });
        let finding = face(Path::new("/d"), 0, &Mishap { name: "x", promise: "it is found", make: second });
        assert_eq!(
            finding,
            Finding::pass("x", "it is found: seen (attempt 2, a busy machine; the one before: a stall)")
        );
    }
}
