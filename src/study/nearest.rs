//! The known word that a misspelt one may mean.

/// The known word that takes the fewest edits to become `word`; `None` without known words. The first of equals.
pub fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, word: &str) -> Option<&'a str> {
    known.into_iter().min_by_key(|known| edits(known, word))
}

/// Like [`nearest()`], of the words that are near enough to be a slip: a third of the letters or less, at least one.
pub fn slip_of<'a>(known: impl IntoIterator<Item = &'a str>, word: &str) -> Option<&'a str> {
    nearest(known, word).filter(|known| edits(known, word) <= (word.chars().count() / 3).max(1))
}

/// What follows an unknown word in a message: the known one that it is a slip of, or nothing.
pub fn did_you_mean<'a>(known: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    slip_of(known, word).map_or(String::new(), |meant| format!(" (did you mean {meant:?}?)"))
}

/// How many letters must be put in, taken out or exchanged to make one word of the other (Levenshtein 1966).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.chars().enumerate() {
            let exchanged = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_the_textbook_words() {
        assert_eq!([edits("kitten", "sitting"), edits("", "abc"), edits("same", "same")], [3, 3, 0]);
    }

    #[test]
    fn a_slip_is_near_its_word_and_another_word_is_none() {
        let known = ["radius_mm", "mask", "models"];
        assert_eq!(slip_of(known, "radus_mm"), Some("radius_mm"));
        assert_eq!(slip_of(known, "modles"), Some("models"));
        assert_eq!(slip_of(known, "smoothing"), None);
        assert_eq!(nearest(known, "smoothing"), Some("models"));
        assert_eq!(slip_of([], "mask"), None);
        assert_eq!(did_you_mean(known, "masks"), " (did you mean \"mask\"?)");
        assert_eq!(did_you_mean(known, "smoothing"), "");
    }
}
