//! Gamma tables: which bytes a screen is sent so that it shows those of a picture.

use std::path::Path;

use crate::present::protocol::Protocol;
use crate::present::sprite::Sprite;
use crate::study::{self, file};

/// For each byte of a picture the one that the screen is sent, channel by channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GammaTable {
    rows: Vec<[u8; 3]>,
    sha256: String,
}

impl GammaTable {
    /// The one that a protocol names.
    pub fn of(protocol: &Protocol) -> Result<Option<GammaTable>, study::Error> {
        protocol.gamma_table().map(|path| GammaTable::read(&path)).transpose()
    }

    /// Reads a table: 256 lines, the first for byte 0, each with the bytes of red, green and blue.
    pub fn read(path: &Path) -> Result<GammaTable, study::Error> {
        let text = file::read_text(path)?;
        let rows: Vec<[u8; 3]> = (1..)
            .zip(text.lines())
            .map(|(line, text)| {
                let what = format!("expected three bytes, 0 to 255, found {text:?}");
                bytes(text).ok_or_else(|| study::Error::Line { path: path.into(), line, what })
            })
            .collect::<Result<_, _>>()?;
        if rows.len() != 256 {
            return Err(study::Error::content(path, format!("expected 256 lines, found {}", rows.len())));
        }
        Ok(GammaTable { rows, sha256: file::sha256(text.as_bytes()) })
    }

    /// What the screen is sent for a colour.
    pub fn sent(&self, rgb: [u8; 3]) -> [u8; 3] {
        std::array::from_fn(|channel| self.rows[usize::from(rgb[channel])][channel])
    }

    /// The same for all pixels of a sprite.
    pub fn of_sprite(&self, sprite: &Sprite) -> Sprite {
        let pixels = sprite.rgba.chunks_exact(4);
        let rgba = pixels.flat_map(|pixel| {
            let [r, g, b] = self.sent([pixel[0], pixel[1], pixel[2]]);
            [r, g, b, pixel[3]]
        });
        Sprite { rgba: rgba.collect(), ..*sprite }
    }

    /// Identifies the table: the SHA-256 of its file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn bytes(line: &str) -> Option<[u8; 3]> {
    let bytes: Option<Vec<u8>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GammaTable, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gamma.txt");
        std::fs::write(&path, text).unwrap();
        GammaTable::read(&path).map_err(|error| error.to_string())
    }

    fn lines(count: u32) -> String {
        (0..count).map(|byte| format!("{} {}\t{}\n", byte % 256, (255 - byte % 256), byte % 256 / 2)).collect()
    }

    #[test]
    fn each_channel_has_a_column_and_what_is_not_drawn_stays_so() {
        let table = read(&lines(256)).unwrap();
        assert_eq!(table.sent([10, 20, 31]), [10, 235, 15]);
        let sprite = Sprite { width: 1, height: 2, rgba: vec![255, 0, 255, 255, 1, 2, 3, 0] };
        assert_eq!(table.of_sprite(&sprite).rgba, [255, 255, 127, 255, 1, 253, 1, 0]);
        assert_eq!(table.sha256(), file::sha256(lines(256).as_bytes()));
    }

    #[test]
    fn a_table_that_is_none_is_named_with_its_line() {
        assert!(read(&lines(255)).unwrap_err().contains("gamma.txt: expected 256 lines, found 255"));
        assert!(read(&lines(257)).unwrap_err().contains("found 257"));
        let text = lines(256);
        for (wrong, word) in
            [("7 8", "7 8"), ("7 8 256", "256"), ("7 8 9 10", "9 10"), ("0.1 0.2 0.3", "0.1"), ("", "")]
        {
            let complaint = read(&text.replacen("5 250\t2", wrong, 1)).unwrap_err();
            assert!(
                complaint.contains("gamma.txt, line 6: expected three bytes") && complaint.contains(word),
                "{complaint}"
            );
        }
    }
}
