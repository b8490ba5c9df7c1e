//! Settings files to begin a study with.

/// A settings file of a job, as a study begins with it: every key of it, with what it means.
///
/// A line that begins with `#` and no space is a setting that is not in use; consecutive ones go together.
#[derive(Clone, Copy, Debug)]
pub struct SettingsFile {
    /// What kind of file it is, and its name without `.toml`.
    pub kind: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl SettingsFile {
    /// The file's name.
    pub fn name(&self) -> String {
        format!("{}.toml", self.kind)
    }

    /// The text as it is, and once more with each of the settings that are not in use put to use: what a job's tests read.
    #[cfg(test)]
    pub fn versions(&self) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_off = |line: &str| line.starts_with('#') && line[1..].starts_with(|c: char| !c.is_whitespace());
        let mut versions = vec![self.text.to_owned()];
        let mut next = 0;
        while let Some(first) = (next..lines.len()).find(|&line| is_off(lines[line])) {
            next = (first..lines.len()).find(|&line| !is_off(lines[line])).unwrap_or(lines.len());
            let line = |(number, line): (usize, &&str)| line[usize::from((first..next).contains(&number))..].to_owned();
            versions.push(lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\n"));
        }
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_settings_that_are_not_in_use_are_put_to_use_together() {
        let file = SettingsFile { kind: "plan", text: "# Why.\na = 1\n#b = 2\n#c = 3\n#\n#d = 4\n" };
        let versions = file.versions();
        assert_eq!(versions.len(), 3);
        assert_eq!(versions[1], "# Why.\na = 1\nb = 2\nc = 3\n#\n#d = 4");
        assert!(versions[2].ends_with("#c = 3\n#\nd = 4"));
    }
}
