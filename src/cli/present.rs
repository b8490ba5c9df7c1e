//! `layerprint present`: one run in the scanner, or its rehearsal.

use std::path::PathBuf;

use anyhow::bail;

use crate::cli::images;
use crate::cli::progress::Terminal;
use crate::present::{self, Protocol, Scanner, Screen, Session};
use crate::study::Seed;
use crate::study::bids::Label;

/// Show an image set in the scanner: one run.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The protocol: what is shown when, and how the room is wired
    protocol: PathBuf,
    /// The folder of the image set [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The BIDS dataset that the run becomes a part of
    #[arg(long, value_name = "BIDS_DIR")]
    out: PathBuf,
    /// The participant's label
    #[arg(long, value_name = "LABEL")]
    sub: Label,
    /// The session's label
    #[arg(long, value_name = "LABEL")]
    ses: Option<Label>,
    /// The run's number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    run: u32,
    /// The seed of the order of trials; each run of each participant has an order of its own
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Rehearse with an emulated scanner: its run is marked and is no data
    #[arg(long)]
    emulate: bool,
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

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let protocol = Protocol::read(&arguments.protocol)?;
    let images = images::chosen(arguments.images.as_deref())?;
    let session = Session {
        dataset: arguments.out,
        subject: arguments.sub,
        session: arguments.ses,
        run: arguments.run,
        seed: Seed(arguments.seed),
        scanner: match arguments.trigger_port {
            _ if arguments.emulate => Scanner::Emulated,
            Some(port) => Scanner::AtPort(port),
            None => Scanner::AsWired,
        },
        screen: if arguments.virtual_display {
            Screen::Virtual
        } else if arguments.windowed {
            Screen::Windowed
        } else {
            Screen::Fullscreen(arguments.monitor)
        },
    };
    let outcome = present::run(&protocol, &images, &session, &Terminal)?;
    println!("trigger: {}", outcome.verdict);
    println!("refreshes without a new frame: {}", outcome.missed_refreshes);
    println!("events: {}", outcome.events.display());
    if !outcome.complete {
        bail!("the run was aborted; what was shown is in {}", outcome.events.display());
    }
    Ok(())
}
