//! `layerprint check`: the gate before the participant goes in, and the self-test.

use std::path::PathBuf;

use crate::cli::findings::{conclude, show};
use crate::cli::images;
use crate::cli::output::say;
use crate::cli::present::Wiring;
use crate::cli::progress::Terminal;
use crate::present::{self, Gate, Protocol};
use crate::study::Finding;

/// Check what a session needs before the participant goes in.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint check protocol.toml --images images --out bids --runs 8\n  layerprint check protocol.toml --emulate --virtual-display\n  layerprint check --faults"
)]
pub struct Arguments {
    /// The protocol of the session
    #[arg(required_unless_present = "faults")]
    protocol: Option<PathBuf>,
    /// The folder of the image set [default: the one that comes with the program]
    #[arg(long, value_name = "SET")]
    images: Option<PathBuf>,
    /// The BIDS dataset that the runs will become a part of: its disk is looked at, and the record is kept there
    #[arg(long, value_name = "BIDS_DIR")]
    out: Option<PathBuf>,
    /// The number of runs that the disk must have room for
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long the scanner's pulses, the buttons and the operator with the ruler are waited for each, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    wait: u32,
    #[command(flatten)]
    wiring: Wiring,
    /// Instead: make the faults that a session can meet, and see that each is found. Needs neither screen nor scanner
    #[arg(long, conflicts_with_all = ["protocol", "images", "out"])]
    faults: bool,
    /// Print the findings as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
    /// What the self-test starts, to kill it
    #[arg(long, hide = true, value_name = "DIR", requires = "faults")]
    until_killed: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { protocol, images, out, runs, wait, wiring, until_killed, json, .. } = arguments;
    if let Some(dataset) = until_killed {
        return Ok(present::rehearse_until_killed(&dataset)?);
    }
    let mut tell = |finding: &Finding| {
        if !json {
            show(finding);
        }
    };
    let Some(protocol) = protocol else {
        return conclude(&present::faults(tell)?, json);
    };
    let protocol = Protocol::read(&protocol)?;
    let gate = Gate {
        protocol: &protocol,
        images: images::chosen(images.as_deref()),
        dataset: out.as_deref(),
        runs,
        scanner: wiring.scanner(),
        screen: wiring.screen(),
        patience_s: f64::from(wait),
    };
    let passage = present::gate(&gate, &Terminal, &mut tell)?;
    match &passage.record {
        _ if json => {}
        Some(record) => say!("record: {}", record.display()),
        None => say!("no record is kept: --out says where the data will be"),
    }
    conclude(&passage.findings, json)
}
