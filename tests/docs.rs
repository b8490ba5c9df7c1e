//! The pages for people: every link leads somewhere, and the book has them all.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { pages(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// A page without what stands in blocks of code.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        lines.extend((!is_code && !is_fence).then_some(line));
    }
    lines.join("\n")
}

/// Where the links of a page lead.
fn links(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect()
}

/// What a page calls its headings in links: small letters, digits and `_`, with `-` for each blank, and numbered where
/// several are alike.
fn anchors(prose: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        let plain = kept.replace(' ', "-");
        let before = seen.entry(plain.clone()).or_default();
        *before += 1;
        if *before == 1 { plain } else { format!("{plain}-{}", *before - 1) }
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let mut all = vec![root().join("README.md")];
    all.extend(["docs", "experiments"].iter().flat_map(|folder| pages(&root().join(folder))));
    let mut count = 0;
    for page in &all {
        let text = prose(&fs::read_to_string(page).unwrap());
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if let Some(anchor) = anchor {
                let anchors = anchors(&prose(&fs::read_to_string(&target).unwrap()));
                assert!(anchors.iter().any(|known| known == anchor), "{}: {link}: only {anchors:?}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 50, "only {count} links");
}

#[test]
fn every_page_has_its_place_in_the_book() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: Vec<PathBuf> =
        links(&summary).into_iter().map(|link| docs.join(link).canonicalize().unwrap()).collect();
    let mut all = vec![root().join("README.md")];
    all.extend(["docs", "experiments"].iter().flat_map(|folder| pages(&root().join(folder))));
    for page in all {
        let times = listed.iter().filter(|listed| **listed == page.canonicalize().unwrap()).count();
        let expected = usize::from(!page.ends_with("SUMMARY.md"));
        assert_eq!(times, expected, "{} is in docs/SUMMARY.md {times} times", page.display());
    }
}

#[test]
fn headings_are_named_as_links_name_them() {
    let page = "# The `plan`: keys & values\n## Twice\n## Twice\n### A_b-c\n";
    assert_eq!(anchors(page), ["the-plan-keys--values", "twice", "twice-1", "a_b-c"]);
}
