//! The threads of an analysis.

use crate::analyze::error::Error;
use crate::analyze::instructions::Instructions;

/// A pool of so many threads, of as many as there are processors if `None`.
pub fn pool(threads: Option<usize>) -> Result<rayon::ThreadPool, Error> {
    Instructions::allowed()?;
    let threads = threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|source| Error::Threads { threads, source })
}
