//! What the jobs hand over to each other, and its files: image sets, events, seeds, provenance.
//!
//! Every file is read with its checks, and written whole or not at all.

pub mod bids;
pub mod checked;
pub mod disk_space;
mod error;
mod events;
pub mod file;
mod finding;
mod image_set;
mod imported;
mod layer;
mod models;
mod nearest;
mod output;
mod picture;
mod progress;
mod provenance;
mod scan;
mod seed;
mod settings_file;
mod shipped;
mod stop;
pub mod table;
mod verdict;

pub use error::Error;
pub use events::{
    BUTTON_PRESS, Event, Events, FIXATION_CHANGE, FlipFacts, GREY_SQUARE, NULL, ONE_BACK, OnsetSource, RunFacts,
    TriggerFacts, image_of_file, trial_type,
};
pub use finding::{Finding, Judgement, with_causes};
pub use image_set::{
    Figures, ImageRecord, ImageSet, LayerFigures, Manifest, NetworkRecord, PowerFigures, Predictor, SelectionRecord,
    SynthesisRecord, TrialRecord, ViewFigures, Weights,
};
pub use imported::{Import, ImportFacts, Imported, Mapping, TimeUnit, import};
pub use layer::Layer;
pub use models::Models;
pub use nearest::{did_you_mean, nearest};
pub use output::{MadeFolders, Output, abandon_outputs};
pub use picture::Picture;
pub use progress::{Progress, Silent, Stage};
pub use provenance::Provenance;
pub use scan::Scan;
pub use seed::{Seed, Stream};
pub use settings_file::SettingsFile;
pub use stop::{StopWish, wish_to_stop};
pub use verdict::{Fault, GridFit, Verdict};
