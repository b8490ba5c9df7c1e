//! Clusters of voxels above a threshold.

use crate::analyze::group::connectivity::Neighbours;

/// Voxels above a threshold that are neighbours of each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The number of voxels.
    pub extent: usize,
    /// The sum over its voxels of what is above the threshold (Bullmore et al. 1999, IEEE Transactions on Medical Imaging 18).
    pub mass: f64,
    /// The place in the mask of its highest voxel, the first of equals.
    pub peak: usize,
}

/// The clusters of `sign` times a map at the voxels that reach a threshold, in the order of their first voxels; and for each
/// voxel the number of its cluster, from 1, 0 for none.
pub fn clusters(map: &[f64], sign: f64, threshold: f64, neighbours: &Neighbours) -> (Vec<Cluster>, Vec<u32>) {
    let mut number = vec![0; map.len()];
    let (mut found, mut waiting) = (Vec::new(), Vec::new());
    for seed in 0..map.len() {
        if number[seed] != 0 || sign * map[seed] < threshold || map[seed].is_nan() {
            continue;
        }
        let mut cluster = Cluster { extent: 0, mass: 0.0, peak: seed };
        number[seed] = found.len() as u32 + 1;
        waiting.push(seed);
        while let Some(voxel) = waiting.pop() {
            let height = sign * map[voxel];
            cluster.extent += 1;
            cluster.mass += height - threshold;
            let highest = sign * map[cluster.peak];
            if height > highest || (height == highest && voxel < cluster.peak) {
                cluster.peak = voxel;
            }
            for &next in neighbours.of(voxel) {
                let next = next as usize;
                if next < map.len() && number[next] == 0 && sign * map[next] >= threshold {
                    number[next] = number[voxel];
                    waiting.push(next);
                }
            }
        }
        found.push(cluster);
    }
    (found, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::group::connectivity::Connectivity;
    use crate::brain::{Grid, Mask};

    #[test]
    fn a_cluster_holds_what_touches_and_weighs_what_is_above() {
        let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let mask = Mask::new(Grid { dims: [3, 3, 1], affine: unit }, (0..9).collect());
        let map = [3.0, 4.0, 0.0, 0.0, 0.0, 2.5, -5.0, f64::NAN, 0.0];
        let of = |sign, connectivity| clusters(&map, sign, 2.0, &Neighbours::new(&mask, connectivity));
        let (faces, number) = of(1.0, Connectivity::Faces);
        assert_eq!(number, [1, 1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(faces[0], Cluster { extent: 2, mass: 3.0, peak: 1 });
        assert_eq!(faces[1], Cluster { extent: 1, mass: 0.5, peak: 5 });
        // Voxels 1 and 5 share an edge.
        assert_eq!(of(1.0, Connectivity::Edges).0, [Cluster { extent: 3, mass: 3.5, peak: 1 }]);
        assert_eq!(of(-1.0, Connectivity::Faces).0, [Cluster { extent: 1, mass: 3.0, peak: 6 }]);
    }
}
