//! Volumes as axial slices side by side.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::figures::color::{QUIET, Rgb, TEXT};
use crate::figures::svg::{Anchor, Svg};
use crate::study::table;

const OUTLINE: &str = "#7a8190";
/// How far the slices may reach, and how wide one may be, in pixels.
const WIDTH: f64 = 790.0;
const WIDEST_SLICE: f64 = 170.0;
/// Left of the slices, for the names of the rows.
const LEFT: f64 = 122.0;
/// Columns of pixels between two slices.
const GAP: usize = 2;

/// How the voxels of a grid lie on the page: axial slices from below to above, left on the left, anterior at the top.
///
/// An oblique grid is shown along its own axes, each taken for the nearest axis of the world.
#[derive(Clone, Debug, PartialEq)]
pub struct AxialView {
    dims: [usize; 3],
    affine: [[f64; 4]; 3],
    /// For x, y and z of the world: the voxel axis that runs along it, and whether against it.
    axes: [(usize, bool); 3],
    /// A grey value for each voxel, seen wherever nothing is painted over it.
    underlay: Option<Vec<u8>>,
}

/// The colour of a voxel, given its index with x fastest; `None` leaves it white, or as grey as what it is drawn over.
pub type Paint<'a> = Box<dyn Fn(usize) -> Option<Rgb> + 'a>;

/// A row of slices.
pub struct Row<'a> {
    /// What stands left of it.
    pub label: String,
    /// A second, quieter line.
    pub note: String,
    /// Its voxels.
    pub paint: Paint<'a>,
}

impl AxialView {
    /// The view of a grid of `dims` voxels whose `affine` takes indices to millimetres (x to the right, y to the front,
    /// z up: the first three rows of the matrix).
    pub fn new(dims: [usize; 3], affine: [[f64; 4]; 3]) -> AxialView {
        let length = |axis: usize| (0..3).map(|world| affine[world][axis].powi(2)).sum::<f64>().sqrt().max(1e-12);
        let along = |world: usize, axis: usize| affine[world][axis].abs() / length(axis);
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let fit = |order: &[usize; 3]| (0..3).map(|world| along(world, order[world])).sum::<f64>();
        let order = orders.into_iter().max_by(|a, b| fit(a).total_cmp(&fit(b)).then(b.cmp(a))).expect("six orders");
        let axes = [0, 1, 2].map(|world| (order[world], affine[world][order[world]] < 0.0));
        AxialView { dims, affine, axes, underlay: None }
    }

    /// The same over an image of grey values, one for each voxel, 0 black; over white where there is none.
    pub fn over(self, underlay: Option<&[u8]>) -> AxialView {
        let voxels: usize = self.dims.iter().product();
        assert!(underlay.is_none_or(|grey| grey.len() == voxels), "a grey value for each voxel");
        AxialView { underlay: underlay.map(<[u8]>::to_vec), ..self }
    }

    fn grey(&self, voxel: usize) -> Option<Rgb> {
        self.underlay.as_ref().map(|grey| Rgb([grey[voxel]; 3]))
    }

    /// Columns, rows and slices.
    fn extent(&self) -> [usize; 3] {
        self.axes.map(|(axis, _)| self.dims[axis])
    }

    /// Millimetres from one column, row and slice to the next.
    fn steps_mm(&self) -> [f64; 3] {
        self.axes.map(|(axis, _)| (0..3).map(|world| self.affine[world][axis].powi(2)).sum::<f64>().sqrt())
    }

    /// The voxel in a column (from the left), a row (from the top) of a slice (from below).
    fn voxel(&self, column: usize, row: usize, slice: usize) -> [usize; 3] {
        let [columns, rows, slices] = self.extent();
        let from_left_back_below = [column, rows - 1 - row, slice];
        let mut voxel = [0; 3];
        for ((&(axis, against), place), count) in
            self.axes.iter().zip(from_left_back_below).zip([columns, rows, slices])
        {
            voxel[axis] = if against { count - 1 - place } else { place };
        }
        voxel
    }

    fn index(&self, column: usize, row: usize, slice: usize) -> usize {
        let [x, y, z] = self.voxel(column, row, slice);
        x + self.dims[0] * (y + self.dims[1] * z)
    }

    /// The height of a slice's middle in millimetres.
    fn height_mm(&self, slice: usize) -> f64 {
        let [columns, rows, _] = self.extent();
        let ends = [[0, 0], [columns - 1, rows - 1]].map(|[column, row]| {
            let voxel = self.voxel(column, row, slice);
            (0..3).map(|axis| self.affine[2][axis] * voxel[axis] as f64).sum::<f64>() + self.affine[2][3]
        });
        (ends[0] + ends[1]) / 2.0
    }
}

/// Rows of the same axial slices, cut to the mask and outlined by it. `id` must be unique on the page.
pub fn mosaic(
    id: &str,
    title: &str,
    description: &str,
    view: &AxialView,
    mask: &[bool],
    most_slices: usize,
    rows: &[Row],
) -> String {
    let cut = Cut::around(view, mask);
    let Some(cut) = cut else {
        let mut svg = Svg::new(300.0, 20.0, title, "The mask is empty.");
        svg.text([0.0, 14.0], 11.0, Anchor::Start, QUIET, "The mask is empty: there is nothing to show.");
        return svg.finish();
    };
    let slices = cut.spread(most_slices);
    let [step_x, step_y, _] = view.steps_mm();
    let columns = slices.len() * (cut.columns + GAP) - GAP;
    let slice_px = ((WIDTH - 4.0 * slices.len() as f64) / slices.len() as f64).min(WIDEST_SLICE);
    let px_x = slice_px / cut.columns as f64;
    let px_y = px_x * step_y / step_x;
    let row_height = (px_y * cut.rows as f64).max(26.0) + 8.0;
    let strip = px_x * columns as f64;
    let top = 20.0;
    let mut svg = Svg::new(LEFT + strip + 16.0, top + row_height * rows.len() as f64 + 4.0, title, description);
    let slice_x = |k: usize| LEFT + px_x * (k * (cut.columns + GAP)) as f64;
    for (k, &slice) in slices.iter().enumerate() {
        let text = table::cell(view.height_mm(slice), 0).replace('-', "\u{2212}");
        let text = if k == 0 { format!("z = {text} mm") } else { text };
        svg.text([slice_x(k) + slice_px / 2.0, 12.0], 10.5, Anchor::Middle, QUIET, &text);
    }
    svg.define(id, &cut.outline(view, mask, &slices));
    for (r, row) in rows.iter().enumerate() {
        let y = top + row_height * r as f64;
        let middle = y + row_height / 2.0 - 4.0;
        let lift = if row.note.is_empty() { 4.0 } else { -2.0 };
        svg.text([LEFT - 14.0, middle + lift], 12.0, Anchor::End, TEXT, &row.label);
        svg.text([LEFT - 14.0, middle + 13.0], 10.0, Anchor::End, QUIET, &row.note);
        let picture = cut.picture(view, mask, &slices, row);
        svg.image([LEFT, y, strip, px_y * cut.rows as f64], columns, &picture);
        svg.reuse(id, [LEFT, y], [px_x, px_y], OUTLINE);
        if r == 0 {
            svg.text([LEFT - 3.0, y + 9.0], 10.0, Anchor::End, QUIET, "L");
            svg.text([LEFT + strip + 3.0, y + 9.0], 10.0, Anchor::Start, QUIET, "R");
        }
    }
    svg.finish()
}

/// The part of the grid that holds the mask.
struct Cut {
    left: usize,
    top: usize,
    columns: usize,
    rows: usize,
    /// Slices in which the mask has voxels.
    slices: Vec<usize>,
}

impl Cut {
    fn around(view: &AxialView, mask: &[bool]) -> Option<Cut> {
        let [columns, rows, slices] = view.extent();
        let (mut left, mut right, mut top, mut bottom) = (columns, 0, rows, 0);
        let mut filled = BTreeSet::new();
        for slice in 0..slices {
            for row in 0..rows {
                for column in 0..columns {
                    if mask[view.index(column, row, slice)] {
                        (left, right) = (left.min(column), right.max(column));
                        (top, bottom) = (top.min(row), bottom.max(row));
                        filled.insert(slice);
                    }
                }
            }
        }
        let slices: Vec<usize> = filled.into_iter().collect();
        let around = |from, to| to - from + 1;
        (!slices.is_empty()).then(|| Cut { left, top, columns: around(left, right), rows: around(top, bottom), slices })
    }

    /// At most so many slices, evenly spread, the outermost ones left out where there are more.
    fn spread(&self, most: usize) -> Vec<usize> {
        let count = self.slices.len();
        if count <= most {
            return self.slices.clone();
        }
        (0..most).map(|k| self.slices[((k as f64 + 0.5) * count as f64 / most as f64) as usize]).collect()
    }

    /// RGBA, the slices side by side.
    fn picture(&self, view: &AxialView, mask: &[bool], slices: &[usize], row: &Row) -> Vec<u8> {
        let width = slices.len() * (self.columns + GAP) - GAP;
        let mut pixels = vec![0; width * self.rows * 4];
        for (k, &slice) in slices.iter().enumerate() {
            for y in 0..self.rows {
                for x in 0..self.columns {
                    let voxel = view.index(self.left + x, self.top + y, slice);
                    let painted = mask[voxel].then(|| (row.paint)(voxel)).flatten();
                    if let Some(color) = painted.or_else(|| view.grey(voxel)) {
                        let at = (y * width + k * (self.columns + GAP) + x) * 4;
                        pixels[at..at + 4].copy_from_slice(&color.opaque());
                    }
                }
            }
        }
        pixels
    }

    /// Where the mask ends, as SVG path data in pixels of the picture.
    fn outline(&self, view: &AxialView, mask: &[bool], slices: &[usize]) -> String {
        let mut path = String::new();
        for (k, &slice) in slices.iter().enumerate() {
            let offset = k * (self.columns + GAP);
            let inside = |x: isize, y: isize| {
                let within = |v: isize, count: usize| (0..count as isize).contains(&v);
                within(x, self.columns)
                    && within(y, self.rows)
                    && mask[view.index(self.left + x as usize, self.top + y as usize, slice)]
            };
            for line in 0..=self.rows as isize {
                runs(
                    self.columns,
                    |x| inside(x, line - 1) != inside(x, line),
                    |from, length| {
                        let _ = write!(path, "M{} {line}h{length}", offset + from);
                    },
                );
            }
            for line in 0..=self.columns as isize {
                runs(
                    self.rows,
                    |y| inside(line - 1, y) != inside(line, y),
                    |from, length| {
                        let _ = write!(path, "M{} {from}v{length}", offset as isize + line);
                    },
                );
            }
        }
        path
    }
}

/// Tells of each run of places in 0..count at which something holds.
fn runs(count: usize, holds: impl Fn(isize) -> bool, mut tell: impl FnMut(usize, usize)) {
    let mut from = None;
    for place in 0..=count {
        match (from, place < count && holds(place as isize)) {
            (None, true) => from = Some(place),
            (Some(start), false) => {
                tell(start, place - start);
                from = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voxels of 2 mm; x runs to the left, y to the front, z up.
    const LAS: [[f64; 4]; 3] = [[-2.0, 0.0, 0.0, 10.0], [0.0, 2.0, 0.0, -8.0], [0.0, 0.0, 2.0, 4.0]];

    #[test]
    fn left_is_left_and_anterior_is_up_whatever_the_order_on_disk() {
        let view = AxialView::new([3, 4, 5], LAS);
        // The leftmost voxel is the last in x, the most anterior one the last in y.
        assert_eq!(view.voxel(0, 0, 0), [2, 3, 0]);
        assert_eq!(view.voxel(2, 3, 4), [0, 0, 4]);
        let ras = AxialView::new([3, 4, 5], [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]);
        assert_eq!(ras.voxel(0, 0, 0), [0, 3, 0]);
    }

    #[test]
    fn sagittal_slices_on_disk_are_still_shown_axially() {
        // The first axis on disk runs back, the second down, the third right.
        let affine = [[0.0, 0.0, 3.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -2.0, 0.0, 50.0]];
        let view = AxialView::new([5, 6, 7], affine);
        assert_eq!(view.extent(), [7, 5, 6]);
        assert_eq!(view.steps_mm(), [3.0, 1.0, 2.0]);
        // Leftmost, most anterior, lowest.
        assert_eq!(view.voxel(0, 0, 0), [0, 5, 0]);
        assert_eq!(view.height_mm(0), 40.0);
    }

    #[test]
    fn the_height_of_a_slice_is_in_millimetres() {
        let view = AxialView::new([3, 4, 5], LAS);
        assert_eq!(view.height_mm(0), 4.0);
        assert_eq!(view.height_mm(4), 12.0);
    }

    #[test]
    fn a_mosaic_is_cut_to_the_mask_and_outlined() {
        let view = AxialView::new([4, 4, 3], [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
        let mut mask = vec![false; 48];
        mask[1 + 4 * (1 + 4)] = true;
        mask[2 + 4 * (1 + 4)] = true;
        let cut = Cut::around(&view, &mask).unwrap();
        assert_eq!((cut.left, cut.columns, cut.rows, cut.slices.as_slice()), (1, 2, 1, [1].as_slice()));
        assert_eq!(cut.outline(&view, &mask, &[1]), "M0 0h2M0 1h2M0 0v1M2 0v1");
        let paint = |voxel: usize| Some(Rgb([voxel as u8, 0, 0]));
        let row = Row { label: "x".into(), note: String::new(), paint: Box::new(paint) };
        assert_eq!(cut.picture(&view, &mask, &[1], &row), [21, 0, 0, 255, 22, 0, 0, 255]);
    }

    #[test]
    fn the_underlay_shows_where_nothing_is_painted_and_outside_the_mask() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let mask = [true, false, true];
        let paint = |voxel: usize| (voxel == 0).then_some(Rgb([200, 0, 0]));
        let row = Row { label: "x".into(), note: String::new(), paint: Box::new(paint) };
        let pixels = |underlay: Option<&[u8]>| {
            let view = AxialView::new([3, 1, 1], unit).over(underlay);
            Cut::around(&view, &mask).unwrap().picture(&view, &mask, &[0], &row)
        };
        assert_eq!(pixels(Some(&[10, 20, 30])), [200, 0, 0, 255, 20, 20, 20, 255, 30, 30, 30, 255]);
        assert_eq!(pixels(None), [200, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_empty_mask_is_said_in_words() {
        let view = AxialView::new([1, 1, 1], LAS);
        assert!(mosaic("m", "T", "D", &view, &[false], 9, &[]).contains("nothing to show"));
    }

    #[test]
    fn slices_are_spread_evenly() {
        let cut = Cut { left: 0, top: 0, columns: 1, rows: 1, slices: (10..20).collect() };
        assert_eq!(cut.spread(5), [11, 13, 15, 17, 19]);
        assert_eq!(cut.spread(99).len(), 10);
    }
}
