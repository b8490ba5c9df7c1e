//! What can be wrong with a file that two jobs share.

use std::path::PathBuf;

/// A file that could not be read, written or believed. The message names the file; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A settings file that is not TOML, or has an unknown, missing or wrong key.
    #[error("{}, line {line}, column {column}: {what}", path.display())]
    Toml {
        /// The settings file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// A JSON file that cannot be understood.
    #[error("cannot understand {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        source: serde_json::Error,
    },
    /// A line of a table that cannot be understood.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// The table.
        path: PathBuf,
        /// The line, the header being line 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file whose content as a whole cannot be used.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An output that exists already; nothing is overwritten.
    #[error("{} exists already and is not overwritten: name another folder or move it away", .0.display())]
    Exists(PathBuf),
}

impl Error {
    /// For `map_err`: what was tried, and on what.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }

    /// A file that cannot be used, with the reason.
    pub fn content(path: impl Into<PathBuf>, what: impl Into<String>) -> Error {
        Error::Content { path: path.into(), what: what.into() }
    }
}
