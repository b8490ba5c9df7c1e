//! What is drawn, and where it lies on the screen.

use crate::present::error::Error;
use crate::present::screen_setup::{Background, Corner, Fixation, ImageSize, ScreenSetup};
use crate::study::{ImageSet, Picture};

/// Something that is drawn: RGBA bytes, row by row from the top. Alpha is 255 where it is drawn and 0 where it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sprite {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 4 x width x height bytes.
    pub rgba: Vec<u8>,
}

/// A rectangle of whole pixels on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Sprite {
    /// The images of a set, which must have the size that it states.
    pub fn of_set(images: &ImageSet) -> Result<Vec<Sprite>, Error> {
        let manifest = images.manifest();
        let read = |image| {
            let path = images.path(image);
            let picture = Picture::read(&path)?;
            let (found, expected) = ([picture.width, picture.height], manifest.size_px);
            if found != expected {
                let what =
                    format!("expected {} x {} pixels, found {} x {}", expected[0], expected[1], found[0], found[1]);
                return Err(Error::Picture { path, what });
            }
            Ok(Sprite::of(&picture))
        };
        manifest.images.iter().map(read).collect()
    }

    /// All of a picture, opaque.
    pub fn of(picture: &Picture) -> Sprite {
        let rgba = picture.rgb.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
        Sprite { width: picture.width, height: picture.height, rgba }
    }

    /// A bar of so many cm to hold a ruler to, black on white: a line at each cm, a longer one at every fifth.
    pub fn ruler(width: u32, cm: u32) -> Sprite {
        const LINE_PX: u32 = 2;
        let height = (width / 12).max(8);
        let mut rgba = vec![255; 4 * width as usize * height as usize];
        for line in 0..=cm {
            let length = if line % 5 == 0 { height } else { height / 2 };
            let middle = (f64::from(line) * f64::from(width) / f64::from(cm)).round() as u32;
            for x in middle.saturating_sub(LINE_PX / 2)..(middle + LINE_PX / 2).min(width) {
                for y in 0..length {
                    let pixel = 4 * (y * width + x) as usize;
                    rgba[pixel..pixel + 3].fill(0);
                }
            }
        }
        Sprite { width, height, rgba }
    }

    /// A filled circle with a hard edge that touches the borders.
    pub fn disc(diameter: u32, rgb: [u8; 3]) -> Sprite {
        let middle = f64::from(diameter) / 2.0;
        let rgba = (0..diameter * diameter).flat_map(|pixel| {
            let [x, y] = [pixel % diameter, pixel / diameter].map(|place| f64::from(place) + 0.5 - middle);
            let alpha = if x.hypot(y) <= middle { 255 } else { 0 };
            [rgb[0], rgb[1], rgb[2], alpha]
        });
        Sprite { width: diameter, height: diameter, rgba: rgba.collect() }
    }
}

/// The colour around the images; for the mean, of the bytes of all pixels of all images, rounded.
pub fn background_rgb(background: Background, images: &[Sprite]) -> [u8; 3] {
    match background {
        Background::Grey(byte) => [byte; 3],
        Background::Mean => {
            let mut sums = [0_u64; 3];
            for pixel in images.iter().flat_map(|image| image.rgba.chunks_exact(4)) {
                for (sum, &byte) in sums.iter_mut().zip(pixel) {
                    *sum += u64::from(byte);
                }
            }
            let count: u64 = images.iter().map(|image| u64::from(image.width) * u64::from(image.height)).sum();
            sums.map(|sum| ((sum + count / 2) / count.max(1)) as u8)
        }
    }
}

/// The visual angle of a size seen straight on: 2 atan(size / (2 distance)), in degrees.
pub fn visual_angle_deg(size_mm: f64, distance_mm: f64) -> f64 {
    (2.0 * (size_mm / (2.0 * distance_mm)).atan()).to_degrees()
}

/// The size that a visual angle has at a distance.
pub fn size_mm(angle_deg: f64, distance_mm: f64) -> f64 {
    2.0 * distance_mm * (angle_deg.to_radians() / 2.0).tan()
}

/// The screen in pixels, mm and degrees. Its pixels are square.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pixel_mm: f64,
    distance_mm: f64,
}

impl Geometry {
    /// For a screen of so many pixels' width.
    pub fn new(setup: &ScreenSetup, screen_width_px: u32) -> Geometry {
        Geometry { pixel_mm: setup.width_mm / f64::from(screen_width_px), distance_mm: setup.distance_mm }
    }

    /// Width and height at which an image is drawn, in pixels: at least 1.
    pub fn image_px(&self, size: ImageSize, image: [u32; 2]) -> [u32; 2] {
        match size {
            ImageSize::Native => image,
            ImageSize::WidthDeg(angle_deg) => {
                let width = size_mm(angle_deg, self.distance_mm) / self.pixel_mm;
                let height = width * f64::from(image[1]) / f64::from(image[0]);
                [width, height].map(whole_pixels)
            }
        }
    }

    /// The diameter of the fixation dot in pixels: at least 1.
    pub fn fixation_px(&self, fixation: &Fixation) -> u32 {
        self.length_px(size_mm(fixation.diameter_deg, self.distance_mm))
    }

    /// A length on the screen in whole pixels: at least 1.
    pub fn length_px(&self, length_mm: f64) -> u32 {
        whole_pixels(length_mm / self.pixel_mm)
    }

    /// A length on the screen in degrees of visual angle.
    pub fn degrees(&self, pixels: u32) -> f64 {
        visual_angle_deg(f64::from(pixels) * self.pixel_mm, self.distance_mm)
    }
}

fn whole_pixels(length: f64) -> u32 {
    length.round().max(1.0) as u32
}

impl Place {
    /// A square within, `width` of this place's width wide and at least a pixel, at shares of the room that it leaves: 0 at
    /// the left or upper border, 1 at the right or lower one.
    pub fn square(self, x: f64, y: f64, width: f64) -> Place {
        let edge = whole_pixels(width * f64::from(self.width)).min(self.width).min(self.height);
        let within = |share: f64, length: u32| (share * f64::from(length - edge)).round() as u32;
        let [left, above] = [within(x, self.width), within(y, self.height)];
        Place { x: self.x + left, y: self.y + above, width: edge, height: edge }
    }

    /// A square in a corner of a window; an error if it does not fit.
    pub fn in_corner(corner: Corner, side: u32, window: [u32; 2]) -> Result<Place, Error> {
        // It fits where it could be in the middle.
        Place::centred([side; 2], window)?;
        let [right, below] = window.map(|length| length - side);
        let [x, y] = match corner {
            Corner::TopLeft => [0, 0],
            Corner::TopRight => [right, 0],
            Corner::BottomLeft => [0, below],
            Corner::BottomRight => [right, below],
        };
        Ok(Place { x, y, width: side, height: side })
    }

    /// Whether a pixel is in both.
    pub fn overlaps(&self, other: &Place) -> bool {
        let meet = |a: u32, a_length: u32, b: u32, b_length: u32| a < b + b_length && b < a + a_length;
        meet(self.x, self.width, other.x, other.width) && meet(self.y, self.height, other.y, other.height)
    }

    /// In the middle of a window, half a pixel to the upper left where the difference is odd; an error if it does not fit.
    pub fn centred([width, height]: [u32; 2], window: [u32; 2]) -> Result<Place, Error> {
        match (window[0].checked_sub(width), window[1].checked_sub(height)) {
            (Some(left), Some(above)) => Ok(Place { x: left / 2, y: above / 2, width, height }),
            _ => Err(Error::TooLarge { width, height, screen_width: window[0], screen_height: window[1] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventy_cm_at_225_cm_are_17_684_degrees() {
        assert!((visual_angle_deg(700.0, 2250.0) - 17.684).abs() < 5e-4);
        assert!((size_mm(visual_angle_deg(700.0, 2250.0), 2250.0) - 700.0).abs() < 1e-9);
    }

    #[test]
    fn an_angle_becomes_whole_pixels_of_the_same_shape() {
        let geometry = Geometry { pixel_mm: 0.5, distance_mm: 1000.0 };
        // 10 degrees at 1 m are 174.98 mm
        assert_eq!(geometry.image_px(ImageSize::WidthDeg(10.0), [200, 100]), [350, 175]);
        assert_eq!(geometry.image_px(ImageSize::Native, [200, 100]), [200, 100]);
        assert!((geometry.degrees(350) - 10.0).abs() < 0.01);
    }

    #[test]
    fn the_background_is_the_mean_of_the_images() {
        let images =
            [[0, 10, 255, 255], [1, 30, 255, 255]].map(|pixel| Sprite { width: 1, height: 1, rgba: pixel.into() });
        assert_eq!(background_rgb(Background::Mean, &images), [1, 20, 255]);
        assert_eq!(background_rgb(Background::Grey(7), &images), [7, 7, 7]);
    }

    #[test]
    fn an_image_lies_on_whole_pixels_in_the_middle() {
        assert_eq!(Place::centred([100, 51], [201, 100]).unwrap(), Place { x: 50, y: 24, width: 100, height: 51 });
        let error = Place::centred([300, 51], [201, 100]).unwrap_err().to_string();
        assert!(error.contains("300 x 51") && error.contains("201 x 100"));
    }

    #[test]
    fn a_square_lies_within_the_image() {
        let image = Place { x: 10, y: 20, width: 100, height: 50 };
        let square = |x, y, width| {
            let Place { x, y, width, height } = image.square(x, y, width);
            [x, y, width, height]
        };
        assert_eq!(square(0.0, 0.0, 0.1), [10, 20, 10, 10]);
        assert_eq!(square(1.0, 1.0, 0.1), [100, 60, 10, 10]);
        assert_eq!(square(0.5, 0.5, 0.001), [60, 45, 1, 1]);
        assert_eq!(square(0.5, 1.0, 0.9), [35, 20, 50, 50]);
    }

    #[test]
    fn a_patch_lies_in_its_corner_and_beside_the_image() {
        let at = |corner| Place::in_corner(corner, 10, [200, 100]).map(|place| [place.x, place.y]).unwrap();
        assert_eq!([at(Corner::TopLeft), at(Corner::BottomRight)], [[0, 0], [190, 90]]);
        assert_eq!([at(Corner::TopRight), at(Corner::BottomLeft)], [[190, 0], [0, 90]]);
        assert!(Place::in_corner(Corner::TopLeft, 101, [200, 100]).is_err());
        let image = Place::centred([180, 80], [200, 100]).unwrap();
        let patch = |side| Place::in_corner(Corner::BottomLeft, side, [200, 100]).unwrap();
        assert_eq!([10, 11].map(|side| patch(side).overlaps(&image)), [false, true]);
    }

    #[test]
    fn a_ruler_has_a_line_at_each_cm_up_to_its_ends() {
        let ruler = Sprite::ruler(200, 10);
        let height =
            |x: u32| (0..ruler.height).filter(|y| ruler.rgba[4 * (y * ruler.width + x) as usize] == 0).count() as u32;
        assert_eq!([0, 20, 99, 100, 199].map(height), [16, 8, 16, 16, 16]);
        assert_eq!((0..200).filter(|&x| height(x) > 0).count(), 20);
    }

    #[test]
    fn a_disc_is_round() {
        let alpha: Vec<u8> = Sprite::disc(4, [9, 9, 9]).rgba.chunks(4).map(|pixel| pixel[3] / 255).collect();
        assert_eq!(alpha, [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0]);
    }
}
