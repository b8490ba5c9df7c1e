//! An order that stands in a table.

use std::path::Path;

use crate::present::order::{Order, Trial, intervals};
use crate::study::table::{self, Table};
use crate::study::{self, NULL, ONE_BACK, did_you_mean};

const TRIAL_TYPE: &str = "trial_type";

/// Reads an order. The column `trial_type` has for each trial the name of an image, `null`, or `one_back` where the image
/// of the trial before comes again as a target; other columns are passed over.
pub fn read(path: &Path, images: &[String]) -> Result<Vec<Trial>, study::Error> {
    let table = Table::read(path)?;
    let column = table.column(TRIAL_TYPE)?;
    let mut trials: Vec<Trial> = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let trial = match table.text(row, column) {
            NULL => Trial::of(None),
            ONE_BACK => match trials.last() {
                Some(&Trial { image: Some(image), is_one_back: false }) => {
                    Trial { image: Some(image), is_one_back: true }
                }
                _ => return Err(table.error(row, format!("{ONE_BACK} must stand right after an image"))),
            },
            name => match images.iter().position(|image| image == name) {
                Some(image) => Trial::of(Some(image)),
                None => {
                    let first = &images[0];
                    let known = images.iter().map(String::as_str).chain([NULL, ONE_BACK]);
                    let meant = did_you_mean(known, name);
                    let what =
                        format!("{name:?}{meant} is no image of the set ({first}, ...), nor {NULL} or {ONE_BACK}");
                    return Err(table.error(row, what));
                }
            },
        };
        trials.push(trial);
    }
    match trials.iter().any(|trial| trial.image.is_some()) {
        true => Ok(trials),
        false => Err(study::Error::content(path, "the order has no trial with an image")),
    }
}

/// Writes an order so that it can be given in a protocol, with the image of each trial and its onset from the first one's.
pub fn write(path: &Path, order: &Order, images: &[String]) -> Result<(), study::Error> {
    let rows = order.trials.iter().zip(intervals::onsets_s(&order.soas_s)).map(|(trial, onset_s)| {
        let image = trial.image.map(|image| images[image].as_str());
        let trial_type = study::trial_type(image, trial.is_one_back);
        [trial_type.to_owned(), image.unwrap_or("n/a").to_owned(), table::cell(onset_s, 6)]
    });
    table::write(path, &[TRIAL_TYPE, "image", "from_first_s"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::order::tests::names;

    fn read(text: &str) -> Result<Vec<Trial>, study::Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("order.tsv");
        std::fs::write(&path, text).unwrap();
        super::read(&path, &names(3))
    }

    #[test]
    fn what_is_written_is_read() {
        let shown = |image| Trial { image: Some(image), is_one_back: false };
        let again = Trial { is_one_back: true, ..shown(2) };
        let trials = vec![shown(0), Trial::of(None), shown(2), again, shown(1)];
        let order = Order { trials, soas_s: vec![1.5; 5], targets: Vec::new() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("order.tsv");
        write(&path, &order, &names(3)).unwrap();
        assert_eq!(super::read(&path, &names(3)).unwrap(), order.trials);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("one_back\timage_03\t4.5\n") && text.contains("null\tn/a\t1.5\n"), "{text}");
    }

    #[test]
    fn what_is_no_order_is_named_with_its_line() {
        let complaint = |text: &str| read(text).unwrap_err().to_string();
        let text = complaint("trial_type\nimage_01\nface\n");
        assert!(text.contains("order.tsv, line 3: \"face\" is no image of the set (image_01, ...)"), "{text}");
        for text in ["one_back\n", "null\none_back\n", "image_01\none_back\none_back\n"] {
            assert!(complaint(&format!("trial_type\n{text}")).contains("right after an image"));
        }
        assert!(complaint("image\nimage_01\n").contains("\"trial_type\" is missing"));
        assert!(complaint("trial_type\nnull\n").contains("no trial with an image"));
        assert!(complaint("trial_type\n").contains("no trial with an image"));
    }
}
