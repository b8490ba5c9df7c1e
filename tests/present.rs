//! Runs of `layerprint present` as a user starts them, in real windows on virtual displays.
#![cfg(feature = "present")]

#[path = "common/bids.rs"]
mod bids;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use layerprint::rsa::{Rsm, pair_count};
use layerprint::study::{
    Events, Fault, Figures, ImageRecord, ImageSet, Layer, Manifest, Models, NetworkRecord, OnsetSource, Provenance,
    RunFacts, Weights, file,
};
use serde_json::Value;
use serialport::{SerialPort, TTYPort};
use tempfile::TempDir;

const WIDTH: u32 = 256;
const HEIGHT: u32 = 48;
const IMAGES: usize = 3;

/// About 5 s: 3 images and a null trial.
const PROTOCOL: &str = r#"
task = "test"
tr_s = 0.5
dummies = { discarded = 1 }

[trials]
repetitions = 1
image_s = 0.5
soa_s = 0.75
null_fraction = 0.25
lead_in_s = 0.5
lead_out_s = 0.5

[screen]
width_mm = 400.0
distance_mm = 1000.0
image_size = "native"
background = { grey = 77 }

[trigger.serial]
port = "/dev/no-such-port"
baud = 19200
byte = 0x35
"#;

/// A study in a temporary folder: an image set, a protocol, and where the dataset will be.
struct Study {
    folder: TempDir,
}

impl Study {
    fn new(protocol: &str) -> Study {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("tiny");
        fs::create_dir(&set).unwrap();
        let images: Vec<ImageRecord> = (0..IMAGES).map(|index| write_image(&set, index)).collect();
        let names: Vec<String> = images.iter().map(|image| image.name().to_owned()).collect();
        let rsm = |step: f64| {
            Rsm::from_upper(IMAGES, (0..pair_count(IMAGES)).map(|pair| step * pair as f64).collect()).unwrap()
        };
        let layers = ["conv1", "3a"].map(|name| Layer::new(name).unwrap()).to_vec();
        let models = Models::new(names, layers, vec![rsm(0.1), rsm(-0.2)]);
        let manifest = Manifest {
            size_px: [WIDTH, HEIGHT],
            provenance: Provenance::here(),
            network: NetworkRecord { name: "none".into(), weights: Weights::Untrained, weights_sha256: "00".into() },
            figures: Figures::of(&models),
            synthesis: None,
            selection: None,
            images,
        };
        ImageSet::write(&set, &manifest, &models).unwrap();
        fs::write(folder.path().join("protocol.toml"), protocol).unwrap();
        Study { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn dataset(&self) -> PathBuf {
        self.path("data")
    }

    /// `layerprint present` for participant 01, without any display in its environment.
    fn present(&self, run: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command
            .arg("present")
            .arg(self.path("protocol.toml"))
            .args(["--images".as_ref(), self.path("tiny").as_os_str()])
            .args(["--out".as_ref(), self.dataset().as_os_str()])
            .args(["--sub", "01", "--seed", "7", "--run", &run.to_string()])
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    /// Any other subcommand.
    fn layerprint(&self, arguments: &[&std::ffi::OsStr]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerprint"));
        command.args(arguments);
        command
    }

    fn events_path(&self, run: u32) -> PathBuf {
        self.dataset().join(format!("sub-01/func/sub-01_task-test_run-{run:02}_events.tsv"))
    }

    fn events(&self, run: u32) -> Events {
        Events::read(&self.events_path(run)).unwrap()
    }

    fn facts(&self, run: u32) -> RunFacts {
        RunFacts::read(&self.events_path(run).with_extension("json")).unwrap().unwrap()
    }

    /// A file of an attempt, by its ending.
    fn attempt_path(&self, run: u32, attempt: u32, ending: &str) -> PathBuf {
        let name = format!("sub-01_task-test_run-{run:02}_attempt-{attempt:02}_{ending}");
        self.dataset().join("sourcedata/layerprint/sub-01").join(name)
    }

    /// The facts of an attempt, whether it counts or not.
    fn attempt_facts(&self, run: u32, attempt: u32) -> RunFacts {
        RunFacts::read(&self.attempt_path(run, attempt, "events.json")).unwrap().unwrap()
    }

    fn journal_path(&self, run: u32) -> PathBuf {
        self.attempt_path(run, 1, "journal.jsonl")
    }

    /// The journal's lines, each a JSON object with the key "row".
    fn journal(&self, run: u32) -> Vec<Value> {
        let text = fs::read_to_string(self.journal_path(run)).unwrap_or_default();
        text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Every byte from 0 to 255 in each channel, in another order in each image.
fn pixel(image: usize, x: u32, y: u32) -> [u8; 3] {
    let shift = 50 * image as u32;
    [x + shift, 255 - x + y, 3 * x + 5 * y + shift].map(|value| (value % 256) as u8)
}

fn write_image(set: &Path, index: usize) -> ImageRecord {
    let name = format!("image_{:02}.png", index + 1);
    let path = set.join(&name);
    let pixels: Vec<u8> = (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| pixel(index, x, y))).collect();
    let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    ImageRecord { sha256: file::sha256(&fs::read(&path).unwrap()), file: name }
}

/// A server of displays that ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A display for one test at a time: two software renderers at once would disturb each other's timing.
struct XServer {
    _server: Server,
    display: String,
    framebuffer: TempDir,
    _alone: MutexGuard<'static, ()>,
}

static ONE_WINDOW: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_WINDOW.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn has_xvfb() -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join("Xvfb").is_file()));
    if !found {
        eprintln!("skipped: there is no Xvfb (Debian package xvfb)");
    }
    found
}

impl XServer {
    fn start() -> Option<XServer> {
        if !has_xvfb() {
            return None;
        }
        let alone = alone();
        let framebuffer = tempfile::tempdir().unwrap();
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-fbdir"])
            .arg(framebuffer.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(XServer { _server: Server(server), display: format!(":{}", number.trim()), framebuffer, _alone: alone })
    }

    /// What is on the screen: width, and RGB row by row. Read from the server's own memory, in the format XWD.
    fn grab(&self) -> (usize, Vec<[u8; 3]>) {
        let bytes = fs::read(self.framebuffer.path().join("Xvfb_screen0")).unwrap();
        let header = |word: usize| u32::from_be_bytes(bytes[4 * word..4 * word + 4].try_into().unwrap()) as usize;
        let [size, width, height, bits, stride, colours] = [0, 4, 5, 11, 12, 19].map(header);
        assert_eq!(bits, 32);
        let pixels = &bytes[size + 12 * colours..][..stride * height];
        let rows = pixels.chunks_exact(stride);
        (width, rows.flat_map(|row| row[..4 * width].chunks_exact(4).map(|bgrx| [bgrx[2], bgrx[1], bgrx[0]])).collect())
    }

    fn press(&self, key: &str) {
        // Without a window manager nobody gives the window the focus.
        let status = Command::new("xdotool")
            .args(["search", "--sync", "--name", "layerprint", "windowfocus", "--sync", "key", key])
            .env("DISPLAY", &self.display)
            .status();
        assert!(status.expect("the Debian package xdotool is installed").success());
    }
}

/// A Wayland compositor without a screen, for one test at a time. It takes a frame every 17 ms.
struct Weston {
    server: Server,
    _settings: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Weston {
    /// The name of its socket in the folder for those.
    const SOCKET: &str = "wayland-test";

    fn start(runtime_folder: &Path) -> Option<Weston> {
        let found = std::env::var_os("PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join("weston").is_file()));
        if !found {
            eprintln!("skipped: there is no weston (Debian package weston)");
            return None;
        }
        let alone = alone();
        let settings = tempfile::tempdir().unwrap();
        let path = settings.path().join("weston.ini");
        fs::write(&path, "[core]\nrepaint-window=7\nidle-time=0\n[shell]\nlocking=false\n").unwrap();
        let server = Command::new("weston")
            .args(["--backend=headless-backend.so", "--shell=desktop-shell.so", "--width=640", "--height=480"])
            .arg(format!("--socket={}", Weston::SOCKET))
            .arg(format!("--config={}", path.display()))
            .env("XDG_RUNTIME_DIR", runtime_folder)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let weston = Weston { server: Server(server), _settings: settings, _alone: alone };
        eventually("the compositor's socket", || runtime_folder.join(Weston::SOCKET).exists().then_some(()));
        Some(weston)
    }

    /// It does not answer any more.
    fn freeze(&self) {
        // SAFETY: a signal to a process of ours.
        assert_eq!(unsafe { libc::kill(self.server.0.id() as libc::pid_t, libc::SIGSTOP) }, 0);
    }
}

/// Waits, with a long patience, until something is the case.
fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command that must fail says, with a single error in it.
fn complaint(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let text = stderr(&output);
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Both ends of a pseudo-terminal, and the path of the far end.
fn terminal() -> (TTYPort, TTYPort, String) {
    let (near_end, far_end) = TTYPort::pair().unwrap();
    for end in [&near_end, &far_end] {
        // A program started by a test would inherit the terminal and keep it alive.
        // SAFETY: the descriptor is open, and the call changes nothing but its flag.
        assert_eq!(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) }, 0);
    }
    let port = far_end.name().unwrap();
    (near_end, far_end, port)
}

#[test]
fn a_rehearsal_on_a_virtual_display_is_a_whole_run_and_is_never_overwritten() {
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    let study = Study::new(PROTOCOL);
    let output = study.present(1, &["--emulate", "--virtual-display"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    let events = study.events(1);
    let mut shown: Vec<&str> = events.0.iter().map(|event| event.trial_type.as_str()).collect();
    shown.sort_unstable();
    assert_eq!(shown, ["image_01", "image_02", "image_03", "null"]);
    for (place, event) in events.0.iter().enumerate() {
        assert_eq!(event.planned_onset_s, Some(0.5 + 0.75 * place as f64));
        assert_eq!(event.onset_source, Some(OnsetSource::Estimated));
        assert!(event.frames.unwrap() > 0);
        if event.trial_type != "null" {
            let image = format!("{}.png", event.trial_type);
            assert_eq!(event.stim_file.as_deref(), Some(format!("tiny/{image}").as_str()));
            let copy = fs::read(study.dataset().join("stimuli/tiny").join(&image)).unwrap();
            assert_eq!(copy, fs::read(study.path("tiny").join(&image)).unwrap());
            assert_eq!(event.image_sha256, Some(file::sha256(&copy)));
        }
    }

    let facts = study.facts(1);
    assert!(facts.emulated && facts.complete);
    assert_eq!(facts.image_set_sha256, ImageSet::load(&study.path("tiny")).unwrap().sha256());
    let more = Value::Object(facts.more);
    assert_eq!(more["seed"], 7);
    assert_eq!(more["volumes"], 8);
    assert_eq!((facts.trigger.expected_pulses, facts.pulses_s.len()), (9, 9));
    assert_eq!(more["trials"]["planned"], 4);
    assert_eq!(more["trials"]["shown"], 4);
    assert_eq!(more["display"]["pacing"], "software");
    assert_eq!(more["protocol"]["trials"]["soa_s"], 0.75);
    assert_eq!(facts.pulses_s[1], 0.0, "one dummy pulse comes before the first stored volume");
    let journal = study.journal(1);
    assert_eq!(journal[0]["row"], "begin");
    assert_eq!(journal.last().unwrap()["ending"], "complete");
    assert!(journal.iter().filter(|row| row["row"] == "flip").count() > 60);

    let files = || {
        let names = ["events.tsv", "events.json", "journal.jsonl"];
        let of_attempt = names.map(|name| fs::read(study.attempt_path(1, 1, name)).unwrap());
        (fs::read(study.events_path(1)).unwrap(), of_attempt)
    };
    let before = files();
    assert_eq!(before.0, before.1[0], "the table that counts is a copy of the attempt's");
    let again = study.present(1, &["--emulate", "--virtual-display"]).output().unwrap();
    assert!(again.status.success() && stderr(&again).contains("this is attempt 2"), "{}", stderr(&again));
    assert!(String::from_utf8_lossy(&again.stdout).contains("attempt 2 does not count as the run's"));
    assert_eq!(files(), before);
    assert_eq!(study.attempt_facts(1, 2).more["attempt"], 2);

    let second = study.attempt_path(1, 2, "events.tsv");
    assert!(study.layerprint(&["promote".as_ref(), second.as_os_str()]).status().unwrap().success());
    assert_eq!(study.facts(1).more["attempt"], 2);
    assert_eq!(fs::read(study.events_path(1)).unwrap(), fs::read(second).unwrap());
    assert_eq!(files().1, before.1);
}

/// The protocol, with a box that sends states, three changes of the fixation, and two buttons.
fn with_task() -> String {
    let targets = "[targets.fixation_change]\ncount = 3\nduration_s = 0.2\nmin_distance_s = 0.9\nrgb = [0, 255, 0]\n";
    let responses = "[responses]\ndebounce_s = 0.03\nwindow_s = 0.8\n\
        buttons = { blue = { mask = 0x01 }, red = { mask = 0x02 } }\n";
    let handshake = "handshake = [{ send = \"C\", answer = \"A\" }]\n";
    let protocol = PROTOCOL.replace("byte = 0x35\n", &format!("mask = 0x10\n{handshake}"));
    let fixation = "background = { grey = 77 }\nfixation = { diameter_deg = 0.5, rgb = [255, 0, 0] }\n";
    format!("{}{targets}{responses}", protocol.replace("background = { grey = 77 }\n", fixation))
}

#[test]
fn a_rehearsed_task_is_scored_and_has_its_targets_and_presses_in_the_table() {
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    let study = Study::new(&with_task());
    let output = study.present(1, &["--emulate", "--virtual-display"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("of 3 targets responded to"), "{said}");

    let facts = study.facts(1);
    assert_eq!((facts.pulses_s.len(), facts.trigger.other_bytes), (9, 0), "{}", facts.trigger.verdict);
    let events = study.events(1).0;
    let of = |trial_type: &'static str| events.iter().filter(move |event| event.trial_type == trial_type);
    assert_eq!(of("fixation_change").count(), 3);
    assert!(of("fixation_change").all(|event| event.frames.is_some_and(|frames| (6..=18).contains(&frames))));
    let responses = &facts.more["responses"];
    assert_eq!(responses["presses"], of("button_press").count());
    assert!(of("button_press").all(|event| event.response_button.as_deref() == Some("blue")));
    let hits = of("fixation_change").filter(|event| event.response_time_s.is_some()).count();
    assert_eq!(responses["score"]["hits"], hits);
    assert!(hits > 0, "{said}");
    assert_eq!(events.iter().filter(|event| event.is_of_trial()).count(), 4);
    let presses = study.journal(1).iter().filter(|row| row["row"] == "press").count();
    assert_eq!(responses["presses"].as_u64().unwrap() + responses["bounces"].as_u64().unwrap(), presses as u64);
}

#[test]
fn buttons_that_are_lost_during_the_run_do_not_stop_it_and_the_operator_hears_of_it() {
    let Some(server) = XServer::start() else { return };
    let (mut scanner, _scanner_end, port) = terminal();
    let (buttons, buttons_end, buttons_port) = terminal();
    let responses = format!(
        "[responses]\ndebounce_s = 0.03\nwindow_s = 0.8\nbuttons = {{ a = {{ byte = 97 }} }}\n\
         serial = {{ port = \"{buttons_port}\", baud = 9600 }}\n"
    );
    let study = Study::new(&format!("{}{responses}", PROTOCOL.replace("{ discarded = 1 }", "\"none\"")));
    let running = study
        .present(1, &["--trigger-port", &port, "--unsteady-screen"])
        .env("DISPLAY", &server.display)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the arming", || study.journal(1).iter().any(|row| row["row"] == "armed").then_some(()));
    scanner.write_all(b"5").unwrap();
    eventually("the first image", || study.journal(1).iter().any(|row| row["row"] == "onset").then_some(()));
    let mut buttons = buttons;
    buttons.write_all(b"a").unwrap();
    eventually("the press", || study.journal(1).iter().any(|row| row["row"] == "press").then_some(()));
    drop((buttons, buttons_end));
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("THE BUTTONS WERE LOST"), "{}", stderr(&output));
    let responses = &study.facts(1).more["responses"];
    assert_eq!((&responses["lost"], &responses["presses"]), (&Value::Bool(true), &Value::from(1)));
}

#[test]
fn the_pixels_on_the_screen_are_the_bytes_of_the_png() {
    let Some(server) = XServer::start() else { return };
    // Slow, so that each image can be grabbed.
    let study = Study::new(&PROTOCOL.replace("image_s = 0.5", "image_s = 2.0").replace("soa_s = 0.75", "soa_s = 2.5"));
    let mut running =
        study.present(1, &["--emulate"]).env("DISPLAY", &server.display).stderr(Stdio::piped()).spawn().unwrap();
    let image_on_screen = || {
        let (width, pixels) = server.grab();
        let (left, above) = ((640 - WIDTH as usize) / 2, (480 - HEIGHT as usize) / 2);
        let is_inside = |x: usize, y: usize| {
            (left..left + WIDTH as usize).contains(&x) && (above..above + HEIGHT as usize).contains(&y)
        };
        (0..IMAGES).find(|&image| {
            pixels.iter().enumerate().all(|(place, &found)| {
                let (x, y) = (place % width, place / width);
                let expected =
                    if is_inside(x, y) { pixel(image, (x - left) as u32, (y - above) as u32) } else { [77; 3] };
                found == expected
            })
        })
    };
    let mut seen = [false; IMAGES];
    eventually("every image, exact in every pixel of the screen,", || {
        if let Some(image) = image_on_screen() {
            seen[image] = true;
        }
        seen.iter().all(|&seen| seen).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn the_photodiode_and_the_gamma_table_are_on_the_screen_to_the_byte() {
    let Some(server) = XServer::start() else { return };
    // 640 pixels are 400 mm: the patch is 32 pixels wide.
    let photodiode = "photodiode = { corner = \"bottom_left\", size_mm = 20.0 }\ngamma_table = \"gamma.txt\"\n";
    let protocol = PROTOCOL.replace("[trigger.serial]", &format!("{photodiode}\n[trigger.serial]"));
    // Many, because a white patch is there for 3 frames only.
    let study = Study::new(&protocol.replace("repetitions = 1", "repetitions = 20"));
    let sent = |rgb: [u8; 3]| [255 - rgb[0], rgb[1] / 2, rgb[2] / 4 + 100];
    let line = |byte: u8| sent([byte; 3]).map(|byte| byte.to_string()).join(" ");
    let table = (0..=255).map(line).collect::<Vec<_>>().join("\n");
    fs::write(study.path("gamma.txt"), &table).unwrap();
    let mut running =
        study.present(1, &["--emulate"]).env("DISPLAY", &server.display).stderr(Stdio::piped()).spawn().unwrap();

    const PATCH: usize = 32;
    let (left, above) = ((640 - WIDTH as usize) / 2, (480 - HEIGHT as usize) / 2);
    let (mut seen, mut seen_white) = ([false; IMAGES], false);
    eventually("every image, and a white patch at an onset,", || {
        let (width, pixels) = server.grab();
        let colour = |x: usize, y: usize| pixels[y * width + x];
        let patch = colour(0, 479);
        assert!([[0; 3], [255; 3], [77; 3], sent([77; 3])].contains(&patch), "{patch:?}");
        let is_patch = |x: usize, y: usize| x < PATCH && y >= 480 - PATCH;
        let is_image = |x: usize, y: usize| {
            (left..left + WIDTH as usize).contains(&x) && (above..above + HEIGHT as usize).contains(&y)
        };
        let shows = |image: Option<usize>| {
            (0..480).all(|y| {
                (0..640).all(|x| {
                    colour(x, y)
                        == match image {
                            _ if is_patch(x, y) => patch,
                            Some(image) if is_image(x, y) => sent(pixel(image, (x - left) as u32, (y - above) as u32)),
                            _ => sent([77; 3]),
                        }
                })
            })
        };
        let is_news = patch == [255; 3] || seen.contains(&false);
        if let Some(image) = (0..IMAGES).find(|&image| is_news && shows(Some(image))) {
            seen[image] = true;
            seen_white |= patch == [255; 3];
        }
        (seen.iter().all(|&seen| seen) && seen_white).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(study.journal(1)[0]["gamma_table_sha256"], file::sha256(table.as_bytes()));
}

/// Where the images lie on a screen of 640 x 480 pixels, and the pixel that is meant to be there: of an image, or around it.
fn meant(image: Option<usize>, x: usize, y: usize) -> [u8; 3] {
    let (left, above) = ((640 - WIDTH as usize) / 2, (480 - HEIGHT as usize) / 2);
    let is_inside = (left..left + WIDTH as usize).contains(&x) && (above..above + HEIGHT as usize).contains(&y);
    match image {
        Some(image) if is_inside => pixel(image, (x - left) as u32, (y - above) as u32),
        _ => [77; 3],
    }
}

/// A pixel of the screen: x, y and its bytes.
type OnScreen = (usize, usize, [u8; 3]);

/// The pixels of a grabbed screen where something else is than an image, or nothing, would have there; `None` where it is
/// no image that this is the least part of.
fn besides(grabbed: &(usize, Vec<[u8; 3]>)) -> Option<(Option<usize>, Vec<OnScreen>)> {
    let (width, pixels) = grabbed;
    let others = |image: Option<usize>| {
        let place = |(place, &found): (usize, &[u8; 3])| {
            let (x, y) = (place % width, place / width);
            (found != meant(image, x, y)).then_some((x, y, found))
        };
        pixels.iter().enumerate().filter_map(place).collect::<Vec<_>>()
    };
    let shown = [None].into_iter().chain((0..IMAGES).map(Some)).map(|image| (image, others(image)));
    shown.min_by_key(|(_, others)| others.len()).filter(|(_, others)| others.len() < 1000)
}

#[test]
fn the_fixation_has_its_other_colour_on_the_screen_to_the_byte_also_over_images() {
    let Some(server) = XServer::start() else { return };
    let slow = with_task().replace("soa_s = 0.75", "soa_s = 1.5").replace("duration_s = 0.2", "duration_s = 0.5");
    let study = Study::new(&slow.replace("repetitions = 1", "repetitions = 10").replace("count = 3", "count = 30"));
    let mut running =
        study.present(1, &["--emulate"]).env("DISPLAY", &server.display).stderr(Stdio::null()).spawn().unwrap();
    let colours = [[255, 0, 0], [0, 255, 0]];
    // Where the dot was red and where it was green, on the background alone; and over an image, in either colour.
    let mut dots: [Option<Vec<(usize, usize)>>; 2] = [None, None];
    let mut over_image = [false; 2];
    eventually("the fixation in both colours, alone and over an image,", || {
        let (image, others) = besides(&server.grab())?;
        let colour = colours.iter().position(|colour| others.iter().all(|(.., found)| found == colour))?;
        let dot: Vec<(usize, usize)> = others.iter().map(|(x, y, _)| (*x, *y)).collect();
        match image {
            None if !dot.is_empty() => dots[colour] = Some(dot),
            // A pixel of the image may have the dot's colour by itself.
            Some(_) if dots[colour].as_ref().is_some_and(|alone| dot.iter().all(|place| alone.contains(place))) => {
                over_image[colour] |= dot.len() > 1;
            }
            _ => (),
        }
        (dots.iter().all(Option::is_some) && over_image == [true; 2]).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
    let [red, green] = dots.map(Option::unwrap);
    assert_eq!(red, green);
    // 0.5 degrees at 1 m are 8.73 mm: 14 pixels of 0.625 mm.
    let area = std::f64::consts::PI * 7.0_f64.powi(2);
    assert!((red.len() as f64 / area - 1.0).abs() < 0.1 && red.contains(&(320, 240)), "{} pixels", red.len());
}

#[test]
fn the_grey_square_of_a_target_is_on_its_image_at_its_place_and_nothing_else_is_changed() {
    let Some(server) = XServer::start() else { return };
    let targets = "[targets.grey_square]\ncount = 5\nduration_s = 1.0\nwidth = 0.1\n\n[screen]";
    let protocol = PROTOCOL.replace("image_s = 0.5", "image_s = 1.5").replace("soa_s = 0.75", "soa_s = 2.0");
    let study = Study::new(&protocol.replace("repetitions = 1", "repetitions = 5").replace("[screen]", targets));
    let mut running =
        study.present(1, &["--emulate"]).env("DISPLAY", &server.display).stderr(Stdio::null()).spawn().unwrap();
    // A tenth of 256 pixels.
    const EDGE: usize = 26;
    let mut seen = Vec::new();
    eventually("three squares", || {
        let (image, others) = besides(&server.grab())?;
        let (left, above) = (others.iter().map(|(x, ..)| *x).min()?, others.iter().map(|(_, y, _)| *y).min()?);
        let is_grey = others.iter().all(|(.., found)| *found == [128; 3]);
        let is_square = others.iter().all(|(x, y, _)| *x < left + EDGE && *y < above + EDGE);
        let square = (image?, left, above);
        if is_grey && is_square && others.len() > EDGE * EDGE - 20 && !seen.contains(&square) {
            seen.push(square);
        }
        (seen.len() >= 3).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
    let beginning = &study.journal(1)[0];
    let planned = beginning["targets"].as_array().unwrap().iter().map(|target| {
        let image = beginning["trials"][target["trial"].as_u64().unwrap() as usize]["image"].as_u64().unwrap();
        let share = |key: &str, room: usize| (target[key].as_f64().unwrap() * room as f64).round() as usize;
        let (x, y) = (share("x", WIDTH as usize - EDGE), share("y", HEIGHT as usize - EDGE));
        (image as usize, (640 - WIDTH as usize) / 2 + x, (480 - HEIGHT as usize) / 2 + y)
    });
    let planned: Vec<(usize, usize, usize)> = planned.collect();
    assert!(seen.iter().all(|square| planned.contains(square)), "{seen:?} of {planned:?}");
}

#[test]
fn a_gamma_table_that_is_not_there_and_a_patch_over_the_images_are_named_and_nothing_is_written() {
    let Some(server) = XServer::start() else { return };
    let complaint_with = |key: &str| {
        let study = Study::new(&PROTOCOL.replace("[trigger.serial]", &format!("{key}\n[trigger.serial]")));
        let text = complaint(study.present(1, &["--emulate"]).env("DISPLAY", &server.display));
        assert!(!study.dataset().exists());
        text
    };
    let text = complaint_with("gamma_table = \"none.txt\"");
    assert!(text.contains("none.txt"), "{text}");
    let text = complaint_with("photodiode = { corner = \"top_left\", size_mm = 200.0 }");
    assert!(text.contains("patch of 320 x 320 pixels"), "{text}");
}

#[test]
fn a_screen_that_is_not_steady_is_refused_before_anything_is_written() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(PROTOCOL);
    let (_scanner, _far_end, port) = terminal();
    let text = complaint(study.present(1, &["--trigger-port", &port]).env("DISPLAY", &server.display));
    assert!(text.contains("the screen is not steady") && text.contains("--unsteady-screen"), "{text}");
    assert!(!study.dataset().exists());
}

/// How much longer than 5 s a run on Wayland is: `LAYERPRINT_WAYLAND_S`.
fn wayland_s() -> u32 {
    std::env::var("LAYERPRINT_WAYLAND_S").map_or(55, |more| more.parse().expect("LAYERPRINT_WAYLAND_S is a number"))
}

#[test]
fn a_wayland_compositor_tells_when_it_presented_each_frame() {
    let study = Study::new(&PROTOCOL.replace("lead_out_s = 0.5", &format!("lead_out_s = {}.0", wayland_s())));
    let Some(_weston) = Weston::start(study.folder.path()) else { return };
    let output = study.present(1, &["--emulate"]).env("WAYLAND_DISPLAY", Weston::SOCKET).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    // Nothing is flagged as the work of hardware where there is none.
    assert!(said.contains("times of flips: the Wayland compositor's feedback, marked estimated"), "{said}");

    let more = Value::Object(study.facts(1).more);
    let source = &more["display"]["flip_source"];
    assert!(source["kind"] == "wayland_presentation" && source["clock_id"].is_u64(), "{source}");
    assert_eq!(source["passed_over"].as_array().unwrap().len(), 0);
    assert!(more["display"]["intervals"].as_u64().unwrap() >= 100, "{more}");

    let journal = study.journal(1);
    let rows = |name: &str| journal.iter().filter(|row| row["row"] == name).collect::<Vec<_>>();
    let flips = rows("flip");
    assert!(rows("unseen").is_empty(), "{:?}", rows("unseen"));
    let at_ns: Vec<u64> = flips.iter().map(|flip| flip["at_ns"].as_u64().unwrap()).collect();
    assert!(at_ns.is_sorted_by(|a, b| a < b), "each frame has a time of its own");
    assert!(flips.iter().all(|flip| flip["source"] == "estimated"));
    let took_s = (at_ns.last().unwrap() - at_ns[0]) as f64 * 1e-9;
    let missed: u64 = rows("late").iter().filter_map(|late| late["missed"].as_u64()).sum();
    println!("{} frames in {took_s:.1} s, each with its time; {missed} refreshes without a new frame", flips.len());
    assert!(flips.len() as f64 > 20.0 * took_s, "{} frames in {took_s} s", flips.len());
    // A display that is slower than the rate that was planned with says so: its frames and those that it missed are all.
    let planned = more["display"]["refresh_hz"].as_f64().unwrap() * took_s;
    let told = (flips.len() as u64 - 1 + missed) as f64;
    assert!((told / planned - 1.0).abs() < 0.03, "{told} of {planned} refreshes are told of");
    for onset in rows("onset") {
        let flip = flips.iter().find(|flip| flip["at_ns"] == onset["at_ns"]).expect("an onset is a flip");
        assert_eq!(flip["source"], onset["source"]);
    }
    assert_eq!(study.events(1).0.len(), 4);
}

#[test]
fn a_compositor_that_takes_no_frame_any_more_ends_the_program_and_what_was_shown_is_kept() {
    let study = Study::new(PROTOCOL);
    let Some(weston) = Weston::start(study.folder.path()) else { return };
    let running = study
        .present(1, &["--emulate"])
        .env("WAYLAND_DISPLAY", Weston::SOCKET)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the first image", || study.journal(1).iter().any(|row| row["row"] == "onset").then_some(()));
    weston.freeze();
    let output = running.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert_eq!(stderr(&output).matches("error: ").count(), 1, "{}", stderr(&output));
    let journal = study.journal_path(1);
    let recovered = study.layerprint(&["recover".as_ref(), journal.as_os_str()]).output().unwrap();
    assert!(recovered.status.success() && !study.attempt_facts(1, 1).complete, "{}", stderr(&recovered));
}

#[test]
fn a_key_starts_a_run_and_escape_ends_it_with_whole_files() {
    let Some(server) = XServer::start() else { return };
    let (before, _) = PROTOCOL.split_once("[trigger.serial]").unwrap();
    let protocol = before.replace("{ discarded = 1 }", "\"none\"").replace("lead_out_s = 0.5", "lead_out_s = 300.0");
    let study = Study::new(&format!("{protocol}[trigger.keyboard]\nkey = \"t\"\n"));
    let running = study
        .present(1, &["--windowed", "--unsteady-screen"])
        .env("DISPLAY", &server.display)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let has_row = |name: &str| study.journal(1).iter().any(|row| row["row"] == name).then_some(());
    eventually("the wait for the first pulse", || has_row("armed"));
    server.press("x");
    server.press("t");
    eventually("the first image's end", || has_row("offset"));
    server.press("Escape");
    eventually("the question", || has_row("abort_asked"));
    server.press("Escape");
    let output = running.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("aborted"), "{said}");
    assert!(said.contains("ESCAPE: press it again within 3 s"), "{said}");

    assert!(!study.events_path(1).exists(), "an aborted attempt does not count by itself");
    let facts = study.attempt_facts(1, 1);
    assert!(!facts.complete && !facts.emulated);
    assert!(facts.more["unsteady_screen"] == true && facts.more["display"]["steady"] == false);
    assert_eq!(study.journal(1)[0]["unsteady_screen"], true);
    assert_eq!(facts.more["ending"], "aborted");
    assert_eq!(facts.pulses_s.len(), 1);
    assert!(!Events::read(&study.attempt_path(1, 1, "events.tsv")).unwrap().0.is_empty());
    assert_eq!(study.journal(1).last().unwrap()["ending"], "aborted");
}

#[test]
fn a_trigger_lost_during_the_run_does_not_stop_it() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(&PROTOCOL.replace("{ discarded = 1 }", "\"none\""));
    let (mut scanner, far_end, port) = terminal();
    let running = study
        .present(1, &["--trigger-port", &port, "--unsteady-screen"])
        .env("DISPLAY", &server.display)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the wait for the first pulse", || {
        study.journal(1).iter().any(|row| row["row"] == "armed").then_some(())
    });
    scanner.write_all(b"x5").unwrap();
    eventually("the first image", || study.journal(1).iter().any(|row| row["row"] == "onset").then_some(()));
    drop((scanner, far_end));
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    let facts = study.facts(1);
    assert!(facts.complete && !facts.emulated);
    assert!(matches!(facts.trigger.verdict.faults().last(), Some(Fault::Lost { .. })), "{}", facts.trigger.verdict);
    assert_eq!(facts.trigger.other_bytes, 1);
    assert_eq!(study.events(1).0.len(), 4);
}

#[test]
fn a_scanner_that_runs_already_is_told_and_waited_for() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(PROTOCOL);
    let (mut scanner, _far_end, port) = terminal();
    let mut running = study
        .present(1, &["--trigger-port", &port, "--unsteady-screen"])
        .env("DISPLAY", &server.display)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(running.stderr.take().unwrap());
    let hear = std::thread::spawn(move || {
        let mut said = String::new();
        while !said.contains("ARMED") && told.read_line(&mut said).unwrap() > 0 {}
        let is_told = said.contains("the scanner is already running: the run is not armed before it is quiet");
        assert!(is_told && said.contains("the scanner was already running"), "{said}");
        told
    });
    // Until the program has long been waiting for silence.
    let mut long_since = 50;
    while long_since > 0 {
        scanner.write_all(b"5").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let journal = study.journal(1);
        assert!(!journal.iter().any(|row| row["row"] == "armed" || row["row"] == "pulse"));
        long_since -= i32::from(journal.iter().any(|row| row["row"] == "early_pulse"));
    }
    let mut told = hear.join().unwrap();
    for _ in 0..9 {
        scanner.write_all(b"5").unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut said = String::new();
    while told.read_line(&mut said).unwrap() > 0 {}
    assert!(running.wait().unwrap().success(), "{said}");
    let facts = study.facts(1);
    assert!(facts.complete);
    assert_eq!((facts.trigger.expected_pulses, facts.pulses_s.len()), (9, 9), "{}", facts.trigger.verdict);
}

#[test]
fn a_port_that_does_not_exist_is_named_and_nothing_is_written() {
    let study = Study::new(PROTOCOL);
    let text = complaint(&mut study.present(1, &[]));
    assert!(text.contains("/dev/no-such-port"), "{text}");
    assert!(!study.dataset().exists());
}

#[test]
fn a_file_where_the_run_s_files_belong_is_named_before_anything_is_shown() {
    for place in ["data", "data/sub-01/func", "data/sourcedata/layerprint", "data/stimuli"] {
        let study = Study::new(PROTOCOL);
        let path = study.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let text = complaint(&mut study.present(1, &["--emulate"]));
        assert!(text.contains(place) && text.contains("it is a file, and should be a folder"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
}

#[test]
fn without_a_display_the_virtual_one_is_named() {
    let study = Study::new(PROTOCOL);
    let text = complaint(&mut study.present(1, &["--emulate"]));
    assert!(text.contains("--virtual-display") && !text.contains(".rs:"), "{text}");
    assert!(!study.dataset().exists());
}

#[test]
fn without_xvfb_its_package_is_named() {
    let study = Study::new(PROTOCOL);
    let text = complaint(study.present(1, &["--emulate", "--virtual-display"]).env("PATH", "/nonexistent"));
    assert!(text.contains("package xvfb"), "{text}");
}

#[test]
fn a_duration_between_two_frames_is_refused_before_anything_is_written() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(&PROTOCOL.replace("image_s = 0.5", "image_s = 0.51"));
    let text = complaint(study.present(1, &["--emulate"]).env("DISPLAY", &server.display));
    assert!(text.contains("image_s") && text.contains("0.500000 s and 0.516667 s"), "{text}");
    assert!(!study.dataset().exists());
}

#[test]
fn a_misspelt_key_and_a_changed_image_are_named() {
    let study = Study::new(&PROTOCOL.replace("soa_s", "soa_sec"));
    let text = complaint(&mut study.present(1, &["--emulate"]));
    assert!(text.contains("protocol.toml") && text.contains("line 9") && text.contains("soa_sec"), "{text}");

    let study = Study::new(PROTOCOL);
    let mut image = fs::OpenOptions::new().append(true).open(study.path("tiny/image_02.png")).unwrap();
    image.write_all(b"x").unwrap();
    let text = complaint(&mut study.present(1, &["--emulate"]));
    assert!(text.contains("image_02.png"), "{text}");
}

/// The time of the monotonic clock, in nanoseconds: the clock of the journal.
fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours; the call writes it and nothing else.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The images of an attempt's trials, as its journal's first line has them; `null` for a null trial.
fn planned(study: &Study, attempt: u32) -> Vec<Value> {
    let text = fs::read_to_string(study.attempt_path(1, attempt, "journal.jsonl")).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    first["trials"].as_array().unwrap().iter().map(|trial| trial["image"].clone()).collect()
}

/// How often a run is killed: `LAYERPRINT_KILLS`.
fn kills() -> u32 {
    std::env::var("LAYERPRINT_KILLS").map_or(4, |kills| kills.parse().expect("LAYERPRINT_KILLS is a number"))
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_recovered_and_goes_on_in_its_order() {
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    let study = Study::new(PROTOCOL);
    let mut last_begun = 0;
    for attempt in 1..=kills() {
        let mut running = study
            .present(1, &["--emulate", "--virtual-display"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let journal = study.attempt_path(1, attempt, "journal.jsonl");
        eventually("the beginning", || fs::metadata(&journal).is_ok_and(|file| file.len() > 0).then_some(()));
        // From before the first pulse to the lead-out, at moments that fall everywhere within a frame.
        std::thread::sleep(Duration::from_micros(u64::from(attempt) * 1_337_007 % 4_500_000));
        let killed_ns = monotonic_ns();
        running.kill().unwrap();
        running.wait().unwrap();

        let output = study.layerprint(&["recover".as_ref(), journal.as_os_str()]).output().unwrap();
        assert!(output.status.success(), "attempt {attempt}: {}", stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = fs::read_to_string(&journal).unwrap();
        let last_ns = text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok()?["at_ns"].as_u64());
        let table = study.attempt_path(1, attempt, "events.tsv");
        if said.contains("nothing was shown") {
            assert!(!table.exists());
            continue;
        }
        let lost_ms = killed_ns.saturating_sub(last_ns.unwrap()) as f64 * 1e-6;
        assert!(lost_ms < 250.0, "attempt {attempt}: nothing is known of the last {lost_ms} ms");
        assert_eq!(planned(&study, attempt), planned(&study, 1), "each attempt has the order of the run");
        let shown = fs::read_to_string(&table).unwrap().lines().count() - 1;
        let facts = study.attempt_facts(1, attempt);
        assert!(facts.more["recovered"] == true && !facts.complete);
        assert!(said.contains(&format!("recovered {shown} of 4 trials")), "{said}");
        last_begun = attempt;
    }
    assert!(!study.events_path(1).exists(), "no attempt was complete");

    let shown = study.attempt_facts(1, last_begun).more["trials"]["shown"].as_u64().unwrap() as usize;
    let output = study.present(1, &["--emulate", "--virtual-display", "--resume"]).output().unwrap();
    if shown == 4 {
        assert!(stderr(&output).contains("nothing to resume"), "{}", stderr(&output));
        return;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(planned(&study, kills() + 1), planned(&study, 1)[shown..]);
    let continued = &study.facts(1).more["continues"];
    assert_eq!(
        (continued["attempt"].as_u64(), continued["first_trial"].as_u64()),
        (Some(last_begun.into()), Some(shown as u64))
    );
    assert_eq!(study.events(1).0.len(), 4 - shown);
}

#[test]
fn a_disk_that_is_full_for_a_while_stops_no_run_and_loses_nothing() {
    use std::os::unix::process::CommandExt;
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    let study = Study::new(PROTOCOL);
    let mut command = study.present(1, &["--emulate", "--virtual-display"]);
    // SAFETY: between fork and exec nothing is done but this call. Without it a file that is too large ends the program.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            Ok(())
        });
    }
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // A limit on the size of files stands for a full disk.
    let pid = running.id() as libc::pid_t;
    let limit_files = |bytes: libc::rlim_t| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit is ours and is only read.
        let failed = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(failed, 0);
    };
    eventually("the first image", || study.journal(1).iter().any(|row| row["row"] == "onset").then_some(()));
    limit_files(fs::metadata(study.journal_path(1)).unwrap().len() + 100);
    let mut said = String::new();
    let mut told = BufReader::new(running.stderr.take().unwrap());
    while !said.contains("THE RUN GOES ON") {
        assert_ne!(told.read_line(&mut said).unwrap(), 0, "{said}");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(running.try_wait().unwrap().is_none());
    limit_files(libc::RLIM_INFINITY);
    while told.read_line(&mut said).unwrap() > 0 {}
    assert!(running.wait().unwrap().success(), "{said}");
    assert!(said.contains("is being written again: nothing was lost"), "{said}");
    assert!(study.facts(1).complete);
    assert_eq!(study.events(1).0.len(), 4);
    assert!(study.journal(1).iter().filter(|row| row["row"] == "flip").count() > 60);
}

#[test]
fn a_session_presents_its_runs_in_order_and_goes_on_where_it_ended() {
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    let study = Study::new(PROTOCOL);
    let session = |answers: &str| {
        let mut present = study.present(1, &["--emulate", "--virtual-display"]);
        let words: Vec<_> = present.get_args().map(ToOwned::to_owned).collect();
        let run = words.iter().position(|word| word == "--run").unwrap();
        present = study.layerprint(&[]);
        present.arg("session").args(&words[1..run]).args(&words[run + 2..]).args(["--runs", "2"]);
        present.env("XDG_RUNTIME_DIR", study.folder.path()).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        let mut running = present.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        running.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        running.wait_with_output().unwrap()
    };
    let output = session("what\n\nq\n");
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("\"what\" is none of the answers"), "{said}");
    assert!(said.contains("run 1 of 2: done") && said.contains("(1 of 2 left: 2)"), "{said}");
    assert!(study.facts(1).complete && !study.journal_path(2).exists());

    // A second run that was killed is recovered, told of, and gone on with.
    let mut killed = study
        .present(2, &["--emulate", "--virtual-display"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the first image's end", || study.journal(2).iter().any(|row| row["row"] == "offset").then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let output = session("c\n");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("recovered 1 of 4 trials") && said.contains("run 2 of 2 was interrupted"), "{said}");
    assert_eq!(study.facts(2).more["continues"]["first_trial"], 1);
    assert!(session("").status.success(), "all runs are done: nothing is asked");
}

#[test]
fn the_bids_validator_has_nothing_to_say_about_complete_aborted_and_recovered_runs() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(PROTOCOL);
    let start = |run| {
        let mut command = study.present(run, &["--emulate"]);
        command.env("DISPLAY", &server.display).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let promote = |run| {
        let table = study.attempt_path(run, 1, "events.tsv");
        assert!(study.layerprint(&["promote".as_ref(), table.as_os_str()]).status().unwrap().success());
    };
    let image_is_over = |run| {
        eventually("the first image's end", || {
            study.journal(run).iter().any(|row| row["row"] == "offset").then_some(())
        });
    };
    assert!(start(1).wait().unwrap().success());
    let mut aborted = start(2);
    image_is_over(2);
    server.press("Escape");
    server.press("Escape");
    assert!(!aborted.wait().unwrap().success());
    promote(2);
    let mut killed = start(3);
    image_is_over(3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let dataset = study.dataset();
    assert!(study.layerprint(&["recover".as_ref(), dataset.as_os_str()]).status().unwrap().success());
    promote(3);

    let Some((issues, files)) = bids::issues(&study.dataset()) else { return };
    assert_eq!(issues, [] as [Value; 0]);
    assert!(files > 6, "{files} files");
}

#[test]
fn the_self_test_makes_every_fault_and_finds_it() {
    let study = Study::new(PROTOCOL);
    let output = study.layerprint(&["check".as_ref(), "--faults".as_ref()]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    let faults: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("pass  ")).collect();
    assert_eq!(faults.len(), 10, "{told}");
    for fault in ["dropped frames", "lost", "doubled", "late", "unplugged", "full disk", "kill -9"] {
        assert!(faults.iter().any(|line| line.contains(fault)), "{fault}: {told}");
    }
}

/// `layerprint check` with the study's protocol, images and dataset.
fn check(study: &Study, arguments: &[&str]) -> Command {
    let mut command = study.layerprint(&["check".as_ref(), study.path("protocol.toml").as_os_str()]);
    command
        .args(["--images".as_ref(), study.path("tiny").as_os_str()])
        .args(["--out".as_ref(), study.dataset().as_os_str()])
        .args(arguments)
        .env("XDG_RUNTIME_DIR", study.folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY");
    command
}

/// The only record of a check in a study's dataset.
fn check_record(study: &Study) -> Value {
    let records = fs::read_dir(study.dataset().join("sourcedata/layerprint")).unwrap();
    let paths: Vec<PathBuf> = records.map(|entry| entry.unwrap().path()).collect();
    assert!(paths.len() == 1 && paths[0].to_string_lossy().contains("/check_"), "{paths:?}");
    serde_json::from_slice(&fs::read(&paths[0]).unwrap()).unwrap()
}

#[test]
fn a_check_looks_at_everything_and_keeps_what_it_found_with_the_data() {
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    let study = Study::new(PROTOCOL);
    let output = check(&study, &["--emulate", "--virtual-display"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    let record = check_record(&study);
    let findings = record["findings"].as_array().unwrap();
    let judged = |subject: &str| {
        let mut found = findings.iter().filter(|finding| finding["subject"] == subject);
        found.next().unwrap_or_else(|| panic!("{subject}: {told}"))["judgement"].as_str().unwrap()
    };
    for subject in ["images", "screen", "image size", "dropped frame", "durations"] {
        assert_eq!(judged(subject), "pass", "{told}");
    }
    assert_eq!(judged("ruler"), "look");
    assert_eq!([judged("window system"), judged("trigger")], ["warn", "warn"], "a rehearsal is told");
    for subject in ["power", "refresh rate", "late frames", "pulses", "disk"] {
        assert_ne!(judged(subject), "fail", "{told}");
    }
    assert_eq!(record["trigger"]["pulses_s"].as_array().unwrap().len(), 5);
    assert!(told.lines().filter(|line| line.starts_with("pass  ")).count() > 5, "{told}");
}

#[test]
fn a_check_waits_for_every_button_and_a_rehearsal_presses_them() {
    if !has_xvfb() {
        return;
    }
    let _alone = alone();
    // Two on the line of the pulses, and a key of the window.
    let study = Study::new(&with_task().replace("red = {", "key = { key = \"b\" }, red = {"));
    let output = check(&study, &["--emulate", "--virtual-display"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", stderr(&output));
    let buttons: Vec<&str> = told.lines().filter(|line| line.contains("  button ")).collect();
    for (line, button) in buttons.iter().zip(["blue, mask 0x01", "key, key 'b'", "red, mask 0x02"]) {
        assert!(line.starts_with("pass") && line.contains(button), "{told}");
    }
    assert_eq!((buttons.len(), &check_record(&study)["buttons"]["blue"]), (3, &Value::from(1)));
}

#[test]
fn a_button_that_nobody_presses_fails_and_the_ruler_stays_until_the_operator_is_done_with_it() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(&with_task().replace("handshake = [{ send = \"C\", answer = \"A\" }]\n", ""));
    let (mut scanner, _far_end, port) = terminal();
    let mut running = check(&study, &["--trigger-port", &port, "--wait", "600"])
        .env("DISPLAY", &server.display)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(running.stderr.take().unwrap());
    let mut hear = |what: &str| {
        let mut said = String::new();
        while !said.contains(what) {
            assert_ne!(told.read_line(&mut said).unwrap(), 0, "{what}: {said}");
        }
    };
    hear("of the scanner's pulses");
    for _ in 0..5 {
        scanner.write_all(&[0x10, 0]).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    hear("a press of each button: blue, red");
    scanner.write_all(&[0x02, 0]).unwrap();
    hear("red is pressed");
    server.press("Return");
    hear("the ruler is on the screen");
    // It is wider than a third of the screen, and nothing else is on it.
    let (width, pixels) = server.grab();
    let row = &pixels[240 * width..][..width];
    let background = pixels[0];
    assert!(row.iter().filter(|pixel| **pixel != background).count() > width / 3);
    assert!(running.try_wait().unwrap().is_none());
    server.press("Return");
    let output = running.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    let line = |button: &str| text.lines().find(|line| line.contains(button)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("red, mask 0x02").starts_with("pass") && line("blue, mask 0x01").starts_with("FAIL"), "{text}");
    // This screen keeps no pace: a run would be refused, and so the check fails.
    assert!(line("refresh rate").starts_with("FAIL"), "{text}");
}

#[test]
fn a_check_that_finds_something_wrong_says_what_to_do_and_fails() {
    let study = Study::new(PROTOCOL);
    let mut image = fs::OpenOptions::new().append(true).open(study.path("tiny/image_02.png")).unwrap();
    image.write_all(b"x").unwrap();
    let output = check(&study, &[]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && stderr(&output).contains("error: 4 of"), "{told}{}", stderr(&output));
    for (subject, what) in
        [("images", "image_02.png"), ("screen", "cannot open a window"), ("trigger", "/dev/no-such-port")]
    {
        let line = told.lines().find(|line| line.starts_with("FAIL") && line.contains(subject));
        assert!(line.is_some_and(|line| line.contains(what)), "{subject}: {told}");
    }
    assert_eq!(check_record(&study)["worst"], "fail");
}

#[test]
fn a_check_without_a_pulse_names_the_bytes_that_came() {
    let Some(server) = XServer::start() else { return };
    let study = Study::new(PROTOCOL);
    let (mut scanner, _far_end, port) = terminal();
    let running = check(&study, &["--trigger-port", &port, "--wait", "2"])
        .env("DISPLAY", &server.display)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let bytes = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(100)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            scanner.write_all(b"t").unwrap();
        }
    });
    let output = running.wait_with_output().unwrap();
    drop(stop);
    bytes.join().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && told.contains("the byte 0x74: is that the trigger's?"), "{told}");
}
