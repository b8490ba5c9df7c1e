//! How a job tells how far it is, without knowing who listens.

/// The listener: progress bars in a terminal, or nobody.
pub trait Progress: Sync {
    /// A stage of `total` steps begins; it ends when the returned value is dropped.
    fn stage(&self, name: &str, total: u64) -> Box<dyn Stage + '_>;

    /// A line that the user should read and keep.
    fn say(&self, line: &str);
}

/// A stage under way.
pub trait Stage: Sync {
    /// So many more steps are done.
    fn advance(&self, steps: u64);

    /// The figures of the moment, shown beside the bar.
    fn figures(&self, text: &str);
}

/// Nobody listens.
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: u64) -> Box<dyn Stage + '_> {
        Box::new(Silent)
    }

    fn say(&self, _: &str) {}
}

impl Stage for Silent {
    fn advance(&self, _: u64) {}

    fn figures(&self, _: &str) {}
}
