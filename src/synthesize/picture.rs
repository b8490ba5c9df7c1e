//! Images between tensors and 8-bit pictures.

use tch::{Device, Kind, Tensor};

use crate::study::Picture;

/// Grey between the images of a sheet, in pixels.
const GAP_PX: i64 = 4;

/// Pictures of one size as images (n, 3, height, width), 0..=1, single precision.
pub fn images(pictures: &[Picture], device: Device) -> Tensor {
    let tensor = |picture: &Picture| {
        let shape = [i64::from(picture.height), i64::from(picture.width), 3];
        Tensor::from_slice(&picture.rgb).view(shape).permute([2, 0, 1])
    };
    let tensors: Vec<Tensor> = pictures.iter().map(tensor).collect();
    Tensor::stack(&tensors, 0).to_device(device).to_kind(Kind::Float) / 255.0
}

/// Images (n, 3, height, width), 0..=1, rounded to 8 bits.
pub fn pictures(images: &Tensor) -> Vec<Picture> {
    let (_, _, height, width) = images.size4().expect("images");
    let bytes = (images * 255.0).round().clamp(0.0, 255.0).permute([0, 2, 3, 1]).to_kind(Kind::Uint8);
    let picture = |image: Tensor| Picture {
        width: width as u32,
        height: height as u32,
        rgb: Vec::try_from(image.reshape([-1])).expect("bytes"),
    };
    bytes.to_device(Device::Cpu).unbind(0).into_iter().map(picture).collect()
}

/// All images (n, 3, height, width), 0..=1, side by side on grey, in rows of about equal number.
pub fn sheet(images: &Tensor) -> Picture {
    let (n, _, height, width) = images.size4().expect("images");
    let columns = (n as f64).sqrt().ceil() as i64;
    let rows = (n + columns - 1) / columns;
    let size = |count: i64, length: i64| count * length + (count + 1) * GAP_PX;
    let sheet = Tensor::full([1, 3, size(rows, height), size(columns, width)], 0.5, (images.kind(), images.device()));
    for (k, image) in images.unbind(0).iter().enumerate() {
        let (row, column) = (k as i64 / columns, k as i64 % columns);
        let at = |place: i64, length: i64| GAP_PX + place * (length + GAP_PX);
        let mut part = sheet.get(0).narrow(1, at(row, height), height).narrow(2, at(column, width), width);
        part.copy_(image);
    }
    pictures(&sheet).remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_becomes_an_image_and_again_the_same_picture() {
        let picture = Picture { width: 16, height: 16, rgb: (0..768).map(|k| (k % 251) as u8).collect() };
        let images = images(std::slice::from_ref(&picture), Device::Cpu);
        assert_eq!(images.size(), [1, 3, 16, 16]);
        assert!((images.double_value(&[0, 1, 2, 3]) - 106.0 / 255.0).abs() < 1e-6, "row 2, column 3, green");
        assert_eq!(pictures(&images), [picture]);
    }

    #[test]
    fn a_sheet_shows_every_image_in_its_place() {
        let values = Tensor::from_slice(&[0.0f32, 0.2, 0.4, 0.6, 0.8]).view([5, 1, 1, 1]);
        let sheet = sheet(&values.expand([5, 3, 10, 6], false));
        assert_eq!((sheet.width, sheet.height), (3 * 6 + 4 * 4, 2 * 10 + 3 * 4));
        let red = |x: u32, y: u32| sheet.rgb[(3 * (y * sheet.width + x)) as usize];
        assert_eq!((red(0, 0), red(4, 4), red(14, 4), red(14, 18)), (128, 0, 51, 204));
        assert_eq!(red(24, 18), 128, "no sixth image");
    }
}
