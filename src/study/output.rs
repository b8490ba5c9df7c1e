//! Folders of results, claimed before the work starts and there only when it is done.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::study::error::Error;

/// The staging folders of all outputs that were claimed; those of finished ones exist no longer.
static STAGED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Takes away everything that was claimed and is not finished: for a program that is told to stop.
pub fn abandon_outputs() {
    let staged = STAGED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for folder in staged.iter().filter(|folder| folder.exists()) {
        // What is still being written into it may come in between once.
        let _ = std::fs::remove_dir_all(folder).or_else(|_| std::fs::remove_dir_all(folder));
    }
}

/// A folder of results in the making. Files are written into a hidden neighbour of the final folder, which takes the
/// final name in [`Output::finish`]; a job that fails leaves nothing behind.
#[derive(Debug)]
pub struct Output {
    target: PathBuf,
    staging: TempDir,
    /// After the staging folder: what is empty without it goes too.
    made: MadeFolders,
}

impl Output {
    /// Claims `target`, which must not exist (an empty folder may). Fails at once where it cannot be written.
    pub fn claim(target: &Path) -> Result<Output, Error> {
        let occupied = match std::fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => std::fs::symlink_metadata(target).is_ok(),
        };
        if occupied {
            return Err(Error::Exists(target.into()));
        }
        let target = std::path::absolute(target).map_err(Error::file("create", target))?;
        let parent = target.parent().ok_or_else(|| Error::content(&target, "is no place for a new folder"))?;
        let made = MadeFolders::make(parent)?;
        let staging =
            tempfile::Builder::new().prefix(".partial-").tempdir_in(parent).map_err(Error::file("create", &target))?;
        STAGED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(staging.path().into());
        Ok(Output { target, staging, made })
    }

    /// Where the files of the result are written until it is finished.
    pub fn folder(&self) -> &Path {
        self.staging.path()
    }

    /// A file or subfolder of the result, while it is being made.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.staging.path().join(name)
    }

    /// Gives the folder its final name and returns it.
    pub fn finish(self) -> Result<PathBuf, Error> {
        let Output { target, staging, made: _made } = self;
        open_to_others(staging.path()).map_err(Error::file("create", &target))?;
        // An empty folder of that name is replaced: rename does so by itself.
        std::fs::rename(staging.path(), &target).map_err(Error::file("create", &target))?;
        let _ = staging.keep();
        Ok(target)
    }
}

/// A folder and those above it that were made for results. Those that are still empty when this value goes are taken away
/// again.
#[derive(Debug)]
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes the folder, and those above it that are missing.
    pub fn make(folder: &Path) -> Result<MadeFolders, Error> {
        let missing = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let made = MadeFolders(missing.map(Path::to_owned).collect());
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        Ok(made)
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        // The deepest first; a folder that holds something refuses, and is meant to.
        for folder in &self.0 {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(unix)]
fn open_to_others(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_output_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let output = Output::claim(&parent.path().join("deep/maps")).unwrap();
        std::fs::write(output.path("half.nii"), "x").unwrap();
        drop(output);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_output_has_its_name_and_its_files() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("deep/maps");
        let output = Output::claim(&target).unwrap();
        std::fs::write(output.path("map.nii"), "x").unwrap();
        assert_eq!(output.finish().unwrap(), target);
        assert_eq!(std::fs::read_to_string(target.join("map.nii")).unwrap(), "x");
        assert_eq!(std::fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_exists_is_not_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("kept"), "x").unwrap();
        assert!(matches!(Output::claim(parent.path()), Err(Error::Exists(_))));
        assert!(matches!(Output::claim(&parent.path().join("kept")), Err(Error::Exists(_))));
    }
}
