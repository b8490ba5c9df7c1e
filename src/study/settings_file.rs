//! Settings files to begin a study with, and their schemas.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// A settings file of a job, as a study begins with it: every key of it, with what it means.
///
/// A line that begins with `#` and no space is a setting that is not in use; consecutive ones go together.
#[derive(Clone, Copy, Debug)]
pub struct SettingsFile {
    /// What kind of file it is, and its name without `.toml`.
    pub kind: &'static str,
    /// Its text.
    pub text: &'static str,
    schema: fn() -> Value,
}

impl SettingsFile {
    /// A file that is read as a `Settings`.
    pub const fn of<Settings: JsonSchema>(kind: &'static str, text: &'static str) -> SettingsFile {
        SettingsFile { kind, text, schema: schema::<Settings> }
    }

    /// The file's name.
    pub fn name(&self) -> String {
        format!("{}.toml", self.kind)
    }

    /// The JSON schema of such files, by which editors complete and explain them: keys, types and words. Ranges, and which
    /// keys go together, are known to the program alone.
    pub fn schema(&self) -> Value {
        (self.schema)()
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

/// In the draft that editors of TOML understand.
fn schema<Settings: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Settings>().to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: a key that may be left out is left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    keys["type"] = only.clone();
                }
            }
            if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                // Of a single choice an editor says what is wrong with it.
                if choices.len() == 1 {
                    let only = keys.remove("anyOf").expect("it is there");
                    keys.insert("allOf".into(), only);
                }
            }
            keys.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a plan.
    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its schema is read")]
    struct Half {
        /// A number.
        a: Option<f64>,
        b: Option<Vec<u32>>,
    }

    #[test]
    fn neighbouring_settings_that_are_not_in_use_are_put_to_use_together() {
        let file = SettingsFile::of::<Half>("plan", "# Why.\na = 1\n#b = 2\n#c = 3\n#\n#d = 4\n");
        let versions = file.versions();
        assert_eq!(versions.len(), 3);
        assert_eq!(versions[1], "# Why.\na = 1\nb = 2\nc = 3\n#\n#d = 4");
        assert!(versions[2].ends_with("#c = 3\n#\nd = 4"));
    }

    #[test]
    fn a_schema_has_what_the_comments_say_and_no_null() {
        let schema = SettingsFile::of::<Half>("half", "").schema();
        assert_eq!(schema["description"], "Half a plan.");
        assert_eq!(schema["properties"]["a"]["description"], "A number.");
        assert_eq!(schema["additionalProperties"], false);
        assert!(!schema.to_string().contains("null"), "{schema}");
    }
}
