//! The interactive viewer of a report, in a browser.

use crate::browser::{Browser, Picture, SOFTWARE_WEBGL};
use crate::*;

const READY: &str = "document.getElementById('viewer')?.getAttribute('aria-busy') === 'false'";

/// The page of a study with a group and an anatomy; `None`, said aloud, where this program was built without the viewer.
fn page(study: &Study) -> Option<PathBuf> {
    let (html, _) = study.report();
    if html.contains("was built without the interactive viewer") {
        println!("NOT TESTED: this build has no NiiVue; `./run setup` fetches it");
        return None;
    }
    Some(study.path("report/report.html"))
}

fn study() -> Study {
    let study = Study::new(DEMO);
    write_group(&study.path("maps"), ImageSet::load(&study.path("set")).unwrap().sha256());
    write_reference(&study.path("bids"));
    study
}

/// A functional reference: light in the brain, dark around it, brighter to the front.
fn write_reference(bids: &Path) {
    let folder = bids.join("derivatives/fmriprep/sub-01/func");
    fs::create_dir_all(&folder).unwrap();
    let value = |index: usize| {
        let voxel = GRID.voxel(index);
        if in_brain(voxel) { 500.0 + 10.0 * voxel[1] as f32 } else { 20.0 }
    };
    let volume = Volume { grid: GRID, data: (0..GRID.len()).map(value).collect() };
    nifti_file::write_volume(&folder.join("sub-01_task-layers_run-1_boldref.nii.gz"), &volume).unwrap();
}

/// Where the slices are in the window: left, top, width and height.
fn slices(browser: &mut Browser) -> [f64; 4] {
    let corner = browser.value(
        "(() => { const c = document.getElementById('viewer-canvas'); c.scrollIntoView({ block: 'center', behavior: 'instant' }); \
         const r = c.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })()",
    );
    serde_json::from_value(corner).unwrap()
}

fn look(browser: &mut Browser) -> Picture {
    let [x, y, width, height] = slices(browser);
    // Two drawings later at the latest, what was asked for is on the screen.
    browser.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    let scrolled = browser.value("window.scrollY").as_f64().unwrap();
    browser.picture([x, y + scrolled, width, height])
}

/// Chooses a map of the participant.
fn choose(browser: &mut Browser, map: &str) {
    let option = format!(
        "[...document.querySelectorAll('#viewer-map optgroup')].find(g => g.label.startsWith('sub-01'))\
         .querySelector('option:nth-of-type({})').value",
        LAYERS.iter().position(|layer| *layer == map).unwrap_or(LAYERS.len()) + 1
    );
    let place = browser.value(&option).as_str().unwrap().to_owned();
    browser.enter("viewer-map", &place);
    browser.until(READY);
}

/// The position and the value that the viewer names: `sub-01_task-layers, 4b at x 2.0, y -12.0, z 6.0 mm: 0.123 (similarity...`.
fn said(browser: &mut Browser) -> ([f64; 3], String) {
    let text = browser.text("viewer-value").replace('\u{2212}', "-");
    let (place, value) = text.split_once(" at ").unwrap().1.split_once(" mm: ").unwrap();
    let place: Vec<f64> = place.split(", ").map(|axis| axis[2..].parse().unwrap()).collect();
    (place.try_into().unwrap(), value.split(" (").next().unwrap().to_owned())
}

/// The voxel whose centre lies at a place of the study's grid.
fn voxel_at(mm: [f64; 3]) -> [usize; 3] {
    let voxel = [0, 1, 2].map(|axis| ((mm[axis] - GRID.affine[axis][3]) / GRID.affine[axis][axis]).round() as usize);
    assert_eq!(GRID.position_mm(voxel), mm);
    voxel
}

fn map(study: &Study, layer: &str) -> Volume {
    let name = format!("maps/sub-01/func/sub-01_task-layers_stat-spearman_desc-{layer}_statmap.nii.gz");
    nifti_file::read_volume(&study.path(&name)).unwrap()
}

/// What the viewer should say of a place.
fn expected(map: &Volume, mm: [f64; 3]) -> String {
    let value = map.data[GRID.index(voxel_at(mm))];
    if value.is_nan() { "undefined or outside the mask".into() } else { format!("{value:.3}") }
}

fn is_warm([red, _, blue]: &[u8; 3]) -> bool {
    *red > blue.saturating_add(40)
}

#[test]
fn the_viewer_shows_what_is_in_the_maps_and_asks_nothing_of_any_server() {
    let study = study();
    let Some(page) = page(&study) else { return };
    let Some(mut browser) = Browser::start([1250, 900], &SOFTWARE_WEBGL) else { return };
    browser.open(&page, READY);
    assert!(browser.text("viewer-over").contains("functional reference (sub-01_task-layers_run-1_boldref.nii.gz)"));

    // A known voxel, by its position.
    choose(&mut browser, "4b");
    let of_4b = map(&study, "4b");
    let known = GRID.position_mm([20, 30, 12]);
    for (axis, mm) in ["x", "y", "z"].into_iter().zip(known) {
        browser.enter(&format!("viewer-{axis}"), &mm.to_string());
    }
    assert_eq!(said(&mut browser), (known, expected(&of_4b, known)));

    // A click, and another one to its right in the same slice.
    let [left, top, width, height] = slices(&mut browser);
    let clicked = [0.12, 0.2].map(|share| {
        browser.click([left + share * width, top + 0.45 * height]);
        let (mm, value) = said(&mut browser);
        assert_eq!(value, expected(&of_4b, mm));
        assert_ne!(value, "undefined or outside the mask");
        mm
    });
    assert!(clicked[0][0] < clicked[1][0] && clicked[0][1..] == clicked[1][1..], "left is left: {clicked:?}");

    // Keys go from voxel to voxel.
    let before = said(&mut browser).0;
    browser.press("ArrowRight");
    browser.press("ArrowUp");
    browser.press("PageDown");
    let [x, y, z] = before;
    let moved = [x + 4.0, y + 4.0, z - 4.0];
    assert_eq!(said(&mut browser), (moved, expected(&of_4b, moved)));

    // A corner of the box around the brain: undefined there, and drawn as nothing rather than as far below 0.
    browser.enter("viewer-threshold", "0");
    let whole = look(&mut browser);
    assert!(whole.count(is_warm) > 1000, "{}", whole.count(is_warm));
    assert_eq!(whole.count(|[red, _, blue]| *red < 30 && *blue > 80), 0);
    let corner = GRID.position_mm([3, 3, 3]);
    for (axis, mm) in ["x", "y", "z"].into_iter().zip(corner) {
        browser.enter(&format!("viewer-{axis}"), &mm.to_string());
    }
    assert_eq!(said(&mut browser).1, "undefined or outside the mask");

    // Thresholds take voxels away; the anatomy stays.
    browser.enter("viewer-threshold", "0.5");
    let peaks = look(&mut browser);
    browser.enter("viewer-threshold", "2");
    let nothing = look(&mut browser);
    let warm = [&whole, &peaks, &nothing].map(|picture| picture.count(is_warm));
    assert!(warm[0] > warm[1] && warm[1] >= warm[2] && warm[2] == 0, "{warm:?}");
    assert!(nothing.count(|[red, green, blue]| red == green && green == blue && *red > 60) > 1000);

    // Another layer, and the best layer by its name.
    choose(&mut browser, "5b");
    browser.enter("viewer-threshold", "0");
    assert!(look(&mut browser) != whole);
    choose(&mut browser, "best layer");
    for (axis, mm) in ["x", "y", "z"].into_iter().zip(known) {
        browser.enter(&format!("viewer-{axis}"), &mm.to_string());
    }
    let best = nifti_file::read_volume(&study.path("maps/sub-01/func/sub-01_task-layers_desc-bestlayer_dseg.nii.gz"));
    let best = best.unwrap().data[GRID.index([20, 30, 12])];
    assert_eq!(said(&mut browser).1, LAYERS[best as usize - 1]);

    // On paper there are the slices alone.
    browser.order("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    assert_eq!(browser.value("getComputedStyle(document.getElementById('viewer')).display"), "none");

    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    // What stands in the page itself is asked of nobody.
    let is_inside = |url: &&str| url.ends_with("/report.html") || url.starts_with("data:");
    let others: Vec<&str> = browser.requests().into_iter().filter(|url| !is_inside(url)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_browser_without_webgl_says_so_in_a_sentence() {
    let study = study();
    let Some(page) = page(&study) else { return };
    let Some(mut browser) = Browser::start([1250, 900], &["--disable-gpu", "--disable-software-rasterizer"]) else {
        return;
    };
    browser.open(&page, READY);
    assert_eq!(browser.value("document.getElementById('viewer-tools').checkVisibility()"), json!(false));
    assert_eq!(
        browser.text("viewer-refusal"),
        "This browser has no WebGL 2, which the interactive viewer needs. The slices below show the same maps."
    );
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
}

#[test]
fn a_report_can_be_made_without_the_viewer() {
    let study = study();
    study.command().arg("--no-viewer").assert().success();
    let html = fs::read_to_string(study.path("report/report.html")).unwrap();
    assert!(!html.contains("<script") && !html.contains("id=\"viewer") && !html.contains("the interactive viewer"));
}

#[test]
fn layer_maps_are_drawn_over_the_anatomy_and_a_damaged_one_is_refused() {
    let study = Study::new(DEMO);
    let picture = |study: &Study| {
        study.command().arg("--no-viewer").assert().success();
        let svg = study.path("report/report_figures/sub-01_task-layers_layer_map.svg");
        let svg = fs::read_to_string(svg).unwrap();
        fs::remove_dir_all(study.path("report")).unwrap();
        svg
    };
    let plain = picture(&study);
    write_reference(&study.path("bids"));
    assert_ne!(picture(&study), plain);
    let path = study.path("bids/derivatives/fmriprep/sub-01/func/sub-01_task-layers_run-1_boldref.nii.gz");
    fs::write(&path, "no image").unwrap();
    refused(&study, &["boldref.nii.gz"]);
}
