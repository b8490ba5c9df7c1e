//! What is kept of a synthesis until its image set is there: checkpoints and a preview, in a folder beside the set.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::study::{self, MadeFolders, Seed};
use crate::synthesize::error::Error;

/// Added to the name of the image set.
const SUFFIX: &str = ".unfinished";

/// How the names of files begin that a program was killed while writing.
const PARTIAL: &str = ".partial-";

/// The folder of a synthesis under way. One process holds it at a time, or several that share it.
#[derive(Debug)]
pub struct Unfinished {
    folder: PathBuf,
    _lock: File,
    /// After the lock: what is empty goes when this goes.
    _made: MadeFolders,
}

impl Unfinished {
    /// The folder for the image set `out`, which must not exist. Where an earlier synthesis left one, `resume` is needed.
    pub fn open(out: &Path, resume: bool) -> Result<Unfinished, Error> {
        let unfinished = Unfinished::hold(out, File::try_lock)?;
        unfinished.sweep()?;
        if !resume && unfinished.entries()?.next().is_some() {
            return Err(unfinished
                .wrong("a synthesis was stopped here: go on with --resume, or remove this folder to begin anew"));
        }
        Ok(unfinished)
    }

    /// The same folder for one of several processes that each have a seed of their own.
    pub fn share(out: &Path) -> Result<Unfinished, Error> {
        Unfinished::hold(out, File::try_lock_shared)
    }

    fn hold(out: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Unfinished, Error> {
        if std::fs::symlink_metadata(out).is_ok() && !is_empty_folder(out) {
            return Err(study::Error::Exists(out.into()).into());
        }
        let out = std::path::absolute(out).map_err(study::Error::file("create", out))?;
        let Some(name) = out.file_name() else {
            return Err(study::Error::content(&out, "is no place for a new folder").into());
        };
        let mut name = name.to_owned();
        name.push(SUFFIX);
        let folder = out.with_file_name(name);
        let made = MadeFolders::make(&folder)?;
        // The lock is on the folder itself, so that nothing is left of it.
        let file = File::open(&folder).map_err(study::Error::file("open", &folder))?;
        let locked = lock(&file);
        let unfinished = Unfinished { folder, _lock: file, _made: made };
        match locked {
            Ok(()) => Ok(unfinished),
            Err(TryLockError::WouldBlock) => Err(unfinished.wrong("another synthesis is at work here")),
            Err(TryLockError::Error(source)) => Err(study::Error::file("lock", &unfinished.folder)(source).into()),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::Unfinished { folder: self.folder.clone(), what: what.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the checkpoint of a seed is.
    pub fn checkpoint(&self, seed: Seed) -> PathBuf {
        self.folder.join(format!("seed-{}.safetensors", seed.0))
    }

    /// Where the images can be seen as they become.
    pub fn preview(&self) -> PathBuf {
        self.folder.join("preview.png")
    }

    /// Takes the folder away: the image set is there.
    pub fn remove(self) -> Result<(), Error> {
        std::fs::remove_dir_all(&self.folder).map_err(study::Error::file("remove", &self.folder))?;
        Ok(())
    }

    /// Takes away what a killed program left half-written.
    fn sweep(&self) -> Result<(), Error> {
        for path in self
            .entries()?
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PARTIAL)))
        {
            std::fs::remove_file(&path).map_err(study::Error::file("remove", &path))?;
        }
        Ok(())
    }

    fn entries(&self) -> Result<impl Iterator<Item = PathBuf>, Error> {
        let refused = study::Error::file("read", &self.folder);
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(&self.folder).and_then(Iterator::collect);
        Ok(entries.map_err(refused)?.into_iter().map(|entry| entry.path()))
    }
}

fn is_empty_folder(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_synthesis_at_a_time_and_nothing_left_of_one_that_did_not_begin() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("sets/one");
        let first = Unfinished::open(&out, false).unwrap();
        assert_eq!(first.folder(), place.path().join("sets/one.unfinished"));
        let second = Unfinished::open(&out, true).unwrap_err().to_string();
        assert!(second.contains("another synthesis is at work"), "{second}");
        drop(first);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn trials_share_the_folder_and_nobody_else_does() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("set");
        let trials = [Unfinished::share(&out).unwrap(), Unfinished::share(&out).unwrap()];
        assert!(Unfinished::open(&out, true).is_err());
        drop(trials);
        let whole = Unfinished::open(&out, true).unwrap();
        assert!(Unfinished::share(&out).is_err());
        drop(whole);
    }

    #[test]
    fn a_stopped_synthesis_is_gone_on_with_only_when_asked() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("set");
        let first = Unfinished::open(&out, false).unwrap();
        std::fs::write(first.checkpoint(Seed(3)), "state").unwrap();
        std::fs::write(first.folder().join(".partial-x"), "half").unwrap();
        drop(first);
        let refused = Unfinished::open(&out, false).unwrap_err().to_string();
        assert!(refused.contains("set.unfinished") && refused.contains("--resume"), "{refused}");
        let second = Unfinished::open(&out, true).unwrap();
        assert!(second.checkpoint(Seed(3)).exists() && !second.folder().join(".partial-x").exists());
        second.remove().unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
