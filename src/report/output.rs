//! The two files of a report.

use std::path::{Path, PathBuf};

use crate::report::error::Error;
use crate::report::summary::Summary;
use crate::study::{self, MadeFolders, file};

const HTML: &str = "report.html";
const SUMMARY: &str = "summary.json";

/// Claims the two files in a folder, which may hold other things. Where nothing comes of it, a folder made for the report
/// is taken away again.
#[derive(Debug)]
pub struct ReportFiles {
    folder: PathBuf,
    _made: MadeFolders,
}

impl ReportFiles {
    /// Fails at once where a report is there already or the folder cannot be written.
    pub fn claim(folder: &Path) -> Result<ReportFiles, Error> {
        for name in [HTML, SUMMARY] {
            let path = folder.join(name);
            if std::fs::symlink_metadata(&path).is_ok() {
                return Err(study::Error::Exists(path).into());
            }
        }
        let folder = std::path::absolute(folder).map_err(study::Error::file("create", folder))?;
        let claim = ReportFiles { _made: MadeFolders::make(&folder)?, folder };
        tempfile::Builder::new()
            .prefix(".partial-")
            .tempfile_in(&claim.folder)
            .map_err(study::Error::file("write", &claim.folder))?;
        Ok(claim)
    }

    /// Writes both, the report last: where it is, all of it is.
    pub fn write(self, html: &str, summary: &Summary) -> Result<(), Error> {
        let summary_path = self.folder.join(SUMMARY);
        file::write_json(&summary_path, summary)?;
        if let Err(refused) = file::write(&self.folder.join(HTML), html.as_bytes()) {
            let _ = std::fs::remove_file(summary_path);
            return Err(refused.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_claim_leaves_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        drop(ReportFiles::claim(&parent.path().join("a/b")).unwrap());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_report_is_not_overwritten_but_other_files_may_be_there() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("images.toml"), "x").unwrap();
        assert!(ReportFiles::claim(parent.path()).is_ok());
        std::fs::write(parent.path().join("summary.json"), "x").unwrap();
        let error = ReportFiles::claim(parent.path()).unwrap_err();
        assert!(error.to_string().contains("summary.json exists already"), "{error}");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
