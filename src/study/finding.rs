//! What a check finds, of a machine or of a session.

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub subject: &'static str,
    /// Whether it is as it should be.
    pub judgement: Judgement,
    /// How it was found.
    pub found: String,
    /// What to do about it, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It is.
    Pass,
    /// Only the operator can tell.
    Look,
    /// It will do, and what is made may be worse for it.
    Warn,
    /// It is not.
    Fail,
}

impl Finding {
    /// It is as it should be.
    pub fn pass(subject: &'static str, found: impl Into<String>) -> Finding {
        Finding { subject, judgement: Judgement::Pass, found: found.into(), advice: None }
    }

    /// Only the operator can tell.
    pub fn look(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { subject, judgement: Judgement::Look, found: found.into(), advice: Some(advice.into()) }
    }

    /// It will do, and what is made may be worse for it.
    pub fn warn(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { subject, judgement: Judgement::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    /// It is not as it should be.
    pub fn fail(subject: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { subject, judgement: Judgement::Fail, found: found.into(), advice: Some(advice.into()) }
    }
}

/// An error and its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
