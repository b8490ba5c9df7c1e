//! Null trials among others.

use rand::Rng;
use rand::seq::index;

/// Puts null trials between images, each between two of them: never first, last or beside another. The share is of all
/// trials: 7 beside 64 images at 0.1.
pub fn insert(shown: &[usize], null_fraction: f64, chance: &mut impl Rng) -> Vec<Option<usize>> {
    let nulls = (shown.len() as f64 * null_fraction / (1.0 - null_fraction)).round() as usize;
    let gaps = shown.len() - 1;
    let mut has_null = vec![false; gaps];
    for gap in index::sample(chance, gaps, nulls.min(gaps)) {
        has_null[gap] = true;
    }
    let mut order = Vec::with_capacity(shown.len() + nulls);
    for (place, &image) in shown.iter().enumerate() {
        if place > 0 && has_null[place - 1] {
            order.push(None);
        }
        order.push(Some(image));
    }
    order
}
