//! GoogLeNet: its editions, its inception blocks, and the shape of every parameter.

/// Which GoogLeNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// As published in the Caffe model zoo.
    Caffe,
    /// As torchvision trained it: batch normalization and none over neighbouring channels, 3x3 kernels in the branch that
    /// is called 5x5 (its makers' slip, which the weights go with), and a 2x2 pooling before 5a.
    Torchvision,
}

impl Edition {
    /// The network's name in `images.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Edition::Caffe => "bvlc_googlenet",
            Edition::Torchvision => "torchvision_googlenet",
        }
    }

    /// Width and height of the kernels in the 5x5 branch.
    pub fn five_px(self) -> usize {
        match self {
            Edition::Caffe => 5,
            Edition::Torchvision => 3,
        }
    }

    /// Width and height of the max-pooling of stride 2 before a block, where there is one.
    pub fn pool_before_px(self, block: &Block) -> Option<usize> {
        let two = self == Edition::Torchvision && block.name == "inception_5a";
        block.pooled_before.then_some(if two { 2 } else { 3 })
    }
}

/// The smallest width or height in pixels that leaves something to see in the last layer.
pub const SMALLEST_PX: u32 = 64;

/// One inception block: four branches over the same input, concatenated in this order: 1x1, 3x3, 5x5, pool_proj.
pub struct Block {
    /// `inception_3a` and so on.
    pub name: &'static str,
    /// Channels of its input.
    pub input: usize,
    /// Channels of the 1x1 branch.
    pub one: usize,
    /// Channels of the 3x3 branch: reduced to, then put out.
    pub three: [usize; 2],
    /// Channels of the 5x5 branch: reduced to, then put out.
    pub five: [usize; 2],
    /// Channels of the branch with the pooling.
    pub pool: usize,
    /// Whether a max-pooling of stride 2 stands before the block.
    pub pooled_before: bool,
}

/// The nine blocks (Szegedy et al. 2014, arXiv 1409.4842, table 1).
pub const BLOCKS: [Block; 9] = [
    block("inception_3a", 192, 64, [96, 128], [16, 32], 32, true),
    block("inception_3b", 256, 128, [128, 192], [32, 96], 64, false),
    block("inception_4a", 480, 192, [96, 208], [16, 48], 64, true),
    block("inception_4b", 512, 160, [112, 224], [24, 64], 64, false),
    block("inception_4c", 512, 128, [128, 256], [24, 64], 64, false),
    block("inception_4d", 512, 112, [144, 288], [32, 64], 64, false),
    block("inception_4e", 528, 256, [160, 320], [32, 128], 128, false),
    block("inception_5a", 832, 256, [160, 320], [32, 128], 128, true),
    block("inception_5b", 832, 384, [192, 384], [48, 128], 128, false),
];

const fn block(
    name: &'static str,
    input: usize,
    one: usize,
    three: [usize; 2],
    five: [usize; 2],
    pool: usize,
    pooled_before: bool,
) -> Block {
    Block { name, input, one, three, five, pool, pooled_before }
}

impl Block {
    /// The block as a layer: `3a`.
    pub fn short_name(&self) -> &'static str {
        self.name.trim_start_matches("inception_")
    }
}

/// Each of the 57 convolutions as the Caffe model names it, and the shape of its weights (output, input, height, width).
pub fn convolutions(edition: Edition) -> Vec<(String, [usize; 4])> {
    let mut shapes = Vec::with_capacity(57);
    shapes.push(("conv1/7x7_s2".into(), [64, 3, 7, 7]));
    shapes.push(("conv2/3x3_reduce".into(), [64, 64, 1, 1]));
    shapes.push(("conv2/3x3".into(), [192, 64, 3, 3]));
    for block in &BLOCKS {
        let mut branch = |name: &str, shape: [usize; 4]| shapes.push((format!("{}/{name}", block.name), shape));
        branch("1x1", [block.one, block.input, 1, 1]);
        branch("3x3_reduce", [block.three[0], block.input, 1, 1]);
        branch("3x3", [block.three[1], block.three[0], 3, 3]);
        branch("5x5_reduce", [block.five[0], block.input, 1, 1]);
        branch("5x5", [block.five[1], block.five[0], edition.five_px(), edition.five_px()]);
        branch("pool_proj", [block.pool, block.input, 1, 1]);
    }
    shapes
}

/// Name and shape of each of the 116 parameters of the Caffe model: weights as (output, input, height, width), biases as
/// (output), the classifier as (1000, 1024).
pub fn parameters() -> Vec<(String, Vec<usize>)> {
    let convolutions = convolutions(Edition::Caffe).into_iter().map(|(name, shape)| (name, shape.to_vec()));
    let both = |(layer, shape): (String, Vec<usize>)| {
        let bias = (format!("{layer}.bias"), shape[..1].to_vec());
        [(format!("{layer}.weight"), shape), bias]
    };
    convolutions.chain([("loss3/classifier".into(), vec![1000, 1024])]).flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_has_116_tensors_of_6998552_parameters() {
        let shapes = parameters();
        assert_eq!(shapes.len(), 116);
        assert_eq!(shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>(), 6_998_552);
    }

    #[test]
    fn each_block_takes_what_the_one_before_puts_out() {
        for pair in BLOCKS.windows(2) {
            assert_eq!(pair[0].one + pair[0].three[1] + pair[0].five[1] + pair[0].pool, pair[1].input);
        }
    }
}
