//! Whole files: read with their name in the error, written completely or not at all.

use std::io::{Read, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::study::{error::Error, nearest::slip_of};

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::file("read", path))
}

/// The text of a UTF-8 file.
pub fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::file("read", path))
}

/// Settings from a TOML file. The type refuses unknown keys and checks values; its error shows line and column.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    parse_toml(path, &read_text(path)?)
}

/// Settings from the text of a TOML file named `path`.
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        Error::Toml {
            path: path.into(),
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
            what: with_what_is_meant(error.message().trim_end().replace('\n', "; ")),
        }
    })
}

/// A message about an unknown key or value, with the known one that may be meant. serde sets the words in backticks, the
/// unknown one first.
fn with_what_is_meant(message: String) -> String {
    if !message.starts_with("unknown field `") && !message.starts_with("unknown variant `") {
        return message;
    }
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match slip_of(words[1..].iter().copied(), words[0]) {
        Some(meant) => {
            message.replacen(&format!("`{}`", words[0]), &format!("`{}` (did you mean `{meant}`?)", words[0]), 1)
        }
        None => message,
    }
}

/// A value from a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path)?).map_err(|source| Error::Json { path: path.into(), source })
}

/// Writes a file whole: to a temporary neighbour, synced, then renamed over `path`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_with(path, |file| file.write_all(bytes))
}

/// Like [`write()`], with a function that streams the content.
pub fn write_with(path: &Path, content: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let whole = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut staged = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
        content(staged.as_file_mut())?;
        make_readable(staged.as_file())?;
        staged.as_file().sync_all()?;
        staged.persist(path).map_err(|refused| refused.error)?;
        Ok(())
    };
    whole().map_err(Error::file("write", path))
}

/// Writes a value as indented JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|source| Error::Json { path: path.into(), source })?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// The SHA-256 of some bytes, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a file's bytes, read piece by piece, in lower-case hexadecimal.
pub fn sha256_of(path: &Path) -> Result<String, Error> {
    let mut digest = Sha256::new();
    let mut file = std::fs::File::open(path).map_err(Error::file("read", path))?;
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(Error::file("read", path))? {
            0 => break,
            found => digest.update(&piece[..found]),
        }
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Temporary files are private to their owner; a result is as readable as any other file.
#[cfg(unix)]
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_the_standard_test_vector() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_file_has_the_sha256_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("long"), vec![7; 100_000]);
        write(&path, &bytes).unwrap();
        assert_eq!(sha256_of(&path).unwrap(), sha256(&bytes));
    }

    #[test]
    fn a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(read_text(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            #[allow(dead_code, reason = "only its presence is checked")]
            steps: u32,
        }
        let error = parse_toml::<Settings>(Path::new("recipe.toml"), "steps = 3\nstepz = 4\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("recipe.toml, line 2, column 1: ") && text.contains("stepz"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_misspelt_key_or_value_is_answered_with_the_one_that_is_meant_and_a_strange_one_is_not() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Similarity {
            Pearson,
            Spearman,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "only the errors are read")]
        struct Settings {
            radius_mm: f64,
            similarity: Similarity,
        }
        let error = |text: &str| parse_toml::<Settings>(Path::new("plan.toml"), text).unwrap_err().to_string();
        let key = error("# first\nradus_mm = 8.0\n");
        assert!(
            key.starts_with("plan.toml, line 2, ") && key.contains("`radus_mm` (did you mean `radius_mm`?)"),
            "{key}"
        );
        let value = error("radius_mm = 8.0\nsimilarity = \"pearsn\"\n");
        assert!(value.contains("line 2, ") && value.contains("`pearsn` (did you mean `pearson`?)"), "{value}");
        let strange = error("colour = 3\n");
        assert!(strange.contains("`colour`, expected") && !strange.contains("did you mean"), "{strange}");
    }
}
