//! A watchdog: some graphics drivers wait for ever for a window that is not shown, and cannot be woken.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::present::clock::Moment;

/// How long a frame may take to be handed over.
const PATIENCE_S: f64 = 10.0;

/// How often the watchdog looks.
const EVERY: Duration = Duration::from_millis(500);

/// Ends the program where a frame could not be handed over for 10 s.
pub struct Watchdog {
    // Since when a call of the driver has not returned, in ns; 0 between calls.
    since_ns: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Begins to watch.
    pub fn start() -> Watchdog {
        let (since_ns, gone) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (watched, is_over) = (since_ns.clone(), gone.clone());
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::park_timeout(EVERY);
                let since = Moment(watched.load(Ordering::Relaxed));
                if since.0 > 0 && Moment::now().seconds_since(since) > PATIENCE_S {
                    end();
                }
            }
        });
        Watchdog { since_ns, gone, thread: Some(thread) }
    }

    /// Calls the driver under the watchdog's eye.
    pub fn watch<T>(&self, call: impl FnOnce() -> T) -> T {
        self.since_ns.store(Moment::now().0, Ordering::Relaxed);
        let returned = call();
        self.since_ns.store(0, Ordering::Relaxed);
        returned
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn end() -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "error: the screen has taken no frame for {PATIENCE_S} s: the window is hidden, its screen is off, or it was never \
         shown; the journal holds what was shown until then"
    );
    // Not `exit`: what it runs at the end would wait for the thread that hangs.
    // SAFETY: ends the process and touches nothing.
    unsafe { libc::_exit(1) }
}
