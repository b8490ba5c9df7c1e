//! Products of patterns, pair by pair of images, summed over voxels: for one searchlight, or at once for several that share
//! their voxels.

use crate::analyze::searchlight::patterns::{Block, LANES};

/// Half a block.
const HALF: usize = LANES / 2;

/// Which searchlights take in the first voxels of a group: a larger share of them with each ring.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// How many voxels this ring and those before it hold.
    pub end: usize,
    /// The searchlights that take in all of these and no more.
    pub searchlights: [Option<usize>; 2],
}

/// The number of blocks that hold the products of one searchlight: `products[first image * width + block of second images]`,
/// of which those below the diagonal's block are not used.
pub fn blocks(width: usize) -> usize {
    width * LANES * width
}

/// Adds the products of a group of voxels to those of the searchlights that take them in. `patterns` holds their values in
/// blocks of images, in each voxel after voxel. Additions happen in the order of the voxels within the group, and in the order
/// of the groups.
#[inline(always)]
pub fn add<const WIDE: bool>(patterns: &[Block], voxels: usize, width: usize, rings: &[Ring], products: &mut [Block]) {
    let of_block = |block: usize| &patterns[block * voxels..][..voxels];
    for left in 0..width {
        for right in left..width {
            let (a, b) = (of_block(left), of_block(right));
            let at = left * LANES * width + right;
            if WIDE {
                tile::<0, 8>([a, b], rings, width, at, products);
            } else {
                tile::<0, 4>([a, b], rings, width, at, products);
                if left < right {
                    tile::<4, 4>([a, b], rings, width, at, products);
                }
            }
        }
    }
    if !WIDE {
        // Of the last rows of a block with itself only the last lanes are above the diagonal.
        for left in (0..width).step_by(2) {
            let pair = [left, (left + 1).min(width - 1)];
            corners(pair.map(of_block), rings, width, pair, products);
        }
    }
}

/// The products of `ROWS` images from `FROM` of the first block with all images of the second: their first row is at `at` in
/// the products of a searchlight.
#[inline(always)]
fn tile<const FROM: usize, const ROWS: usize>(
    patterns: [&[Block]; 2],
    rings: &[Ring],
    width: usize,
    at: usize,
    products: &mut [Block],
) {
    let mut sums = [[0.0; LANES]; ROWS];
    let mut start = 0;
    for ring in rings {
        for (a, b) in patterns[0][start..ring.end].iter().zip(&patterns[1][start..ring.end]) {
            for row in 0..ROWS {
                for lane in 0..LANES {
                    sums[row][lane] = a[FROM + row].mul_add(b[lane], sums[row][lane]);
                }
            }
        }
        start = ring.end;
        for searchlight in ring.searchlights.into_iter().flatten() {
            let products = &mut products[searchlight * blocks(width) + at..][..(LANES - 1) * width + 1];
            for row in 0..ROWS {
                let to = &mut products[(FROM + row) * width];
                for lane in 0..LANES {
                    to[lane] += sums[row][lane];
                }
            }
        }
    }
}

/// The products of the last four images of two blocks with themselves. A block that is alone goes in once.
#[inline(always)]
fn corners(patterns: [&[Block]; 2], rings: &[Ring], width: usize, pair: [usize; 2], products: &mut [Block]) {
    let mut sums = [[[0.0; HALF]; HALF]; 2];
    let mut start = 0;
    for ring in rings {
        for (a, b) in patterns[0][start..ring.end].iter().zip(&patterns[1][start..ring.end]) {
            for row in 0..HALF {
                for lane in 0..HALF {
                    sums[0][row][lane] = a[HALF + row].mul_add(a[HALF + lane], sums[0][row][lane]);
                    sums[1][row][lane] = b[HALF + row].mul_add(b[HALF + lane], sums[1][row][lane]);
                }
            }
        }
        start = ring.end;
        for searchlight in ring.searchlights.into_iter().flatten() {
            for block in 0..if pair[0] == pair[1] { 1 } else { 2 } {
                let at = (pair[block] * LANES + HALF) * width + pair[block];
                let products = &mut products[searchlight * blocks(width) + at..][..(HALF - 1) * width + 1];
                for row in 0..HALF {
                    let to = &mut products[row * width];
                    for lane in 0..HALF {
                        to[HALF + lane] += sums[block][row][lane];
                    }
                }
            }
        }
    }
}
