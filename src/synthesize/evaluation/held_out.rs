//! The views that image sets are evaluated on: the same ones for every set, and never those that an ascent has seen.

use tch::Tensor;

use crate::study::{Seed, Stream};
use crate::synthesize::objective::Pooling;
use crate::synthesize::range::Range;
use crate::synthesize::view::{self, Kinds, Surround};

/// Every set is looked at through the same draws, so that the figures of two sets can be compared.
const SEED: Seed = Seed(0);

/// How often a view with chance in it is drawn.
const DRAWS: u32 = 3;

/// How many shifted images an eye averages over.
const FIXATIONS: u32 = 6;

/// One way of looking at a set.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// Its name in tables.
    pub name: &'static str,
    /// Whether a set is held to it.
    pub judged: bool,
    /// How many draws of it are made.
    pub draws: u32,
    sight: Sight,
}

/// What is done to the images, or to what the layers make of them.
#[derive(Clone, Debug)]
enum Sight {
    /// A view of these kinds.
    View(Kinds),
    /// RSMs averaged over so many views of these kinds.
    Average(Kinds, u32),
    /// The colours are taken out.
    Grey,
    /// Activations are averaged.
    Pooled(Pooling),
}

/// All of them, in the order of the tables.
pub fn all() -> Vec<HeldOut> {
    let none = Kinds::default;
    let placed = |surround| Kinds { surround: vec![surround], ..none() };
    let shift = |surround, px: f64| Kinds { shift_px: Some(Range::between(-px, px)), ..placed(surround) };
    let view = |name, draws, kinds| HeldOut { name, judged: true, draws, sight: Sight::View(kinds) };
    let informative = |name, sight| HeldOut { name, judged: false, draws: 1, sight };
    let turn = Some(Range::between(-5.0, 5.0));
    vec![
        view("shift", DRAWS, shift(Surround::Mirror, 8.0)),
        view("shift_grey", DRAWS, shift(Surround::Grey, 8.0)),
        view("scale", DRAWS, Kinds { scale: Some(Range::between(0.9, 1.1)), ..placed(Surround::Mirror) }),
        view("rotation", DRAWS, Kinds { rotation_deg: turn, ..placed(Surround::Mirror) }),
        view("blur", 1, Kinds { blur_px: Some(Range::only(1.5)), ..none() }),
        view("gamma", DRAWS, Kinds { gamma: Some(Range::between(0.7, 1.4)), ..none() }),
        view("contrast", 1, Kinds { contrast: Some(Range::only(0.6)), ..none() }),
        view("noise", DRAWS, Kinds { noise_sd: Some(Range::only(0.03)), ..none() }),
        view("resampled_down", 1, Kinds { resampling: Some(Range::only(1.5)), ..none() }),
        view("resampled_up", 1, Kinds { resampling: Some(Range::only(1.0 / 1.5)), ..none() }),
        HeldOut {
            name: "eye",
            judged: true,
            draws: DRAWS,
            sight: Sight::Average(shift(Surround::Mirror, 4.0), FIXATIONS),
        },
        informative("grey", Sight::Grey),
        informative("grid_7x7", Sight::Pooled(Pooling::Local)),
        informative("whole_map", Sight::Pooled(Pooling::Map)),
    ]
}

impl HeldOut {
    /// How many sets of RSMs are averaged for a draw.
    pub fn glances(&self) -> u32 {
        match self.sight {
            Sight::Average(_, glances) => glances,
            _ => 1,
        }
    }

    /// One glance of a draw at images (n, 3, height, width), 0..=1: the images as they are then, and how activations are averaged.
    pub fn glance(&self, images: &Tensor, draw: u32, glance: u32) -> (Tensor, Pooling) {
        match &self.sight {
            Sight::View(kinds) | Sight::Average(kinds, _) => {
                let chance = SEED.of(self.name).stream(Stream::HeldOutViews, draw * self.glances() + glance);
                (kinds.draw(images.size()[0] as usize, chance).of(images), Pooling::None)
            }
            Sight::Grey => (view::grey(images), Pooling::None),
            Sight::Pooled(pooling) => (images.shallow_clone(), *pooling),
        }
    }

    /// Whether views of the kinds that an ascent saw are of this kind too, from whatever range.
    pub fn was_used_by(&self, ascent: &Kinds) -> bool {
        match &self.sight {
            Sight::View(kinds) | Sight::Average(kinds, _) => all_among(kinds, ascent),
            Sight::Grey | Sight::Pooled(_) => false,
        }
    }
}

/// Whether everything that `kinds` does is among what `others` do. An ascent that names no surround mirrors.
fn all_among(kinds: &Kinds, others: &Kinds) -> bool {
    let Kinds {
        shift_px,
        scale,
        rotation_deg,
        surround,
        resampling,
        blur_px,
        gamma,
        contrast,
        noise_sd,
        clean_share: _,
    } = kinds;
    let mirrors = others.surround.is_empty();
    let surrounded = |kind: &Surround| others.surround.contains(kind) || mirrors && *kind == Surround::Mirror;
    let pairs = [
        (shift_px, &others.shift_px),
        (scale, &others.scale),
        (rotation_deg, &others.rotation_deg),
        (resampling, &others.resampling),
        (blur_px, &others.blur_px),
        (gamma, &others.gamma),
        (contrast, &others.contrast),
        (noise_sd, &others.noise_sd),
    ];
    pairs.into_iter().all(|(kind, other)| kind.is_none() || other.is_some()) && surround.iter().all(surrounded)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn every_view_has_a_name_of_its_own_and_changes_what_is_compared() {
        let images = Tensor::arange(2 * 3 * 24 * 24, (Kind::Float, Device::Cpu)).sin().view([2, 3, 24, 24]) * 0.4 + 0.5;
        let views = all();
        for (k, view) in views.iter().enumerate() {
            assert!(views[..k].iter().all(|other| other.name != view.name), "{}", view.name);
            let (seen, pooling) = view.glance(&images, 0, 0);
            assert_eq!(seen.size(), images.size());
            assert!(pooling != Pooling::None || seen != images, "{}", view.name);
            assert_eq!(view.glance(&images, 0, 0).0, seen, "{} repeats", view.name);
            if view.draws > 1 {
                assert_ne!(view.glance(&images, 1, 0).0, seen, "{} is drawn anew", view.name);
            }
        }
    }

    #[test]
    fn a_view_knows_whether_an_ascent_used_its_kind() {
        let range = || Some(Range::between(-1.0, 1.0));
        let used = |ascent: Kinds| -> Vec<&str> {
            all().into_iter().filter(|view| view.was_used_by(&ascent)).map(|view| view.name).collect()
        };
        assert_eq!(used(Kinds::default()), [""; 0]);
        assert_eq!(used(Kinds { shift_px: range(), ..Kinds::default() }), ["shift", "eye"]);
        let grey = vec![Surround::Edge, Surround::Grey];
        assert_eq!(used(Kinds { shift_px: range(), surround: grey, ..Kinds::default() }), ["shift_grey"]);
        let resampling = Kinds { resampling: Some(Range::only(2.0)), ..Kinds::default() };
        assert_eq!(used(resampling), ["resampled_down", "resampled_up"]);
    }
}
