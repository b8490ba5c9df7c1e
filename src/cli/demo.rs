//! `layerprint demo`: the whole study on one machine, each job reading what the one before has written.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::cli::output::say;
use crate::cli::progress::Terminal;
use crate::present::{self, Protocol, Scanner, Screen, Session};
use crate::simulate::{Participant, Settings};
use crate::study::bids::Label;
use crate::study::{ImageSet, Progress, Seed, Weights, file};
use crate::synthesize::network::Source;
use crate::synthesize::{Choice, Computer, Precision, Recipe};
use crate::{analyze, report, simulate, synthesize};

/// The demo's settings are part of the program, so that it runs in any folder.
const RECIPE: (&str, &str) = ("experiments/demo/recipe.toml", include_str!("../../experiments/demo/recipe.toml"));
const PROTOCOL: (&str, &str) = ("protocols/demo.toml", include_str!("../../protocols/demo.toml"));
const SIMULATION: (&str, &str) =
    ("experiments/demo/simulation.toml", include_str!("../../experiments/demo/simulation.toml"));
const PLAN: (&str, &str) = ("experiments/demo/plan.toml", include_str!("../../experiments/demo/plan.toml"));

const SEED: Seed = Seed(1);

/// Run the whole study on this machine: an image set, a run, a simulated brain, its analysis, a report
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerprint demo --out demo\n  layerprint demo --synthesize --weights bvlc_googlenet.safetensors\n\n\
                  Steps that are done are kept. A demo that was stopped in the middle of its run (step 2) needs another \
                        folder: what a run has written down is never overwritten."
)]
pub struct Arguments {
    /// The folder for everything that is made
    #[arg(long, value_name = "DIR", default_value = "layerprint-demo")]
    out: PathBuf,
    /// Synthesize a small image set of the demo's own instead of taking the one that comes with the program
    #[arg(long)]
    synthesize: bool,
    /// Trained weights for it; otherwise those in LAYERPRINT_WEIGHTS or the cache, or an untrained network
    #[arg(long, value_name = "FILE", requires = "synthesize")]
    weights: Option<PathBuf>,
    /// Show the run on the monitor (at 60 Hz) instead of a virtual display
    #[arg(long)]
    on_screen: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let protocol = Protocol::parse(Path::new(PROTOCOL.0), PROTOCOL.1)?;
    let simulation: Settings = file::parse_toml(Path::new(SIMULATION.0), SIMULATION.1)?;
    let plan: analyze::Plan = file::parse_toml(Path::new(PLAN.0), PLAN.1)?;
    let subject = Label::new("01").expect("a label");
    let place = Place::below(&arguments.out, &subject);
    let progress = &Terminal;
    progress.say("the whole study takes about two minutes on two processors, of which the run takes most");

    let images = if arguments.synthesize {
        synthesized(&place.images, arguments.weights.as_deref(), progress)?
    } else {
        step(progress, "1 of 5: the image set that comes with the program", &place.images, || {
            Ok(ImageSet::shipped()?.copy(&place.images)?)
        })?;
        ImageSet::load(&place.images)?
    };

    step(progress, "2 of 5: present them, with an emulated scanner", &place.events, || {
        let session = Session {
            dataset: place.bids.clone(),
            subject: subject.clone(),
            session: None,
            run: 1,
            seed: SEED,
            resume: false,
            spare: Session::usual_spare(),
            unsteady_screen: false,
            scanner: Scanner::Emulated,
            screen: if arguments.on_screen { Screen::Fullscreen(None) } else { Screen::Virtual },
        };
        let outcome = present::run(&protocol, &images, &session, progress)?;
        ensure!(outcome.complete, "the run was aborted; its record is {}", outcome.events.display());
        Ok(())
    })?;

    step(progress, "3 of 5: simulate a brain that saw this run", &place.truth, || {
        let who = Participant { bids: &place.bids, subject: &subject, images: &images, seed: SEED };
        simulate::run(&simulation, &who, progress)?;
        Ok(())
    })?;

    step(progress, "4 of 5: analyze it", &place.maps.join(format!("sub-{subject}")), || {
        let request = analyze::Request {
            bids: place.bids.clone(),
            output: place.maps.clone(),
            models: place.images.clone(),
            participants: vec![subject.clone()],
            allow_emulated: true,
            derivatives: None,
            regions: None,
            truth: None,
            allow_incomplete: false,
            allow_faulty: false,
            threads: None,
        };
        analyze::run(&plan, &request, progress)?.whole()?;
        Ok(())
    })?;

    let page = arguments.out.join("report.html");
    step(progress, "5 of 5: report", &page, || {
        let sources = report::Sources {
            image_set: place.images.clone(),
            bids: place.bids.clone(),
            maps: place.maps.clone(),
            derivatives: None,
            natural: None,
            comparison: None,
            regions: None,
            viewer: true,
        };
        report::run(&sources, &arguments.out)?;
        Ok(())
    })?;
    say!("{}", std::path::absolute(&page).unwrap_or(page).display());
    Ok(())
}

/// Where the demo's parts lie.
struct Place {
    images: PathBuf,
    bids: PathBuf,
    events: PathBuf,
    truth: PathBuf,
    maps: PathBuf,
}

impl Place {
    fn below(out: &Path, subject: &Label) -> Place {
        let bids = out.join("study");
        Place {
            images: out.join("image-set"),
            events: bids.join(format!("sub-{subject}/func/sub-{subject}_task-layers_run-01_events.tsv")),
            truth: bids.join(format!("derivatives/simulation/sub-{subject}")),
            maps: bids.join("derivatives/layerprint"),
            bids,
        }
    }
}

/// The demo's own image set, made now or by an earlier demo by the same recipe.
fn synthesized(folder: &Path, weights: Option<&Path>, progress: &dyn Progress) -> anyhow::Result<ImageSet> {
    let recipe = Recipe::parse(Path::new(RECIPE.0), RECIPE.1)?;
    let weights = Source::find(weights);
    step(progress, "1 of 5: synthesize 16 images", folder, || {
        let computer = Computer::choose(Choice::Auto, Precision::Float32, None)?;
        synthesize::run(&recipe, &weights, &computer, folder, true, progress)?;
        Ok(())
    })?;
    let images = ImageSet::load(folder)?;
    let (manifest, folder) = (images.manifest(), folder.display());
    ensure!(
        manifest.synthesis.as_ref().is_some_and(|made| made.recipe == recipe.table()),
        "{folder} was made by another recipe than the demo's: choose another folder with --out"
    );
    ensure!(
        manifest.network.weights == Weights::Trained || weights == Source::Untrained,
        "{folder} was made with an untrained network, but trained weights are there now: choose another folder with --out"
    );
    Ok(images)
}

/// Does a step, unless its result is there from an earlier demo.
fn step(
    progress: &dyn Progress,
    name: &str,
    result: &Path,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if result.exists() {
        progress.say(&format!("step {name}: done already, {}", result.display()));
        return Ok(());
    }
    progress.say(&format!("step {name}"));
    work().with_context(|| format!("step {name}"))
}
