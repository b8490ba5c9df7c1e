//! What an image set's fingerprints are like once the images are disturbed.

use crate::figures::color::Scale;
use crate::figures::grid::{Grid, grid};
use crate::study::{Figures, ViewFigures};

/// What each layer keeps of its RSM under each held-out view, the views that a set is held to before the others.
pub fn stability(figures: &Figures) -> String {
    let rows: Vec<String> = figures.layers.iter().map(|layer| layer.name.to_string()).collect();
    let (judged, others): (Vec<&ViewFigures>, Vec<&ViewFigures>) = figures.views.iter().partition(|view| view.judged);
    let names = |views: &[&ViewFigures]| views.iter().map(|view| view.name.replace('_', " ")).collect::<Vec<_>>();
    let mut groups = vec![("views that a set is held to", names(&judged)), ("for information", names(&others))];
    groups.retain(|(_, names)| !names.is_empty());
    let views = [judged, others].concat();
    let matrix = Grid {
        title: "Stability: what each layer keeps of its RSM under each view".into(),
        description: "Correlation of each layer's RSM under a view with its own clean RSM.".into(),
        rows: &rows,
        groups: &groups,
        value: &|layer, view| views[view].keep[layer],
        scale: Scale::of_shares(),
    };
    grid(&matrix, "keep: correlation of an RSM under the view with the clean one (Pearson r)")
}
