//! The command line: arguments, progress bars, exit codes. One file per subcommand.

#[cfg(feature = "analyze")]
mod analyze;
#[cfg(feature = "present")]
mod check;
#[cfg(any(feature = "synthesize", feature = "present", feature = "analyze"))]
mod columns;
#[cfg(feature = "analyze")]
mod compare;
mod completions;
#[cfg(all(feature = "synthesize", feature = "present", feature = "analyze"))]
mod demo;
#[cfg(feature = "present")]
mod design;
mod doctor;
#[cfg(any(feature = "synthesize", feature = "analyze"))]
mod executor;
#[cfg(feature = "present")]
mod export_psychopy;
#[cfg(feature = "synthesize")]
mod figures;
mod findings;
#[cfg(feature = "synthesize")]
mod fingerprint;
#[cfg(any(feature = "present", feature = "analyze"))]
mod images;
#[cfg(any(feature = "present", feature = "analyze"))]
mod import_events;
mod init;
mod json;
mod man;
mod output;
#[cfg(feature = "analyze")]
mod power;
#[cfg(feature = "present")]
mod present;
mod progress;
#[cfg(feature = "present")]
mod promote;
#[cfg(feature = "present")]
mod recover;
#[cfg(feature = "analyze")]
mod report;
mod schema;
#[cfg(feature = "synthesize")]
mod select;
#[cfg(feature = "present")]
mod session;
#[cfg(feature = "analyze")]
mod simulate;
#[cfg(feature = "synthesize")]
mod synthesize;
#[cfg(feature = "synthesize")]
mod weights;

use clap::{Parser, Subcommand};

use crate::study::{self, Finding, SettingsFile};

/// Map the layers of a neural network to the human brain.
#[derive(Debug, Parser)]
#[command(name = "layerprint", version, max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "synthesize")]
    Synthesize(synthesize::Arguments),
    #[cfg(feature = "synthesize")]
    Fingerprint(fingerprint::Arguments),
    #[cfg(feature = "synthesize")]
    Select(select::Arguments),
    #[cfg(feature = "present")]
    Check(check::Arguments),
    #[cfg(feature = "present")]
    Design(design::Arguments),
    #[cfg(feature = "present")]
    Present(present::Arguments),
    #[cfg(feature = "present")]
    Session(session::Arguments),
    #[cfg(feature = "present")]
    ExportPsychopy(export_psychopy::Arguments),
    #[cfg(feature = "present")]
    Recover(recover::Arguments),
    #[cfg(feature = "present")]
    Promote(promote::Arguments),
    #[cfg(any(feature = "present", feature = "analyze"))]
    ImportEvents(import_events::Arguments),
    #[cfg(feature = "analyze")]
    Simulate(simulate::Arguments),
    #[cfg(feature = "analyze")]
    Power(power::Arguments),
    #[cfg(feature = "analyze")]
    Analyze(analyze::Arguments),
    #[cfg(feature = "analyze")]
    Compare(compare::Arguments),
    #[cfg(feature = "analyze")]
    Report(report::Arguments),
    #[cfg(all(feature = "synthesize", feature = "present", feature = "analyze"))]
    Demo(demo::Arguments),
    #[cfg(feature = "synthesize")]
    Weights(weights::Arguments),
    Init(init::Arguments),
    Schema(schema::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    /// One task of a submission to a cluster, on its node.
    #[cfg(any(feature = "synthesize", feature = "analyze"))]
    #[command(hide = true)]
    ClusterTask(executor::TaskArguments),
}

/// The settings files of the jobs that are built, in the order in which a study needs them.
const SETTINGS: &[SettingsFile] = &[
    #[cfg(feature = "synthesize")]
    crate::synthesize::RECIPE,
    #[cfg(feature = "present")]
    crate::present::PROTOCOL,
    #[cfg(feature = "analyze")]
    crate::simulate::SIMULATION,
    #[cfg(feature = "analyze")]
    crate::analyze::power::POWER,
    #[cfg(feature = "analyze")]
    crate::analyze::PLAN,
    #[cfg(feature = "analyze")]
    crate::analyze::compare::COMPARISON,
];

/// What looks at the machine for each job that is built. Presenting comes first: it opens a window, and wants no other
/// threads beside it.
const OUTFITS: &[fn() -> Vec<Finding>] = &[
    #[cfg(feature = "present")]
    crate::present::outfit,
    #[cfg(feature = "synthesize")]
    crate::synthesize::outfit,
    #[cfg(feature = "analyze")]
    crate::analyze::outfit,
    #[cfg(any(feature = "synthesize", feature = "analyze"))]
    crate::cluster::outfit,
];

/// The jobs that this program does.
const JOBS: &[&str] = &[
    #[cfg(feature = "synthesize")]
    "synthesize",
    #[cfg(feature = "present")]
    "present",
    #[cfg(feature = "analyze")]
    "analyze",
];

/// The jobs that this program was built without.
const JOBS_LEFT_OUT: &[&str] = &[
    #[cfg(not(feature = "synthesize"))]
    "synthesize",
    #[cfg(not(feature = "present"))]
    "present",
    #[cfg(not(feature = "analyze"))]
    "analyze",
];

/// The exit code of a program that was told to stop, by the convention of shells.
const STOPPED: i32 = 130;

/// Ends the program at once: destructors at the end of a process would pull libraries away from threads that compute.
fn leave() -> ! {
    #[cfg(unix)]
    // SAFETY: it does nothing but end the process.
    unsafe {
        libc::_exit(STOPPED)
    }
    #[cfg(not(unix))]
    std::process::exit(STOPPED)
}

/// Runs the chosen subcommand; an error, too, where its results could not be printed. Told to stop (Ctrl-C), it lets a job that can go on later put itself in order, and
/// otherwise takes away what is not finished; a run's journal stays.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if !study::wish_to_stop() {
            study::abandon_outputs();
            leave();
        }
    })?;
    run_command(arguments.command)?;
    output::finish()
}

fn run_command(command: Command) -> anyhow::Result<()> {
    match command {
        #[cfg(feature = "synthesize")]
        Command::Synthesize(arguments) => synthesize::run(arguments),
        #[cfg(feature = "synthesize")]
        Command::Fingerprint(arguments) => fingerprint::run(arguments),
        #[cfg(feature = "synthesize")]
        Command::Select(arguments) => select::run(arguments),
        #[cfg(feature = "present")]
        Command::Check(arguments) => check::run(arguments),
        #[cfg(feature = "present")]
        Command::Design(arguments) => design::run(arguments),
        #[cfg(feature = "present")]
        Command::Present(arguments) => present::run(arguments),
        #[cfg(feature = "present")]
        Command::Session(arguments) => session::run(arguments),
        #[cfg(feature = "present")]
        Command::ExportPsychopy(arguments) => export_psychopy::run(arguments),
        #[cfg(feature = "present")]
        Command::Recover(arguments) => recover::run(arguments),
        #[cfg(feature = "present")]
        Command::Promote(arguments) => promote::run(arguments),
        #[cfg(any(feature = "present", feature = "analyze"))]
        Command::ImportEvents(arguments) => import_events::run(arguments),
        #[cfg(feature = "analyze")]
        Command::Simulate(arguments) => simulate::run(arguments),
        #[cfg(feature = "analyze")]
        Command::Power(arguments) => power::run(arguments),
        #[cfg(feature = "analyze")]
        Command::Analyze(arguments) => analyze::run(arguments),
        #[cfg(feature = "analyze")]
        Command::Compare(arguments) => compare::run(arguments),
        #[cfg(feature = "analyze")]
        Command::Report(arguments) => report::run(arguments),
        #[cfg(all(feature = "synthesize", feature = "present", feature = "analyze"))]
        Command::Demo(arguments) => demo::run(arguments),
        #[cfg(feature = "synthesize")]
        Command::Weights(arguments) => weights::run(arguments),
        Command::Init(arguments) => init::run(&arguments, SETTINGS, JOBS_LEFT_OUT),
        Command::Schema(arguments) => schema::run(&arguments, SETTINGS),
        Command::Doctor(arguments) => doctor::run(&arguments, OUTFITS, JOBS, JOBS_LEFT_OUT),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        #[cfg(any(feature = "synthesize", feature = "analyze"))]
        Command::ClusterTask(arguments) => executor::run_task(&arguments),
    }
}
