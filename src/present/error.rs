//! What can go wrong in presenting.

use std::path::PathBuf;

/// Why a run could not be presented, or not to its end. The cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file shared with other jobs, or the protocol.
    #[error(transparent)]
    File(#[from] crate::study::Error),
    /// A PNG that cannot be shown.
    #[error("cannot show {}: {what}", path.display())]
    Picture {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A duration that the screen cannot show.
    #[error(
        "{key} = {seconds} s is no whole number of frames at {refresh_hz} Hz: the nearest are {shorter_s:.6} s and \
         {longer_s:.6} s"
    )]
    NotWholeFrames {
        /// The protocol's key.
        key: &'static str,
        /// What it asks for.
        seconds: f64,
        /// The refresh rate of the screen.
        refresh_hz: f64,
        /// The nearest duration below that the screen can show.
        shorter_s: f64,
        /// The nearest duration above.
        longer_s: f64,
    },
    /// The order of trials needs more images.
    #[error("an order without immediate repeats needs at least 2 images, found {0}")]
    TooFewImages(usize),
    /// An image whose name means something else in the table of events.
    #[error("an image is called {0:?}, which in the table of events is a trial of another kind: rename it")]
    ImageNamedAsTrial(String),
    /// There is no type 1 index 1 sequence.
    #[error(
        "there is no type 1 index 1 sequence of {labels} labels ({images} images and null): there is one from 5 images \
         on; with fewer, order = \"eulerian\" has each pair once"
    )]
    NoSequence {
        /// The images.
        images: usize,
        /// The images and null.
        labels: usize,
    },
    /// A sequence cannot be cut into so many runs.
    #[error("a type 1 index 1 sequence of {images} images and null makes at most {images} runs, not {runs}")]
    TooManyParts {
        /// How many were asked for.
        runs: usize,
        /// The images.
        images: usize,
    },
    /// Targets that the run has no room for.
    #[error("{0}: fewer targets, or a longer run")]
    TooManyTargets(String),
    /// Plain orders do not determine what they are asked for either.
    #[error("a plain order of this run does not determine the response to every image: {0}")]
    NoEfficiency(String),
    /// An image that is larger than the screen.
    #[error("images of {width} x {height} pixels do not fit on a screen of {screen_width} x {screen_height}")]
    TooLarge {
        /// Width drawn, in pixels.
        width: u32,
        /// Height drawn.
        height: u32,
        /// Width of the window.
        screen_width: u32,
        /// Height of the window.
        screen_height: u32,
    },
    /// The photodiode's patch would be drawn over an image.
    #[error("the photodiode's patch of {side} x {side} pixels would cover a part of the images: make it smaller")]
    PatchOverImage {
        /// Its side, in pixels.
        side: u32,
    },
    /// The screen's refreshes are not regular.
    #[error(
        "the screen is not steady: of {intervals} intervals between flips {sound} are within a fifth of those of \
         {nominal_hz} Hz{}, and it shows {measured_hz:.1} frames a second; a run needs {needed} with a standard deviation below {largest_sd_ms} ms. Close what \
         else draws on this screen; --unsteady-screen goes on all the same, and the run says so",
        sd_ms.map_or(String::new(), |sd_ms| format!(", with a standard deviation of {sd_ms} ms"))
    )]
    UnsteadyScreen {
        /// How many intervals were measured.
        intervals: usize,
        /// How many of them are near the nominal one.
        sound: usize,
        /// The standard deviation of those, in ms.
        sd_ms: Option<f64>,
        /// How many near ones a run needs.
        needed: usize,
        /// What their standard deviation must lie below, in ms.
        largest_sd_ms: f64,
        /// The rate at which it takes frames.
        measured_hz: f64,
        /// The rate that the screen should have.
        nominal_hz: f64,
    },
    /// An attempt without a table cannot count.
    #[error("there is no {}: `layerprint recover` makes the table of an attempt from its journal", .0.display())]
    NoTable(PathBuf),
    /// An attempt that was never made.
    #[error("there is no {wanted}: {}", listed(known))]
    NotAttempted {
        /// The run and the attempt.
        wanted: String,
        /// The numbers of those that were made.
        known: Vec<u32>,
    },
    /// What would be replaced is nobody's copy.
    #[error("{} is the table of no attempt and is not replaced: move it away first", .0.display())]
    OfNoAttempt(PathBuf),
    /// A file that is not an attempt's.
    #[error("{} is no file of an attempt: those lie below a dataset's sourcedata/layerprint", .0.display())]
    NoAttempt(PathBuf),
    /// A journal that lies in no dataset.
    #[error("{} lies in no dataset: say with --out which one it belongs to", .0.display())]
    JournalOfNoDataset(PathBuf),
    /// The program that writes a journal still runs.
    #[error("{} is being written: the run is not over", .0.display())]
    BeingWritten(PathBuf),
    /// There is no interrupted attempt.
    #[error("there is no attempt at {0} that could be resumed: present it without --resume")]
    NothingToResume(String),
    /// All trials were shown.
    #[error("{0} showed all its trials: there is nothing to resume")]
    NothingLeft(String),
    /// A run goes on as it began.
    #[error("{attempt} cannot be resumed: {what} was another then")]
    CannotResume {
        /// The interrupted attempt.
        attempt: String,
        /// What differs.
        what: &'static str,
    },
    /// No window system answers.
    #[error("cannot open a window: {0}; is there a screen (DISPLAY or WAYLAND_DISPLAY)? --virtual-display makes one")]
    NoScreen(String),
    /// There is no monitor of that number.
    #[error("there is no monitor {wanted}; found {found}")]
    NoMonitor {
        /// The number asked for, from 1.
        wanted: u32,
        /// The monitors there are.
        found: String,
    },
    /// The window did not get the whole monitor.
    #[error(
        "the window did not become fullscreen: it has {} x {} pixels, the monitor {} x {}",
        window[0], window[1], monitor[0], monitor[1]
    )]
    NotFullscreen {
        /// The window's size in pixels.
        window: [u32; 2],
        /// The monitor's.
        monitor: [u32; 2],
    },
    /// Nothing can draw into the window.
    #[error("cannot draw into the window: {0}; on Debian, mesa-vulkan-drivers and libvulkan1 can")]
    NoGraphics(String),
    /// The window was lost while it was drawn into.
    #[error("cannot draw into the window any more: {0}")]
    Graphics(String),
    /// The virtual display could not be started.
    #[error("cannot start Xvfb for the virtual display; on Debian, it is in the package xvfb")]
    NoXvfb(#[source] std::io::Error),
    /// The virtual display started and gave up.
    #[error("the virtual display Xvfb ended before it was ready")]
    XvfbEnded,
    /// A serial port cannot be opened.
    #[error("cannot open the serial port {port}")]
    Port {
        /// Its path.
        port: String,
        /// Why not.
        source: serialport::Error,
    },
    /// The box at a serial port did not answer as it should.
    #[error("the box at {port} did not answer \"{sent}\": expected \"{expected}\", received \"{heard}\"")]
    Handshake {
        /// The port's path.
        port: String,
        /// What was said to it.
        sent: String,
        /// What it should say.
        expected: String,
        /// What it said.
        heard: String,
    },
    /// The modem line of the trigger cannot be listened to.
    #[error("cannot hear the line {line} of the serial port {port}")]
    ModemLine {
        /// The line.
        line: &'static str,
        /// The port's path.
        port: String,
        /// Why not.
        source: std::io::Error,
    },
    /// An input device cannot be listened to.
    #[error("cannot read the input device {device}")]
    InputDevice {
        /// Its path.
        device: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The emulated scanner could not be set up.
    #[error("cannot make a pseudo-terminal for the emulated scanner")]
    Emulator(#[source] serialport::Error),
    /// The emulated scanner has no serial port to write to.
    #[error("the emulated scanner speaks over a serial port, but this protocol's trigger is none")]
    EmulatedKey,
    /// A port was named for a trigger that has none.
    #[error("a trigger port was named, but this protocol's trigger has none")]
    PortForKey,
    /// The trigger failed before the run began.
    #[error("the trigger was lost before the run began")]
    TriggerLost,
    /// Nothing can be written where a run's files belong.
    #[error("cannot write to {}: {what}", path.display())]
    NoPlace {
        /// The folder, or the first above it that exists.
        path: PathBuf,
        /// Why not.
        what: &'static str,
    },
    /// The run would fill the disk.
    #[error(
        "there is too little room for a run in {}: {:.1} MB are free, {:.1} MB are needed",
        path.display(), *free as f64 / 1e6, *needed as f64 / 1e6
    )]
    NoRoom {
        /// The folder of the dataset, or the first above it that exists.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that a run, and as much again, would take.
        needed: u64,
    },
    /// The user aborted before the first pulse.
    #[error("aborted before the first pulse: nothing was shown and nothing is kept")]
    AbortedBeforeStart,
    /// The thread that collects the rows is gone or starved.
    #[error("the journal does not take any more rows")]
    JournalStopped,
}

fn listed(attempts: &[u32]) -> String {
    match attempts {
        [] => "the run has none".into(),
        [only] => format!("there is {only} alone"),
        several => format!("there are {}", several.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}
