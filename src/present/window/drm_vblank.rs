//! Vertical blanks from the kernel: the Direct Rendering Manager tells them to anyone who may open the card.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use drm::control::{Device as _, Event};
use drm::{Device as _, DriverCapability, VblankWaitFlags, VblankWaitTarget};

use crate::present::clock::Moment;
use crate::present::display::FlipSourceKind;
use crate::present::window::flip_source::wait_readable;
use crate::present::window::vblank::{Blank, VblankClock};

/// The blanks of one screen of one card.
pub struct KernelBlanks {
    card: Card,
    path: PathBuf,
    // The screen's place among those of the card.
    pipe: u32,
    asked: bool,
}

struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Card {}
impl drm::control::Device for Card {}

impl KernelBlanks {
    /// Of the only screen of this size that is lit; an error says why there is none.
    pub fn of(screen_px: [u32; 2]) -> Result<KernelBlanks, String> {
        let mut cards: Vec<PathBuf> = std::fs::read_dir("/dev/dri")
            .map_err(|error| format!("cannot read /dev/dri: {error}"))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("card")))
            .collect();
        cards.sort();
        let mut lit = Vec::new();
        let mut closed = String::new();
        for path in cards {
            match File::options().read(true).write(true).open(&path) {
                Ok(file) => lit.extend(lit_pipes(&Card(file), screen_px).into_iter().map(|pipe| (path.clone(), pipe))),
                Err(error) => closed += &format!("; cannot open {}: {error}", path.display()),
            }
        }
        let [(path, pipe)] = &lit[..] else {
            let [width, height] = screen_px;
            return Err(format!("{} screens of {width} x {height} pixels are lit{closed}", lit.len()));
        };
        let refused = |error: std::io::Error| format!("{} refuses: {error}", path.display());
        let card = Card(File::options().read(true).write(true).open(path).map_err(refused)?);
        if card.get_driver_capability(DriverCapability::MonotonicTimestamp).map_err(refused)? != 1 {
            return Err(format!("the times of {} are not of the monotonic clock", path.display()));
        }
        Ok(KernelBlanks { card, path: path.clone(), pipe: *pipe, asked: false })
    }

    fn ask(&mut self) -> Option<()> {
        if !self.asked {
            let next = VblankWaitTarget::Relative(1);
            self.card.wait_vblank(next, VblankWaitFlags::EVENT, self.pipe, 0).ok()?;
            self.asked = true;
        }
        Some(())
    }
}

/// Those of a card's screens that are lit at this size, each by its place.
fn lit_pipes(card: &Card, screen_px: [u32; 2]) -> Vec<u32> {
    let Ok(resources) = card.resource_handles() else { return Vec::new() };
    let is_lit = |&handle: &drm::control::crtc::Handle| {
        let mode = card.get_crtc(handle).ok().and_then(|crtc| crtc.mode());
        mode.is_some_and(|mode| [mode.size().0, mode.size().1].map(u32::from) == screen_px)
    };
    (0..).zip(resources.crtcs()).filter(|(_, handle)| is_lit(handle)).map(|(pipe, _)| pipe).collect()
}

impl VblankClock for KernelBlanks {
    fn next(&mut self, until: Moment) -> Option<Blank> {
        loop {
            self.ask()?;
            if !wait_readable(self.card.as_fd(), until) {
                return None;
            }
            for event in self.card.receive_events().ok()? {
                if let Event::Vblank(event) = event {
                    self.asked = false;
                    // Asked for at once, so that none is left out while nobody waits.
                    self.ask()?;
                    let at = Moment(event.time.as_nanos() as u64);
                    return Some(Blank { at, sequence: event.frame.into() });
                }
            }
        }
    }

    fn kind(&self) -> FlipSourceKind {
        FlipSourceKind::DrmVblank
    }

    fn place(&self) -> String {
        format!("{}, screen {}", self.path.display(), self.pipe)
    }
}
