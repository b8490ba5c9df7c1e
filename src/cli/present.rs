//! `layerprint present`: one run in the scanner, or its rehearsal.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::bail;

use crate::cli::images;
use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::present::{self, Protocol, Scanner, Screen, Session};
use crate::study::Seed;
use crate::study::bids::Label;

/// Show an image set in the scanner: one run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint present protocol.toml --images images --out bids --sub 01 --run 1\n  layerprint present protocol.toml --images images --out bids --sub 01 --run 1 --resume\n  layerprint present protocol.toml --out rehearsal --sub 01 --run 1 --emulate --virtual-display"
)]
pub struct Arguments {
    #[command(flatten)]
    circumstances: Circumstances,
    /// The run's number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    run: u32,
    /// Show the trials that the latest attempt at this run did not come to
    #[arg(long)]
    resume: bool,
}

/// What is the same for all runs of a session.
#[derive(Clone, Debug, clap::Args)]
pub struct Circumstances {
    /// The protocol: what is shown when, and how the room is wired
    pub protocol: PathBuf,
    /// The folder of the image set [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The BIDS dataset that the run becomes a part of
    #[arg(long, value_name = "BIDS_DIR")]
    pub out: PathBuf,
    /// The participant's label
    #[arg(long, value_name = "LABEL")]
    sub: Label,
    /// The session's label
    #[arg(long, value_name = "LABEL")]
    ses: Option<Label>,
    /// The seed of the order of trials; each run of each participant has an order of its own
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    pub wiring: Wiring,
    /// Go on although the screen's refreshes are not regular; the run says so
    #[arg(long)]
    unsteady_screen: bool,
    /// Where the run is kept if the dataset's disk does not take it [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    spare: Option<PathBuf>,
}

/// Who sends the pulses, and where the images are shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Wiring {
    /// Rehearse with an emulated scanner: its run is marked and is no data
    #[arg(long)]
    pub emulate: bool,
    /// The trigger's serial port, instead of the protocol's
    #[arg(long, value_name = "PATH", conflicts_with = "emulate")]
    trigger_port: Option<String>,
    /// Show the images in a window instead of fullscreen
    #[arg(long, conflicts_with = "monitor")]
    windowed: bool,
    /// The number of the monitor, from 1; the primary one otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    monitor: Option<u32>,
    /// Start a virtual display (Xvfb) for this run and show the images there
    #[arg(long, conflicts_with_all = ["windowed", "monitor"])]
    virtual_display: bool,
}

impl Wiring {
    /// Who sends the pulses.
    pub fn scanner(&self) -> Scanner {
        match &self.trigger_port {
            _ if self.emulate => Scanner::Emulated,
            Some(port) => Scanner::AtPort(port.clone()),
            None => Scanner::AsWired,
        }
    }

    /// Where the images are shown.
    pub fn screen(&self) -> Screen {
        if self.virtual_display {
            Screen::Virtual
        } else if self.windowed {
            Screen::Windowed
        } else {
            Screen::Fullscreen(self.monitor)
        }
    }
}

impl Circumstances {
    /// Those of a run.
    pub fn session(&self, run: u32, resume: bool) -> Session {
        Session {
            dataset: self.out.clone(),
            subject: self.sub.clone(),
            session: self.ses.clone(),
            run,
            seed: Seed(self.seed),
            resume,
            spare: self.spare.clone().unwrap_or_else(Session::usual_spare),
            unsteady_screen: self.unsteady_screen,
            scanner: self.wiring.scanner(),
            screen: self.wiring.screen(),
        }
    }

    /// The words of a command line that say the same.
    pub fn words(&self) -> Vec<OsString> {
        let Wiring { emulate, trigger_port, windowed, monitor, virtual_display } = &self.wiring;
        let mut words: Vec<OsString> = vec![self.protocol.clone().into()];
        let mut option = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                words.extend([name.into(), value]);
            }
        };
        option("--images", self.images.clone().map(Into::into));
        option("--out", Some(self.out.clone().into()));
        option("--sub", Some(self.sub.to_string().into()));
        option("--ses", self.ses.as_ref().map(|label| label.to_string().into()));
        option("--seed", Some(self.seed.to_string().into()));
        option("--trigger-port", trigger_port.clone().map(Into::into));
        option("--monitor", monitor.map(|number| number.to_string().into()));
        option("--spare", self.spare.clone().map(Into::into));
        let flags = [
            ("--emulate", emulate),
            ("--windowed", windowed),
            ("--virtual-display", virtual_display),
            ("--unsteady-screen", &self.unsteady_screen),
        ];
        words.extend(flags.iter().filter(|(_, is_set)| **is_set).map(|(name, _)| name.into()));
        words
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { circumstances, run, resume } = arguments;
    let protocol = Protocol::read(&circumstances.protocol)?;
    let images = images::chosen(circumstances.images.as_deref())?;
    let outcome = present::run(&protocol, &images, &circumstances.session(run, resume), &Terminal)?;
    say!("trigger: {}", outcome.verdict);
    if let Some(score) = outcome.score {
        say!("task: {score}");
    }
    say!("refreshes without a new frame: {}", outcome.missed_refreshes);
    say!("events: {}", outcome.events.display());
    if !outcome.complete {
        bail!("the run was aborted; what was shown is in {}", outcome.events.display());
    }
    if !outcome.counts {
        say!(
            "attempt {} does not count as the run's; `layerprint promote {}` says that it does",
            outcome.attempt,
            outcome.events.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        circumstances: Circumstances,
    }

    #[test]
    fn the_words_of_a_command_line_say_the_same() {
        let lines = [
            "x p.toml --out d --sub 01",
            "x p.toml --out d --sub 01 --ses b --images s --seed 7 --trigger-port /dev/x --monitor 2 --spare e",
            "x p.toml --out d --sub 01 --windowed --unsteady-screen",
            "x p.toml --out d --sub 01 --emulate --windowed",
            "x p.toml --out d --sub 01 --emulate --virtual-display",
        ];
        for line in lines {
            let circumstances = Line::parse_from(line.split(' ')).circumstances;
            let mut words = circumstances.words();
            words.insert(0, "x".into());
            let again = Line::parse_from(words).circumstances;
            assert_eq!(format!("{again:?}"), format!("{circumstances:?}"));
        }
    }
}
