//! Pictures: 8-bit sRGB, in memory and as PNGs.

use std::path::Path;

use crate::study::{error::Error, file};

/// A picture of 8-bit red, green, blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Row by row from the top, three bytes a pixel: 3 * width * height.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Writes the picture as an 8-bit RGB PNG that says it is sRGB.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let refused = |what: png::EncodingError| Error::content(path, what.to_string());
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
        let mut writer = encoder.write_header().map_err(refused)?;
        writer.write_image_data(&self.rgb).map_err(refused)?;
        writer.finish().map_err(refused)?;
        file::write(path, &bytes)
    }

    /// Reads an 8-bit RGB or grey PNG; grey counts as equal red, green and blue.
    pub fn read(path: &Path) -> Result<Picture, Error> {
        Picture::decode(path, &file::read(path)?)
    }

    /// Reads the bytes of a PNG named `path`.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Picture, Error> {
        let wrong = |what: String| Error::content(path, what);
        let broken = |what: png::DecodingError| wrong(format!("no whole PNG ({what})"));
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(broken)?;
        let info = reader.info();
        let (width, height) = (info.width, info.height);
        let grey = match (info.color_type, info.bit_depth) {
            (png::ColorType::Rgb, png::BitDepth::Eight) => false,
            (png::ColorType::Grayscale, png::BitDepth::Eight) => true,
            (png::ColorType::Rgba | png::ColorType::GrayscaleAlpha, _) => {
                return Err(wrong("it has transparency, which a screen cannot show: flatten it to RGB".into()));
            }
            (color, depth) => {
                let bits = depth as u8;
                return Err(wrong(format!("expected 8-bit RGB or grey, found {bits}-bit {color:?}: convert it")));
            }
        };
        if info.trns.is_some() {
            return Err(wrong("it has a transparent colour, which a screen cannot show: flatten it to RGB".into()));
        }
        let size = reader.output_buffer_size().ok_or_else(|| wrong("it is too large".into()))?;
        let mut pixels = vec![0; size];
        let frame = reader.next_frame(&mut pixels).map_err(broken)?;
        pixels.truncate(frame.buffer_size());
        let rgb = if grey { pixels.iter().flat_map(|&value| [value; 3]).collect() } else { pixels };
        Ok(Picture { width, height, rgb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture =
            Picture { width: 16, height: 16, rgb: (0..=255).flat_map(|byte| [byte, 255 - byte, 7]).collect() };
        picture.write(&path).unwrap();
        assert_eq!(Picture::read(&path).unwrap(), picture);
    }

    #[test]
    fn a_png_that_is_none_or_has_16_bits_or_is_cut_short_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let message = || Picture::read(&path).unwrap_err().to_string();
        std::fs::write(&path, "no png").unwrap();
        assert!(message().contains("a.png: no whole PNG"), "{}", message());

        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 1, 1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Sixteen);
        encoder.write_header().unwrap().write_image_data(&[0; 6]).unwrap();
        assert!(message().contains("found 16-bit"), "{}", message());

        Picture { width: 2, height: 2, rgb: vec![9; 12] }.write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        assert!(message().contains("no whole PNG"), "{}", message());
    }
}
