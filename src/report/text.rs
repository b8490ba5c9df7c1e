//! Numbers and settings in words.

use serde_json::Value;

use crate::study::table;

/// How many values of a long list are shown.
const SHOWN: usize = 8;

/// A number with up to so many decimals and a true minus sign; a dash where there is none.
pub fn number(value: impl Into<Option<f64>>, decimals: usize) -> String {
    match value.into().filter(|value| value.is_finite()) {
        Some(value) => table::cell(value, decimals).replace('-', "\u{2212}"),
        None => "–".into(),
    }
}

/// A correlation or the like with exactly three decimals, so that columns align.
pub fn figure(value: impl Into<Option<f64>>) -> String {
    fixed(value, 3)
}

/// A number with exactly so many decimals, for a column of them.
pub fn fixed(value: impl Into<Option<f64>>, decimals: usize) -> String {
    match value.into().filter(|value| value.is_finite()) {
        Some(value) => format!("{value:.decimals$}").replace('-', "\u{2212}"),
        None => "–".into(),
    }
}

/// A share as a percentage.
pub fn percent(share: impl Into<Option<f64>>) -> String {
    match share.into().filter(|share| share.is_finite()) {
        Some(share) => format!("{:.1} %", 100.0 * share),
        None => "–".into(),
    }
}

/// A count with its word in the singular or plural.
pub fn counted(count: usize, word: &str) -> String {
    match (count, word.ends_with("sh")) {
        (1, _) => format!("1 {word}"),
        (_, true) => format!("{count} {word}es"),
        (_, false) => format!("{count} {word}s"),
    }
}

/// A first- or second-order similarity, by its name in a plan.
pub fn similarity(name: &str) -> String {
    match name {
        "spearman" => "Spearman's rank correlation".into(),
        "pearson" => "Pearson's correlation".into(),
        "kendall_tau_a" => "Kendall's tau-a".into(),
        "kendall_tau_b" => "Kendall's tau-b".into(),
        other => other.replace('_', " "),
    }
}

/// Settings as indented lines, long lists cut short.
pub fn outline(value: &Value) -> String {
    let mut lines = String::new();
    write_outline(value, 0, &mut lines);
    lines.trim_end().to_owned()
}

fn write_outline(value: &Value, depth: usize, lines: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match inline(value) {
                    Some(text) => *lines += &format!("{indent}{key}: {text}\n"),
                    None => {
                        *lines += &format!("{indent}{key}:\n");
                        write_outline(value, depth + 1, lines);
                    }
                }
            }
        }
        Value::Array(values) => {
            for value in values.iter().take(SHOWN) {
                match inline(value) {
                    Some(text) => *lines += &format!("{indent}- {text}\n"),
                    None => {
                        *lines += &format!("{indent}-\n");
                        write_outline(value, depth + 1, lines);
                    }
                }
            }
            if values.len() > SHOWN {
                *lines += &format!("{indent}… ({} in all)\n", values.len());
            }
        }
        Value::String(text) => text.lines().for_each(|line| *lines += &format!("{indent}{line}\n")),
        other => *lines += &format!("{indent}{other}\n"),
    }
}

/// What fits on the line of its key.
fn inline(value: &Value) -> Option<String> {
    let scalar = |value: &Value| match value {
        Value::String(text) => (!text.contains('\n')).then(|| text.clone()),
        Value::Array(values) => values.is_empty().then(|| "[]".to_owned()),
        Value::Object(entries) => entries.is_empty().then(|| "{}".to_owned()),
        other => Some(other.to_string()),
    };
    match value {
        Value::Array(values) if !values.is_empty() => {
            let shown: Vec<String> = values.iter().take(SHOWN).map(scalar).collect::<Option<_>>()?;
            let rest = if values.len() > SHOWN { format!(", … ({} in all)", values.len()) } else { String::new() };
            Some(format!("[{}{rest}]", shown.join(", ")))
        }
        // A small table on one line, as a point or a fault.
        Value::Object(entries) if !entries.is_empty() && entries.len() <= 3 => {
            let parts = entries.iter().map(|(key, value)| scalar(value).map(|text| format!("{key} {text}")));
            let parts = parts.collect::<Option<Vec<_>>>()?.join(", ");
            (parts.len() <= 60).then_some(parts)
        }
        other => scalar(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_become_lines_and_long_lists_are_cut() {
        let pulses: Vec<u32> = (0..100).collect();
        let settings = json!({ "tr_s": 2.0, "pulses": pulses, "a": { "b": [], "c": "x\ny" } });
        let expected = "tr_s: 2.0\npulses: [0, 1, 2, 3, 4, 5, 6, 7, … (100 in all)]\na:\n  b: []\n  c:\n    x\n    y";
        assert_eq!(outline(&settings), expected);
    }

    #[test]
    fn numbers_are_written_as_in_print() {
        assert_eq!(number(-0.5, 2), "\u{2212}0.5");
        assert_eq!(number(f64::NAN, 2), "–");
        assert_eq!(figure(0.1), "0.100");
        assert_eq!(percent(0.813), "81.3 %");
        assert_eq!(
            [(1, "run"), (2, "run"), (0, "refresh")].map(|(n, word)| counted(n, word)),
            ["1 run", "2 runs", "0 refreshes"]
        );
    }
}
