//! What maps were made of: an analysis that is started again skips the participants who are done, and refuses to put others
//! beside what was made differently.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::analyze::error::Error;
use crate::analyze::plan::Plan;
use crate::analyze::sources::{ModelSource, name_of};
use crate::study::{Provenance, file};

/// Sections of a plan that participants' maps do not depend on.
const AFTERWARDS: [&str; 1] = ["group"];

/// What a participant's maps were made of: the parts of a summary that have to be the same when the analysis is started again.
#[derive(Debug, Deserialize)]
pub struct MadeOf {
    plan: Value,
    image_set_sha256: Option<String>,
    models_sha256: Option<String>,
    version: String,
    /// The SHA-256 of each file that was read, by its name.
    #[serde(default)]
    inputs: BTreeMap<String, String>,
}

impl MadeOf {
    /// What a plan, models and the content of these files are. Hashes, not sizes and times: a dataset that was copied to
    /// another machine is still the same, and a file that was made anew in the same second is not.
    pub fn now(plan: &Plan, models: &ModelSource, files: &[PathBuf]) -> Result<MadeOf, Error> {
        let [image_set_sha256, models_sha256] = models.sha256();
        Ok(MadeOf {
            plan: serde_json::to_value(plan).unwrap_or_default(),
            image_set_sha256,
            models_sha256,
            version: Provenance::here().version,
            inputs: hashes(files)?,
        })
    }

    /// What differs between this and what the maps of a summary were made of, in words; nothing if they are the same.
    fn differences(&self, now: &MadeOf) -> Vec<String> {
        let mut differences = Vec::new();
        let (then_plan, now_plan) = (without_group(&self.plan), without_group(&now.plan));
        let sections = [&then_plan, &now_plan].into_iter().filter_map(Value::as_object).flat_map(|plan| plan.keys());
        let mut sections: Vec<&String> = sections.filter(|key| then_plan.get(key) != now_plan.get(key)).collect();
        sections.sort();
        sections.dedup();
        differences.extend(sections.into_iter().map(|section| format!("`{section}` of the plan")));
        if (&self.image_set_sha256, &self.models_sha256) != (&now.image_set_sha256, &now.models_sha256) {
            differences.push("the models".into());
        }
        if self.version != now.version {
            differences.push(format!("the program ({} then, {} now)", self.version, now.version));
        }
        let mut names: Vec<&String> = self.inputs.keys().chain(now.inputs.keys()).collect();
        names.sort();
        names.dedup();
        let changed = names.into_iter().filter(|name| self.inputs.get(*name) != now.inputs.get(*name));
        differences.extend(changed.cloned());
        differences
    }
}

/// The SHA-256 of files, by their names.
pub fn hashes(files: &[PathBuf]) -> Result<BTreeMap<String, String>, Error> {
    files.iter().map(|path| Ok((name_of(path), file::sha256_of(path)?))).collect()
}

/// Whether a participant's maps are there, by the summary that stands with them, and were made of the same.
pub fn is_finished(summary: &Path, now: impl FnOnce() -> Result<MadeOf, Error>) -> Result<bool, Error> {
    if !summary.exists() {
        return Ok(false);
    }
    let then: MadeOf = file::read_json(summary)?;
    let differences = then.differences(&now()?);
    if differences.is_empty() {
        return Ok(true);
    }
    let what = format!(
        "these maps were made of another state of {}: give another OUTPUT_DIR, or take the participant's folder away to have \
         it analyzed anew",
        differences.join(", ")
    );
    Err(Error::misfit(summary, what))
}

/// Whether a group is there, by its summary, and was made of the same by the same plan.
pub fn group_is_finished(summary: &Path, plan: &Plan, members: &impl Serialize) -> Result<bool, Error> {
    if !summary.exists() {
        return Ok(false);
    }
    let then: Value = file::read_json(summary)?;
    let now = serde_json::json!({ "plan": plan, "participants": members, "version": Provenance::here().version });
    let parts = [("plan", "the plan"), ("participants", "the participants' maps"), ("version", "the program")];
    let differences = parts.into_iter().filter(|(key, _)| then.get(key) != now.get(key)).map(|(_, what)| what);
    let differences: Vec<&str> = differences.collect();
    if differences.is_empty() {
        return Ok(true);
    }
    let what = format!(
        "this group was made of another state of {}: take its folder away to have it made anew",
        differences.join(", ")
    );
    Err(Error::misfit(summary, what))
}

/// A plan without the sections that no map of a participant depends on.
pub fn without_group(plan: &Value) -> Value {
    let mut plan = plan.clone();
    if let Some(sections) = plan.as_object_mut() {
        AFTERWARDS.iter().for_each(|section| drop(sections.remove(*section)));
    }
    plan
}
