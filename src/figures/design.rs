//! The design of a run: its order in time, what the volumes see of it, and what follows what.

use crate::figures::color::{QUIET, Rgb, Scale, TEXT};
use crate::figures::heatmap::ink;
use crate::figures::svg::{Anchor, Svg};
use crate::figures::timeline::{LEFT, Run, WIDTH, draw_raster, raster_px, seconds_px, shortened};

const REGRESSOR: &str = "#2a788e";
const TARGET: &str = "#b2182b";
const NONE: Rgb = Rgb([0xf5, 0xf6, 0xf8]);
/// The height of a regressor's row, and the edge of a cell of what follows what, in pixels.
const REGRESSOR_PX: f64 = 17.0;
const CELL_PX: f64 = 19.0;

/// A design to be shown.
pub struct Design<'a> {
    /// The run, planned; without pulses.
    pub run: Run<'a>,
    /// When there is something to respond to, in seconds.
    pub targets_s: &'a [f64],
    /// From one volume to the next, in seconds.
    pub tr_s: f64,
    /// For each image a value for each volume, from 0 s on.
    pub regressors: &'a [Vec<f64>],
    /// A row for each image, and null where there is any, which comes before; a column for each, which follows: how often.
    pub carry_over: &'a [Vec<u32>],
}

/// The design as a file.
pub fn design(design: &Design) -> String {
    let Design { run, .. } = design;
    let targets = if design.targets_s.is_empty() { 0.0 } else { 16.0 };
    let regressors_top = 26.0 + targets + raster_px(run) + 26.0;
    let matrix_top = regressors_top + REGRESSOR_PX * design.regressors.len() as f64 + 52.0;
    let height = matrix_top + 78.0 + CELL_PX * design.carry_over.len() as f64;
    let title = format!("Design of {}", run.name);
    let description = "From above: the order of the trials in time, the responses that the volumes are expected to see, \
                       and how often each image follows each other one.";
    let mut svg = Svg::new(LEFT + WIDTH + 20.0, height, &title, description);
    svg.text([LEFT, 12.0], 12.0, Anchor::Start, TEXT, &title);
    if targets > 0.0 {
        svg.text([LEFT - 7.0, 34.0], 8.5, Anchor::End, TARGET, "targets");
        for &target_s in design.targets_s {
            let x = seconds_px(run, target_s);
            svg.line([x, 26.0], [x, 37.0], TARGET, 1.2);
        }
    }
    draw_raster(&mut svg, 22.0 + targets, run);
    draw_regressors(&mut svg, regressors_top, design);
    draw_carry_over(&mut svg, matrix_top, design);
    svg.file()
}

/// All on one scale: a row is as high as the highest response.
fn draw_regressors(svg: &mut Svg, top: f64, design: &Design) {
    svg.text([LEFT, top - 8.0], 11.0, Anchor::Start, TEXT, "expected response to each image");
    let most = design.regressors.iter().flatten().fold(0.0, |most: f64, value| most.max(value.abs())).max(1e-12);
    for (i, (regressor, name)) in design.regressors.iter().zip(design.run.images).enumerate() {
        let base = top + (i as f64 + 1.0) * REGRESSOR_PX - 4.0;
        svg.text([LEFT - 7.0, base], 8.5, Anchor::End, QUIET, &shortened(name, 16));
        let point = |(volume, value): (usize, &f64)| {
            [seconds_px(&design.run, volume as f64 * design.tr_s), base - (REGRESSOR_PX - 5.0) * value / most]
        };
        svg.polyline(regressor.iter().enumerate().map(point), REGRESSOR, 1.0);
    }
}

fn draw_carry_over(svg: &mut Svg, top: f64, design: &Design) {
    let names: Vec<String> = design.run.images.iter().map(|name| shortened(name, 12)).chain(["null".into()]).collect();
    svg.text([LEFT, top - 8.0], 11.0, Anchor::Start, TEXT, "how often the image of a column follows that of a row");
    let most = design.carry_over.iter().flatten().copied().max().unwrap_or(0).max(1);
    let top = top + 72.0;
    for (i, row) in design.carry_over.iter().enumerate() {
        let y = top + i as f64 * CELL_PX;
        svg.text([LEFT - 7.0, y + 13.0], 9.5, Anchor::End, QUIET, &names[i]);
        svg.text_upwards([LEFT + (i as f64 + 0.5) * CELL_PX + 3.5, top - 6.0], 9.5, QUIET, &names[i]);
        for (j, &count) in row.iter().enumerate() {
            let share = f64::from(count) / f64::from(most);
            let color = if count == 0 { NONE } else { Scale::of_shares().color(share) };
            let [x, edge] = [LEFT + j as f64 * CELL_PX, CELL_PX - 1.0];
            let tip = format!("{} after {}: {count}", names[j], names[i]);
            svg.tipped_rect([x, y, edge, edge], &color.hex(), &tip);
            if count > 0 {
                svg.text([x + edge / 2.0, y + 13.0], 9.5, Anchor::Middle, ink(color), &count.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::timeline::Mark;

    #[test]
    fn every_trial_response_pair_and_target_is_drawn() {
        let images = ["a", "b"].map(String::from);
        let marks = [Some(0), None, Some(1)].map(|image| Mark { onset_s: 2.0, duration_s: 1.0, image });
        let svg = design(&Design {
            run: Run { name: "r", images: &images, marks: &marks, pulses_s: &[], begin_s: 0.0, end_s: 20.0 },
            targets_s: &[5.0],
            tr_s: 2.0,
            regressors: &[vec![0.0, 1.0], vec![0.5, 0.0]],
            carry_over: &[vec![0, 0, 3], vec![0, 0, 0], vec![0, 2, 0]],
        });
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches(" after ").count(), 9);
        assert!(svg.contains("null after a: 3") && svg.contains("b after null: 2"), "{svg}");
        assert_eq!(svg.matches(&format!("stroke=\"{TARGET}\"")).count(), 1);
        assert_eq!(svg.matches(" at 2 s</title>").count(), 3);
    }
}
