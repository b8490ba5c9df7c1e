//! A wish of the user to stop, for jobs that have something to put in order first.

use std::sync::atomic::{AtomicBool, Ordering};

static HEARD: AtomicBool = AtomicBool::new(false);
static WISHED: AtomicBool = AtomicBool::new(false);

/// Whoever holds this looks at it now and then and ends by itself; nobody ends the program meanwhile.
#[derive(Debug)]
pub struct StopWish(());

impl StopWish {
    /// From now on a wish to stop is kept for the holder.
    pub fn hear() -> StopWish {
        WISHED.store(false, Ordering::SeqCst);
        HEARD.store(true, Ordering::SeqCst);
        StopWish(())
    }

    /// Whether the user wants to stop.
    pub fn is_there(&self) -> bool {
        WISHED.load(Ordering::SeqCst)
    }
}

impl Drop for StopWish {
    fn drop(&mut self) {
        HEARD.store(false, Ordering::SeqCst);
    }
}

/// Says that the user wants to stop. False where nobody hears it, or the wish was there already: the program should end at
/// once.
pub fn wish_to_stop() -> bool {
    HEARD.load(Ordering::SeqCst) && !WISHED.swap(true, Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_heard_once_and_only_while_somebody_listens() {
        assert!(!wish_to_stop());
        let wish = StopWish::hear();
        assert!(!wish.is_there());
        assert!(wish_to_stop() && wish.is_there());
        assert!(!wish_to_stop(), "the second time the program ends");
        drop(wish);
        assert!(!wish_to_stop());
        assert!(!StopWish::hear().is_there());
    }
}
