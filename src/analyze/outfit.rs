//! What this computer has to analyze with.

use crate::analyze::instructions::Instructions;
use crate::study::{Finding, with_causes};

/// What was found.
pub fn outfit() -> Vec<Finding> {
    const SUBJECT: &str = "instructions";
    vec![match Instructions::allowed() {
        Err(error) => Finding::fail(SUBJECT, with_causes(&error), "unset it, or set it to one of these"),
        Ok(_) => match Instructions::of_this_machine() {
            Instructions::Avx512 => Finding::pass(SUBJECT, "AVX-512"),
            Instructions::Avx2 => Finding::pass(SUBJECT, "AVX2"),
            Instructions::Portable => {
                Finding::warn(SUBJECT, "those of any processor", "one with AVX2 gives the same numbers much faster")
            }
        },
    }]
}
