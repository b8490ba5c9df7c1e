//! The files of a report: the page, its summary, and a folder with its figures and tables.

use std::path::{Path, PathBuf};

use crate::report::error::Error;
use crate::report::page::Rendered;
use crate::report::summary::Summary;
use crate::report::tables::ReportTable;
use crate::study::{self, MadeFolders, Output, file, table};

const HTML: &str = "report.html";
const SUMMARY: &str = "summary.json";
/// The folder of the figures (SVG) and tables (TSV).
pub const FIGURES: &str = "report_figures";

/// Claims the files in a folder, which may hold other things. Where nothing comes of it, a folder made for the report
/// is taken away again.
#[derive(Debug)]
pub struct ReportFiles {
    folder: PathBuf,
    figures: Output,
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
        let made = MadeFolders::make(&folder)?;
        let figures = Output::claim(&folder.join(FIGURES))?;
        Ok(ReportFiles { folder, figures, _made: made })
    }

    /// Writes all, the report last: where it is, all of it is.
    pub fn write(self, page: &Rendered, tables: &[ReportTable], summary: &Summary) -> Result<(), Error> {
        for (name, svg) in &page.figures {
            file::write(&self.figures.path(format!("{name}.svg")), svg.as_bytes())?;
        }
        for ReportTable { name, header, rows } in tables {
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            table::write(&self.figures.path(format!("{name}.tsv")), &header, rows.iter().cloned())?;
        }
        let summary_path = self.folder.join(SUMMARY);
        file::write_json(&summary_path, summary)?;
        let figures = self.figures.finish().inspect_err(|_| drop(std::fs::remove_file(&summary_path)))?;
        if let Err(refused) = file::write(&self.folder.join(HTML), page.html.as_bytes()) {
            let _ = std::fs::remove_file(summary_path);
            let _ = std::fs::remove_dir_all(figures);
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

    #[test]
    fn figures_of_another_report_are_not_touched() {
        let parent = tempfile::tempdir().unwrap();
        let figures = parent.path().join(FIGURES);
        std::fs::create_dir(&figures).unwrap();
        std::fs::write(figures.join("spread.svg"), "x").unwrap();
        let error = ReportFiles::claim(parent.path()).unwrap_err();
        assert!(error.to_string().contains("report_figures exists already"), "{error}");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
