//! How much room there is on a disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::study::error::Error;

/// Room on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// A folder that exists: the one asked for, or the first above it.
    pub folder: PathBuf,
    /// Bytes that this user may still write.
    pub free: u64,
    /// Whether this user may write there.
    pub is_writable: bool,
}

/// The room where a folder is, or will be made.
pub fn at(folder: &Path) -> Result<DiskSpace, Error> {
    let absolute = std::path::absolute(folder).map_err(Error::file("read", folder))?;
    let existing = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let (free, is_writable) = look(existing).map_err(Error::file("find the free room of", existing))?;
    Ok(DiskSpace { folder: existing.into(), free, is_writable })
}

#[cfg(unix)]
fn look(folder: &Path) -> io::Result<(u64, bool)> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: all zeros are a statvfs.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero; the call writes what the pointer is to and nothing else.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the path ends with a zero and is only read.
    let is_writable = unsafe { libc::access(path.as_ptr(), libc::W_OK) } == 0;
    Ok((found.f_bavail * found.f_frsize, is_writable))
}

#[cfg(not(unix))]
fn look(_: &Path) -> io::Result<(u64, bool)> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let space = at(&folder.path().join("not/yet")).unwrap();
        assert!(space.folder == folder.path() && space.free > 0 && space.is_writable);
    }
}
