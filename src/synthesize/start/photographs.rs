//! Photographs, or an image set that exists already, as the images that an ascent starts from.

use std::path::Path;
use std::slice;

use tch::{Device, Tensor};

use crate::study::{ImageSet, Picture, Progress};
use crate::synthesize::error::Error;
use crate::synthesize::picture;
use crate::synthesize::pngs;

/// The images (n, 3, size, size), 0..=1, single precision, of a folder of exactly `images` PNGs in the order of their
/// names, or of an image set in its order, every hash checked. Of a picture that is no square its middle is taken; one of
/// another size is resampled, bilinear and antialiased.
pub fn photographs(folder: &Path, images: u32, size_px: u32, progress: &dyn Progress) -> Result<Tensor, Error> {
    let files = if ImageSet::is_in(folder) {
        ImageSet::load(folder)?.manifest().images.iter().map(|image| image.file.clone()).collect()
    } else {
        pngs::names(folder, progress)?
    };
    if files.len() != images as usize {
        let what = format!("expected {images} PNGs to start from, found {}", files.len());
        return Err(Error::Image { path: folder.into(), what });
    }
    let starts = files.iter().map(|file| Ok(square(&Picture::read(&folder.join(file))?, size_px)));
    Ok(Tensor::cat(&starts.collect::<Result<Vec<Tensor>, Error>>()?, 0))
}

/// The middle of a picture as an image (1, 3, size, size).
fn square(picture: &Picture, size_px: u32) -> Tensor {
    let [width, height] = [picture.width, picture.height].map(i64::from);
    let side = width.min(height);
    let whole = picture::images(slice::from_ref(picture), Device::Cpu);
    let image = whole.narrow(2, (height - side) / 2, side).narrow(3, (width - side) / 2, side);
    if side == i64::from(size_px) {
        return image;
    }
    image.internal_upsample_bilinear2d_aa([i64::from(size_px); 2], false, None, None).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Silent;

    /// A folder of one picture of this size, whose red is its column and whose green is its row.
    fn folder(width: u32, height: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let places = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 7]));
        Picture { width, height, rgb: places.collect() }.write(&folder.path().join("a.png")).unwrap();
        folder
    }

    #[test]
    fn a_picture_of_the_size_is_taken_byte_for_byte() {
        let start = photographs(folder(64, 64).path(), 1, 64, &Silent).unwrap();
        assert_eq!(start.size(), [1, 3, 64, 64]);
        assert_eq!((start * 255.0).round().double_value(&[0, 0, 5, 9]), 9.0);
    }

    #[test]
    fn of_a_wide_picture_the_middle_is_taken_and_resampled() {
        let start = photographs(folder(200, 120).path(), 1, 60, &Silent).unwrap() * 255.0;
        // Its columns 40 to 159 go into 60 pixels: the middle of pixel k lies between columns 2k and 2k + 1 of them.
        for pixel in [10, 30, 50] {
            let (red, green) = (start.double_value(&[0, 0, 20, pixel]), start.double_value(&[0, 1, pixel, 20]));
            assert!((red - (40.5 + 2.0 * pixel as f64)).abs() < 1e-2, "{red}");
            assert!((green - (0.5 + 2.0 * pixel as f64)).abs() < 1e-2, "{green}");
        }
    }

    #[test]
    fn a_wrong_number_of_pictures_and_a_broken_one_are_told_by_name() {
        let folder = folder(64, 64);
        let message = |images| photographs(folder.path(), images, 64, &Silent).unwrap_err().to_string();
        assert!(message(4).contains("expected 4 PNGs to start from, found 1"), "{}", message(4));
        std::fs::write(folder.path().join("b.png"), "no png").unwrap();
        assert!(message(2).contains("b.png: no whole PNG"), "{}", message(2));
    }
}
