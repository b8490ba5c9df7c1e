mod blocks;
mod eulerian;
mod type1_index1;
pub use blocks::draw;
