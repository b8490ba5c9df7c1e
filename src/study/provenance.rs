//! Which program made a result.

use serde::{Deserialize, Serialize};

/// The program and machine behind a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// `layerprint`.
    pub program: String,
    /// Its version.
    pub version: String,
    /// Operating system and processor architecture, as `linux x86_64`.
    pub system: String,
}

impl Provenance {
    /// This program on this machine.
    pub fn here() -> Provenance {
        Provenance {
            program: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}
