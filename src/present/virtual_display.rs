//! A virtual display: an X server without a screen, for rehearsals on machines that have none.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::present::error::Error;

/// The X server without a screen.
const SERVER: &str = "Xvfb";

/// Where the X server without a screen is, if it is installed.
pub fn program() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(SERVER)).find(|path| path.is_file())
}

/// An Xvfb of our own, which ends with this value.
pub struct VirtualDisplay {
    server: Child,
    // Where the programs of a session keep their sockets; made here where there is none.
    _runtime_folder: Option<TempDir>,
}

impl VirtualDisplay {
    /// Starts Xvfb and makes it the display of this process.
    ///
    /// To be called from the main thread before a window is opened: it sets environment variables.
    pub fn start() -> Result<VirtualDisplay, Error> {
        // `-terminate`: it ends with its last client, also where this program was killed.
        let mut server = Command::new(SERVER)
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-terminate"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::NoXvfb)?;
        let mut number = String::new();
        let answer = server.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut number));
        let mut display = VirtualDisplay { server, _runtime_folder: None };
        let number = number.trim();
        if !matches!(answer, Some(Ok(_))) || number.is_empty() {
            return Err(Error::XvfbEnded);
        }
        let has_runtime_folder =
            std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|path| std::path::Path::new(&path).is_dir());
        if !has_runtime_folder {
            // A temporary folder has the mode 700 that is asked for.
            display._runtime_folder = Some(tempfile::tempdir().map_err(Error::NoXvfb)?);
        }
        // SAFETY: presenting is the only part of this program that reads or sets the environment while it runs, and it
        // has started no thread yet.
        unsafe {
            std::env::set_var("DISPLAY", format!(":{number}"));
            std::env::remove_var("WAYLAND_DISPLAY");
            std::env::remove_var("WAYLAND_SOCKET");
            if let Some(folder) = &display._runtime_folder {
                std::env::set_var("XDG_RUNTIME_DIR", folder.path());
            }
        }
        Ok(display)
    }
}

impl Drop for VirtualDisplay {
    fn drop(&mut self) {
        // Asked to end, it removes its socket and lock file; killed, it would leave them.
        // SAFETY: the process is our child and was not waited for yet: its number is not another's.
        let asked = unsafe { libc::kill(self.server.id() as libc::pid_t, libc::SIGTERM) };
        if asked != 0 {
            let _ = self.server.kill();
        }
        match self.server.wait() {
            Err(error) if error.kind() == ErrorKind::Interrupted => drop(self.server.kill()),
            _ => (),
        }
    }
}
