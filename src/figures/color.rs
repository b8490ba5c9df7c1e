//! Colours that survive grey print and colour blindness.

/// What is written.
pub const TEXT: &str = "#2b303b";
/// What is written beside it: numbers at an axis, explanations.
pub const QUIET: &str = "#5b6270";
/// Lines that lead the eye.
pub const GRID: &str = "#e4e7ec";
/// Lines that say something.
pub const LINE: &str = "#3b4252";

/// An sRGB colour, 8 bits a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// As CSS writes it.
    pub fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// As a pixel that hides what is behind it: red, green, blue, opacity.
    pub fn opaque(self) -> [u8; 4] {
        let [r, g, b] = self.0;
        [r, g, b, u8::MAX]
    }

    /// Whether dark text is the more readable one on it (relative luminance of WCAG 2).
    pub fn is_light(self) -> bool {
        let linear = self.0.map(|v| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.22
    }
}

/// Blue, white, red (ColorBrewer RdBu, reversed): both ends are dark, and no colour-blind reader confuses them.
const DIVERGING: [[u8; 3]; 11] = [
    [0x05, 0x30, 0x61],
    [0x21, 0x66, 0xac],
    [0x43, 0x93, 0xc3],
    [0x92, 0xc5, 0xde],
    [0xd1, 0xe5, 0xf0],
    [0xf7, 0xf7, 0xf7],
    [0xfd, 0xdb, 0xc7],
    [0xf4, 0xa5, 0x82],
    [0xd6, 0x60, 0x4d],
    [0xb2, 0x18, 0x2b],
    [0x67, 0x00, 0x1f],
];

/// Viridis at eleven places: lightness rises evenly, so the order of the layers shows in grey too.
const VIRIDIS: [[u8; 3]; 11] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x24, 0x75],
    [0x41, 0x44, 0x87],
    [0x35, 0x5f, 0x8d],
    [0x2a, 0x78, 0x8e],
    [0x21, 0x91, 0x8c],
    [0x22, 0xa8, 0x84],
    [0x44, 0xbf, 0x70],
    [0x7a, 0xd1, 0x51],
    [0xbd, 0xdf, 0x26],
    [0xfd, 0xe7, 0x25],
];

/// The colour of what is undefined.
pub const UNDEFINED: Rgb = Rgb([0xc9, 0xcc, 0xd1]);

/// Colours for values from a low end to a high one; values beyond an end have its colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    stops: &'static [[u8; 3]; 11],
}

impl Scale {
    /// A diverging scale from -limit to limit: the same distance from 0 is equally far from white.
    pub fn to(limit: f64) -> Scale {
        let limit = if limit.is_finite() && limit > 0.0 { limit } else { 1.0 };
        Scale { low: -limit, high: limit, stops: &DIVERGING }
    }

    /// A diverging scale that holds every finite value, its limit a round number.
    pub fn holding(values: impl IntoIterator<Item = f64>) -> Scale {
        let most = values.into_iter().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()));
        Scale::to(round_beyond(most))
    }

    /// A scale whose lightness rises from 0 to the round number beyond `most`.
    pub fn rising_from_zero(most: f64) -> Scale {
        Scale { low: 0.0, high: round_beyond(most), stops: &VIRIDIS }
    }

    /// A scale whose lightness rises from 0 to 1.
    pub fn of_shares() -> Scale {
        Scale { low: 0.0, high: 1.0, stops: &VIRIDIS }
    }

    /// A scale whose lightness rises, from the tenth below the smallest finite value to the tenth above the largest.
    pub fn rising_over(values: impl IntoIterator<Item = f64> + Clone) -> Scale {
        let finite = || values.clone().into_iter().filter(|value| value.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return Scale::of_shares();
        }
        let low = (low * 10.0).floor() / 10.0;
        Scale { low, high: ((high * 10.0).ceil() / 10.0).max(low + 0.1), stops: &VIRIDIS }
    }

    /// Where the colours begin.
    pub fn low(self) -> f64 {
        self.low
    }

    /// Where the colours end.
    pub fn limit(self) -> f64 {
        self.high
    }

    /// The colours in words.
    pub fn words(self) -> String {
        let Scale { low, high, .. } = self;
        if self.stops == &DIVERGING {
            format!("Colours run from blue at {low} over white at 0 to red at {high}.")
        } else {
            format!("Colours run from dark violet at {low} over green to light yellow at {high}.")
        }
    }

    /// The colour of a value.
    pub fn color(self, value: f64) -> Rgb {
        if value.is_nan() {
            return UNDEFINED;
        }
        between(self.stops, (value - self.low) / (self.high - self.low))
    }
}

/// The colours of layers in their order, dark for the first, light for the last.
#[derive(Clone, Debug)]
pub struct LayerColors(Vec<Rgb>);

impl LayerColors {
    /// Colours for `count` layers.
    pub fn new(count: usize) -> LayerColors {
        let last = count.saturating_sub(1).max(1) as f64;
        LayerColors((0..count).map(|i| between(&VIRIDIS, i as f64 / last)).collect())
    }

    /// The colour of a layer, the first being 0; grey where there is none.
    pub fn get(&self, layer: usize) -> Rgb {
        self.0.get(layer).copied().unwrap_or(UNDEFINED)
    }
}

/// The smallest round number that is no less; 1 for what is not above 0.
fn round_beyond(most: f64) -> f64 {
    if !(most > 0.0 && most.is_finite()) {
        return 1.0;
    }
    let step = 10_f64.powf(most.log10().floor());
    let round = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    round.into_iter().map(|k| k * step).find(|&limit| limit >= most - 1e-9).unwrap_or(10.0 * step)
}

fn between(stops: &[[u8; 3]], place: f64) -> Rgb {
    let place = place.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let low = (place.floor() as usize).min(stops.len() - 2);
    let part = place - low as f64;
    let mix = |c: usize| (f64::from(stops[low][c]) * (1.0 - part) + f64::from(stops[low + 1][c]) * part).round() as u8;
    Rgb([mix(0), mix(1), mix(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_middle_and_the_ends_are_the_ends() {
        let scale = Scale::to(0.5);
        assert_eq!(scale.color(0.0), Rgb([0xf7, 0xf7, 0xf7]));
        assert_eq!(scale.color(0.5), Rgb(DIVERGING[10]));
        assert_eq!(scale.color(-9.0), Rgb(DIVERGING[0]));
        assert_eq!(scale.color(f64::NAN), UNDEFINED);
    }

    #[test]
    fn a_scale_ends_at_a_round_number_beyond_every_value() {
        assert_eq!(Scale::holding([0.1, -0.72, f64::NAN]).limit(), 0.8);
        assert_eq!(Scale::holding([1.0]).limit(), 1.0);
        assert_eq!(Scale::holding([]).limit(), 1.0);
        let rising = Scale::rising_from_zero(73.0);
        assert_eq!((rising.low(), rising.limit()), (0.0, 80.0));
    }

    #[test]
    fn a_rising_scale_ends_at_tenths_around_the_values_and_gets_lighter() {
        let scale = Scale::rising_over([-0.13, 0.42, f64::NAN]);
        assert_eq!((scale.low(), scale.limit()), (-0.2, 0.5));
        assert_eq!(scale.color(-0.2), Rgb(VIRIDIS[0]));
        assert!(scale.color(0.5).is_light() && !scale.color(-0.1).is_light());
        assert_eq!(Scale::rising_over([0.3; 2]).limit(), 0.4);
        assert_eq!(Scale::rising_over([]), Scale::of_shares());
    }

    #[test]
    fn the_lightness_of_layers_rises_with_their_order() {
        let colors = LayerColors::new(12);
        let lightness = |i| {
            let Rgb([r, g, b]) = colors.get(i);
            0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
        };
        assert!((1..12).all(|i| lightness(i) > lightness(i - 1)));
        assert_eq!(colors.get(12), UNDEFINED);
    }
}
