//! The page: what was found, in words and figures, put into the template.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::{Value, json};

use crate::figures::{
    AxialView, Bar, Cells, LayerColors, Mark, Row, Run, Scale, as_file, bars, color_bar, data_uri, flip_intervals,
    heatmap, mosaic, onset_errors, raster, stability,
};
use crate::report::belonging::brief_hash;
use crate::report::comparison::ComparisonPage;
use crate::report::error::Error;
use crate::report::first_level::{FirstLevelFigures, FirstLevelPage};
use crate::report::group::GroupPage;
use crate::report::methods::methods;
use crate::report::participant::{Participant, PresentedRun};
use crate::report::profiles::ProfilesPage;
use crate::report::session::RunFigures;
use crate::report::sources::Findings;
use crate::report::summary::Summary;
use crate::report::text::{counted, figure, number, outline, percent, similarity};
use crate::report::viewer::{self, Viewer};
use crate::rsa::{SecondOrder, SimilarityMatrix};
use crate::study::{Fault, ImageRecord, Layer, PowerFigures, Predictor, SelectionRecord, TriggerFacts, Weights, file};

const TEMPLATE: &str = include_str!("report.html.j2");
/// A planted region counts as recovered when its layer is the best in so large a share of its voxels.
const RECOVERED: f64 = 0.8;
/// Of a larger set the first so many images are shown: each is in the page as the whole file that it is.
const MOST_IMAGES: usize = 100;
/// How many axial slices stand side by side.
const SLICES: usize = 8;

/// Everything that the template shows. Figures are SVG; all other text is escaped by the template.
#[derive(Serialize)]
struct Page {
    title: String,
    made_by: String,
    banners: Vec<Banner>,
    tiles: Vec<Tile>,
    images: Vec<Image>,
    image_count: usize,
    image_size: String,
    rsms: Vec<LayerRsm>,
    rsm_bar: String,
    spread_bars: String,
    stability: Option<Stability>,
    power: Vec<[String; 6]>,
    chosen: Option<String>,
    similarities: Vec<Similarity>,
    similarity_bar: String,
    similarity_words: String,
    no_natural: Option<String>,
    runs: Vec<RunPage>,
    first_level: Option<FirstLevelPage>,
    participants: Vec<ParticipantPage>,
    groups: Vec<GroupPage>,
    profiles: Option<ProfilesPage>,
    comparison: Option<ComparisonPage>,
    viewer: Viewer,
    methods: Vec<String>,
    references: Vec<&'static str>,
    facts: Vec<[String; 2]>,
    details: Vec<Details>,
    hashes: Vec<[String; 2]>,
}

/// Something that nobody may overlook.
#[derive(Serialize)]
struct Banner {
    word: &'static str,
    text: String,
}

/// A figure of the summary with its verdict.
#[derive(Serialize)]
struct Tile {
    label: &'static str,
    value: String,
    note: String,
    verdict: Verdict,
    word: &'static str,
}

/// How a figure is to be taken. Shown by a word and a sign as well as by a colour.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Caution,
    Bad,
    Neutral,
}

#[derive(Serialize)]
struct Image {
    name: String,
    uri: String,
}

#[derive(Serialize)]
struct LayerRsm {
    layer: String,
    color: String,
    figure: String,
    mean: String,
    spread: String,
}

#[derive(Serialize)]
struct Stability {
    figure: String,
    words: String,
}

#[derive(Serialize)]
struct Similarity {
    heading: String,
    figure: String,
    mean_abs: String,
    max_abs: String,
}

#[derive(Serialize)]
struct RunPage {
    id: String,
    name: String,
    emulated: bool,
    facts: Vec<[String; 2]>,
    reasons: Vec<String>,
    raster: String,
    errors: Option<String>,
    flips: Option<String>,
}

#[derive(Serialize)]
struct ParticipantPage {
    id: String,
    name: String,
    emulated: bool,
    words: String,
    layers: Vec<LayerLine>,
    layer_map: String,
    similarity_maps: String,
    similarity_bar: String,
    recovery: Option<Recovery>,
    no_recovery: String,
}

#[derive(Serialize)]
struct LayerLine {
    layer: String,
    color: String,
    mean: String,
    max: String,
    best_voxels: String,
    best_share: String,
}

#[derive(Serialize)]
struct Recovery {
    noise: String,
    figure: String,
    regions: Vec<[String; 4]>,
}

/// A text that is folded away.
#[derive(Serialize)]
struct Details {
    heading: String,
    text: String,
}

/// The page, and its figures as they become files.
pub struct Rendered {
    /// The page as HTML.
    pub html: String,
    /// Each figure's name and its SVG.
    pub figures: Vec<(String, String)>,
}

/// Puts the page together.
pub fn render(findings: &Findings, runs: &[RunFigures], summary: &Summary, viewer: bool) -> Result<Rendered, Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("report.html", TEMPLATE)?;
    environment.add_template("viewer.html", viewer::TEMPLATE)?;
    let mut page = Page::of(findings, runs, summary)?;
    if viewer {
        page.viewer = Viewer::of(findings);
    }
    let html = environment.get_template("report.html")?.render(Serde(&page))?;
    Ok(Rendered { html, figures: page.figures() })
}

impl Page {
    fn of(findings: &Findings, runs: &[RunFigures], summary: &Summary) -> Result<Page, Error> {
        let layers = findings.set.models().layers();
        let colors = LayerColors::new(layers.len());
        let size = findings.set.manifest().size_px;
        let presented: Vec<(&PresentedRun, &RunFigures)> = findings.runs().zip(runs).collect();
        let written = methods(findings, summary);
        let rsm_scale = Scale::holding(findings.set.models().rsms().iter().flat_map(|rsm| rsm.upper()).copied());
        Ok(Page {
            title: format!("layerprint report: {}", summary.participants.join(", ")),
            made_by: summary.versions["report"].clone(),
            banners: banners(summary),
            tiles: tiles(findings, runs, summary),
            images: images(findings)?,
            image_count: findings.set.manifest().images.len(),
            image_size: format!("{} x {} px", size[0], size[1]),
            rsms: layer_rsms(findings, &colors, rsm_scale),
            rsm_bar: color_bar(rsm_scale, "similarity of two images (Pearson r)"),
            spread_bars: spread_bars(findings, &colors),
            stability: stability_words(findings)
                .map(|words| Stability { figure: stability(&findings.set.manifest().figures), words }),
            power: findings.set.manifest().figures.power.iter().map(power_line).collect(),
            chosen: findings.set.manifest().selection.as_ref().map(chosen),
            similarities: similarities(findings, summary),
            similarity_bar: color_bar(Scale::to(1.0), "similarity of two layers' RSMs (Pearson r)"),
            similarity_words: similarity_words(summary),
            no_natural: findings.natural.similarity.is_none().then(|| {
                "There is no natural comparison: the built-in table is of a GoogLeNet's 12 layers, and this set was \
                 measured on others. Name the folder of a set of natural images with --natural."
                    .into()
            }),
            runs: presented.iter().enumerate().map(|(k, (run, figures))| run_page(k, run, figures, findings)).collect(),
            first_level: summary.first_level.as_ref().map(|figures| figures.page(findings)),
            participants: participants(findings, &colors),
            groups: findings
                .groups
                .iter()
                .map(|group| group.page(layers, &colors, findings.anatomy_of(group)))
                .collect(),
            profiles: findings.profiles.as_ref().map(|profiles| profiles.page(layers, &colors)),
            comparison: findings.comparison.as_ref().map(|comparison| comparison.page(layers, &colors)),
            viewer: Viewer::LeftOut,
            methods: written.paragraphs,
            references: written.references,
            facts: facts(findings, summary),
            details: details(findings)?,
            hashes: hashes(findings),
        })
    }

    /// Every figure under the name that its file has.
    fn figures(&self) -> Vec<(String, String)> {
        let mut figures = vec![
            ("spread".to_owned(), &self.spread_bars),
            ("fingerprint_scale".into(), &self.rsm_bar),
            ("layer_similarity_scale".into(), &self.similarity_bar),
        ];
        figures.extend(self.rsms.iter().map(|rsm| (format!("fingerprint_{}", rsm.layer), &rsm.figure)));
        figures.extend(self.stability.iter().map(|stability| ("stability".to_owned(), &stability.figure)));
        let similarities = ["layer_similarity", "layer_similarity_natural"].map(String::from);
        figures.extend(similarities.into_iter().zip(self.similarities.iter().map(|similarity| &similarity.figure)));
        for run in &self.runs {
            figures.push((format!("{}_timeline", run.name), &run.raster));
            figures.extend(run.flips.iter().map(|flips| (format!("{}_flip_intervals", run.name), flips)));
            figures.extend(run.errors.iter().map(|errors| (format!("{}_onset_errors", run.name), errors)));
        }
        for person in &self.participants {
            let named = |what: &str| format!("{}_{what}", person.name);
            figures.push((named("layer_map"), &person.layer_map));
            figures.push((named("similarity_maps"), &person.similarity_maps));
            figures.push((named("similarity_scale"), &person.similarity_bar));
            figures.extend(person.recovery.iter().map(|recovery| (named("recovery"), &recovery.figure)));
        }
        for group in &self.groups {
            figures.push((format!("{}_layer_map", group.name), &group.layer_map));
            figures.push((format!("{}_gradient_scale", group.name), &group.gradient_bar));
            if let Some(overlap) = &group.overlap {
                figures.push((format!("{}_overlap", group.name), &overlap.figure));
                figures.push((format!("{}_overlap_scale", group.name), &overlap.bar));
                figures.push((format!("{}_overlap_pairs", group.name), &overlap.pairs));
            }
        }
        figures.extend(self.first_level.iter().flat_map(FirstLevelPage::figures));
        figures.extend(self.profiles.iter().flat_map(ProfilesPage::figures));
        figures.extend(self.comparison.iter().flat_map(ComparisonPage::figures));
        figures.into_iter().map(|(name, element)| (name, as_file(element))).collect()
    }
}

fn banners(summary: &Summary) -> Vec<Banner> {
    let mut banners = Vec::new();
    if summary.emulated == Some(true) {
        let text = "The scanner was emulated: nothing here was measured in a person. It shows that the programs work \
                    together; it is no data.";
        banners.push(Banner { word: "Emulated", text: text.into() });
    }
    if summary.weights == Weights::Untrained {
        let text = "The network was never trained: its weights were drawn from a seed. These fingerprints say nothing \
                    about a trained network; make the image set again with trained weights before it is shown to anyone.";
        banners.push(Banner { word: "Untrained network", text: text.into() });
    }
    if summary.complete == Some(false) {
        let text = "At least one run ended before its planned end.";
        banners.push(Banner { word: "Incomplete", text: text.into() });
    }
    banners
}

fn tiles(findings: &Findings, runs: &[RunFigures], summary: &Summary) -> Vec<Tile> {
    use Verdict::*;
    let mut tiles = Vec::new();
    let (mean, chance) = (summary.layer_similarity_mean_abs, summary.layer_similarity_chance_abs);
    let (largest, chance_largest) = (summary.layer_similarity_max_abs, summary.layer_similarity_chance_max_abs);
    let natural = summary.natural_layer_similarity_mean_abs;
    let (verdict, word) = match natural {
        _ if mean <= chance && largest <= chance_largest => (Good, "distinct"),
        _ if mean <= chance => (Caution, "some layers alike"),
        Some(natural) if mean >= 0.8 * natural => (Bad, "as with natural images"),
        _ => (Caution, "partly distinct"),
    };
    let beside = natural.map_or("no natural comparison".into(), |r| format!("natural images {}", figure(r)));
    tiles.push(Tile {
        label: "Mean |r| between layers",
        value: figure(mean),
        note: format!("largest {}; {beside}; unrelated RSMs {}", figure(largest), figure(chance)),
        verdict,
        word,
    });
    let layers = &findings.set.manifest().figures.layers;
    let weakest = layers.iter().min_by(|a, b| a.spread.total_cmp(&b.spread));
    let weakest = weakest.map_or(String::new(), |layer| format!("smallest in {}; ", layer.name));
    tiles.push(Tile {
        label: "Spread of the RSMs, smallest",
        value: figure(summary.spread_min),
        note: format!("{weakest}mean {}", figure(summary.spread_mean)),
        verdict: Neutral,
        word: "strength of the fingerprints",
    });
    tiles.extend(stability_tile(summary));
    tiles.extend(recovery_tile(summary));
    tiles.extend(summary.first_level.as_ref().map(first_level_tile));
    tiles.extend(group_tile(summary));
    tiles.extend(comparison_tile(summary));
    if runs.is_empty() {
        tiles.push(Tile {
            label: "Session",
            value: "–".into(),
            note: "no events of these participants".into(),
            verdict: Caution,
            word: "not described",
        });
    } else {
        let ended = match summary.complete {
            Some(true) => (Good, "to the planned end"),
            Some(false) => (Bad, "ended early"),
            None => (Neutral, "end not known"),
        };
        tiles.push(Tile {
            label: "Trials shown",
            value: summary.trials.to_string(),
            note: format!("in {}, {} more", counted(summary.runs, "run"), counted(summary.null_trials, "null trial")),
            verdict: ended.0,
            word: ended.1,
        });
        let (verdict, word) = match summary.late_frames {
            Some(0) => (Good, "none late"),
            Some(_) => (Caution, "look at the session"),
            None => (Neutral, "not counted"),
        };
        let worst = summary.onset_error_max_abs_ms;
        let worst = worst.map_or("onset errors not known".into(), |ms| format!("onsets within {} ms", number(ms, 2)));
        let late = summary.late_frames.map_or("–".into(), |count| count.to_string());
        tiles.push(Tile { label: "Late frames", value: late, note: worst, verdict, word });
        tiles.extend(task_tile(summary));
        let faulty = runs.iter().filter_map(|run| run.trigger.as_ref()).any(|trigger| !trigger.verdict.is_clean());
        let (verdict, word) = match &summary.trigger_verdict {
            None => (Neutral, "not judged"),
            Some(_) if faulty => (Bad, "look at the session"),
            Some(_) => (Good, "as expected"),
        };
        let pulses: usize = runs.iter().map(|run| run.pulses_s.len()).sum();
        tiles.push(Tile {
            label: "Trigger",
            value: summary.trigger_verdict.clone().unwrap_or("–".into()),
            note: if pulses > 0 { counted(pulses, "pulse") } else { "no pulses in the files".into() },
            verdict,
            word,
        });
    }
    let (value, verdict, word) = match summary.emulated {
        Some(true) => ("emulated", Bad, "no data"),
        Some(false) => ("real", Good, "data"),
        None => ("–", Neutral, "not stated"),
    };
    let note = counted(summary.participants.len(), "participant");
    tiles.push(Tile { label: "Scanner", value: value.into(), note, verdict, word });
    let (value, verdict, word) = match summary.weights {
        Weights::Trained => ("trained", Good, "from a file of weights"),
        Weights::Untrained => ("untrained", Bad, "for trying out only"),
        Weights::Module => ("module", Neutral, "its maker knows whether it was trained"),
    };
    let note = format!("{}, weights {}", findings.set.manifest().network.name, brief_hash(&summary.weights_sha256));
    tiles.push(Tile { label: "Network", value: value.into(), note, verdict, word });
    tiles
}

fn stability_tile(summary: &Summary) -> Option<Tile> {
    let (keep, identified) = (summary.stability_keep_min?, summary.stability_identified_min?);
    let (verdict, word) = if identified >= 1.0 {
        (Verdict::Good, "every layer known under every view")
    } else {
        (Verdict::Caution, "some layers mistaken for others")
    };
    Some(Tile {
        label: "Stability, least kept",
        value: figure(keep),
        note: format!("layers known again: {}, in the worst view that a set is held to", percent(identified)),
        verdict,
        word,
    })
}

fn task_tile(summary: &Summary) -> Option<Tile> {
    let (targets, hits, false_alarms) = (summary.targets?, summary.hits?, summary.false_alarms?);
    let (verdict, word) = if 2 * hits >= targets {
        (Verdict::Good, "responded")
    } else {
        (Verdict::Caution, "fewer than half responded to")
    };
    let d_prime = summary.d_prime_mean.map_or(String::new(), |d_prime| format!("; d\u{2032} {}", number(d_prime, 2)));
    Some(Tile {
        label: "Targets responded to",
        value: format!("{hits} of {targets}"),
        note: format!("{}{d_prime}", counted(false_alarms as usize, "false alarm")),
        verdict,
        word,
    })
}

fn first_level_tile(figures: &FirstLevelFigures) -> Tile {
    let FirstLevelFigures { runs, remarked, .. } = *figures;
    let (verdict, word) = match remarked {
        0 => (Verdict::Good, "no remark"),
        _ => (Verdict::Caution, "look at the first level"),
    };
    let moved = number(figures.displacement_mean_max_mm, 2);
    Tile {
        label: "Runs without a remark",
        value: format!("{} of {runs}", runs - remarked),
        note: format!(
            "temporal SNR {}; mean displacement at most {moved} mm; at most {} of a run censored",
            number(figures.temporal_snr_median, 1),
            percent(figures.censored_share_max)
        ),
        verdict,
        word,
    }
}

fn group_tile(summary: &Summary) -> Option<Tile> {
    let (found, layers) = (summary.group_layers_found?, summary.spread.len());
    let (verdict, word) = if found == layers {
        (Verdict::Good, "every layer found")
    } else {
        (Verdict::Caution, "not every layer found")
    };
    Some(Tile {
        label: "Layers found in the group",
        value: format!("{found} of {layers}"),
        note: "somewhere in the brain, corrected for all voxels of the layer".into(),
        verdict,
        word,
    })
}

fn comparison_tile(summary: &Summary) -> Option<Tile> {
    let (supported, claims) = (summary.claims_supported?, summary.claims?);
    let (verdict, word) =
        if supported == claims { (Verdict::Good, "all supported") } else { (Verdict::Caution, "not all supported") };
    Some(Tile {
        label: "Claims of the comparison",
        value: format!("{supported} of {claims}"),
        note: "tested by the bootstrap over participants".into(),
        verdict,
        word,
    })
}

fn recovery_tile(summary: &Summary) -> Option<Tile> {
    let (min, mean) = (summary.recovery_min?, summary.recovery_mean);
    let noise =
        summary.cnr.map_or("noise not stated".into(), |cnr| format!("contrast-to-noise ratio {}", number(cnr, 3)));
    let (verdict, word) = if min >= RECOVERED {
        (Verdict::Good, "every region found")
    } else {
        (Verdict::Caution, "not every region found")
    };
    Some(Tile {
        label: "Recovery, worst layer",
        value: percent(min),
        note: format!("mean {}; {noise}", percent(mean)),
        verdict,
        word,
    })
}

fn images(findings: &Findings) -> Result<Vec<Image>, Error> {
    let read = |image: &ImageRecord| -> Result<Image, Error> {
        let bytes = file::read(&findings.set.path(image))?;
        Ok(Image { name: image.name().to_owned(), uri: data_uri(&bytes) })
    };
    findings.set.manifest().images.iter().take(MOST_IMAGES).map(read).collect()
}

fn layer_rsms(findings: &Findings, colors: &LayerColors, scale: Scale) -> Vec<LayerRsm> {
    let models = findings.set.models();
    let figures = &findings.set.manifest().figures.layers;
    let layer_rsm = |(k, (layer, rsm)): (usize, (&Layer, &crate::rsa::Rsm))| {
        let measured = figures.iter().find(|figures| figures.name == *layer);
        let (mean, spread) = (figure(measured.map(|f| f.mean)), figure(measured.map(|f| f.spread)));
        let cells = Cells {
            title: format!("RSM of layer {layer}"),
            description: format!("Similarity of each pair of images in layer {layer}: mean {mean}, spread {spread}."),
            names: models.images(),
            value: &|i, j| rsm.get(i, j),
            scale,
            cell_px: 9.5,
            lettered: false,
        };
        LayerRsm { layer: layer.to_string(), color: colors.get(k).hex(), figure: heatmap(&cells), mean, spread }
    };
    models.layers().iter().zip(models.rsms()).enumerate().map(layer_rsm).collect()
}

fn spread_bars(findings: &Findings, colors: &LayerColors) -> String {
    let layers = &findings.set.manifest().figures.layers;
    let most = layers.iter().map(|layer| layer.spread).fold(0.0, f64::max);
    let end = Scale::holding([most]).limit();
    let bar = |(k, layer): (usize, &crate::study::LayerFigures)| Bar {
        label: layer.name.to_string(),
        value: layer.spread,
        note: figure(layer.spread),
        color: colors.get(k),
    };
    let each: Vec<Bar> = layers.iter().enumerate().map(bar).collect();
    let ticks = [0.0, 0.5, 1.0].map(|part| (part * end, number(part * end, 3)));
    bars(
        "Spread of each layer's RSM",
        "Standard deviation of each layer's RSM over the pairs of images.",
        &each,
        end,
        &ticks,
        None,
    )
}

/// What the views are and what is kept under them; `None` where no view was measured.
fn stability_words(findings: &Findings) -> Option<String> {
    let views = &findings.set.manifest().figures.views;
    let judged = views.iter().filter(|view| view.judged);
    let worst = judged.clone().min_by(|a, b| a.keep_min.total_cmp(&b.keep_min)).or(views.first())?;
    let mistaken = judged.filter(|view| view.identified < 1.0).map(|view| view.name.replace('_', " "));
    let mistaken: Vec<String> = mistaken.collect();
    let known = if mistaken.is_empty() {
        "Under every view that a set is held to, each layer's RSM is most like its own clean one.".to_owned()
    } else {
        format!("Some layer's RSM is more like another layer's clean one under: {}.", mistaken.join(", "))
    };
    Some(format!(
        "The least is kept under {}: there the worst layer's RSM correlates {} with its clean one, and {} on average. {known}",
        worst.name.replace('_', " "),
        figure(worst.keep_min),
        figure(worst.keep_mean)
    ))
}

fn power_line(power: &PowerFigures) -> [String; 6] {
    let predictor = match power.predictor {
        Predictor::Raw => "RSM as it is",
        Predictor::Residual => "residual of all other layers",
    };
    [
        predictor.into(),
        number(power.noise_sd, 2),
        figure(power.own_z),
        figure(power.other_z),
        percent(power.right),
        number(power.off_target, 2),
    ]
}

/// How the images were chosen from others, in a sentence.
fn chosen(selection: &SelectionRecord) -> String {
    format!(
        "The images were chosen from {} by a search with seed {}: the smallest value of the objective that it found is {}.",
        counted(selection.candidates as usize, "candidate"),
        selection.seed.0,
        figure(selection.value)
    )
}

fn similarities(findings: &Findings, summary: &Summary) -> Vec<Similarity> {
    let models = findings.set.models();
    let names: Vec<String> = models.layers().iter().map(Layer::to_string).collect();
    let show = |heading: String, value: &dyn Fn(usize, usize) -> f64, mean: f64, max: f64| {
        let cells = Cells {
            title: format!("Layer similarity: {heading}"),
            description: format!(
                "Correlation of the RSMs of each pair of layers: mean |r| {}, largest |r| {}.",
                figure(mean),
                figure(max)
            ),
            names: &names,
            value,
            scale: Scale::to(1.0),
            cell_px: 29.0,
            lettered: true,
        };
        Similarity { heading, figure: heatmap(&cells), mean_abs: figure(mean), max_abs: figure(max) }
    };
    let set: SimilarityMatrix = models.similarity(SecondOrder::Pearson);
    let (mean, max) = (summary.layer_similarity_mean_abs, summary.layer_similarity_max_abs);
    let mut similarities = vec![show("this image set".into(), &|i, j| set.get(i, j), mean, max)];
    if let (Some(natural), Some((mean, max))) = (&findings.natural.similarity, findings.natural.mean_and_max_abs()) {
        similarities.push(show(findings.natural.name.clone(), &|i, j| natural[i][j], mean, max));
    }
    similarities
}

fn similarity_words(summary: &Summary) -> String {
    let own = summary.layer_similarity_mean_abs;
    let beside = match summary.natural_layer_similarity_mean_abs {
        Some(natural) if own > 0.0 => {
            format!(", {} times smaller than over natural images ({})", number(natural / own, 1), figure(natural))
        }
        _ => String::new(),
    };
    format!(
        "Over this set the mean |r| is {}{beside}. RSMs without any relation would have {} by chance.",
        figure(own),
        figure(summary.layer_similarity_chance_abs)
    )
}

fn run_page(k: usize, run: &PresentedRun, figures: &RunFigures, findings: &Findings) -> RunPage {
    let name = run.name.to_string();
    let records = &findings.set.manifest().images;
    let images: Vec<String> = records.iter().map(|image| image.name().to_owned()).collect();
    // A repeat that was a target has its own trial type, and the hash of its image.
    let is_of = |event: &crate::study::Event, image: &ImageRecord| {
        image.name() == event.trial_type || event.image_sha256.as_ref() == Some(&image.sha256)
    };
    let mark = |event: &crate::study::Event| Mark {
        onset_s: event.onset_s,
        duration_s: event.duration_s,
        image: records.iter().position(|image| is_of(event, image)),
    };
    let marks: Vec<Mark> = run.events.0.iter().filter(|event| event.is_of_trial()).map(mark).collect();
    let shown = Run {
        name: &name,
        images: &images,
        marks: &marks,
        pulses_s: &figures.pulses_s,
        begin_s: figures.begin_s,
        end_s: figures.end_s,
    };
    let errors = &figures.onset_errors;
    let errors_ms: Vec<f64> = errors.iter().map(|(_, error)| *error).collect();
    let worst = errors_ms.iter().map(|error| error.abs()).max_by(f64::total_cmp);
    let mean = (!errors_ms.is_empty()).then(|| errors_ms.iter().sum::<f64>() / errors_ms.len() as f64);
    let mut facts = vec![
        ["Trials".into(), format!("{} with an image, {} null", figures.trials, figures.null_trials)],
        ["Length".into(), format!("{} s", number(figures.end_s, 1))],
    ];
    let mut fact = |label: &str, text: String| facts.push([label.into(), text]);
    match &run.facts {
        Some(run) => fact("Ended", if run.complete { "as planned" } else { "before its planned end" }.into()),
        None => fact("Presented by", "another program: its events.json says nothing of triggers and frames".into()),
    }
    if worst.is_some() {
        fact("Onset error", format!("mean {} ms, largest {} ms", number(mean, 3), number(worst, 3)));
    }
    if !figures.sources.is_empty() {
        fact("Onsets measured", figures.sources.join(", "));
    }
    if let Some(flips) = &figures.flips {
        let late = match flips.late_frames {
            0 => "0".into(),
            late => format!("{late}, over which {} passed", counted(flips.missed_refreshes as usize, "refresh")),
        };
        fact("Late frames", late);
        let frame_ms = number(1000.0 / flips.refresh_hz, 3);
        fact("Screen", format!("a refresh every {frame_ms} ms ({} Hz)", number(flips.refresh_hz, 2)));
        let (median, sd) = (number(flips.interval_median_ms, 3), number(flips.interval_sd_ms, 3));
        let range = format!("from {} to {}", number(flips.interval_min_ms, 3), number(flips.interval_max_ms, 3));
        fact("Flip to flip", format!("median {median} ms, SD {sd} ms, {range} ms"));
    }
    if let Some(score) = &figures.score {
        let mut words = format!("{} of {} responded to", score.hits, counted(score.targets as usize, "target"));
        words += &format!(", {}", counted(score.false_alarms as usize, "false alarm"));
        if let Some(d_prime) = score.d_prime {
            words += &format!(", d\u{2032} {}", number(d_prime, 2));
        }
        if let Some(mean_s) = score.mean_response_time_s {
            words += &format!(", mean response time {} ms", number(1000.0 * mean_s, 0));
        }
        fact("Task", words);
    }
    if let Some(trigger) = &figures.trigger {
        let (verdict, received) = (trigger.verdict.name(), figures.pulses_s.len());
        let TriggerFacts { expected_pulses, source, .. } = trigger;
        fact("Trigger", format!("{verdict}: {received} of {expected_pulses} pulses from {source}"));
    }
    RunPage {
        id: format!("run-{}", k + 1),
        emulated: run.facts.as_ref().is_some_and(|facts| facts.emulated),
        facts,
        reasons: figures.trigger.iter().flat_map(|trigger| trigger.verdict.faults()).map(Fault::to_string).collect(),
        raster: raster(&shown),
        flips: (figures.frame_ms().filter(|_| !run.flip_intervals_ms.is_empty()))
            .map(|frame_ms| flip_intervals(&name, &run.flip_intervals_ms, frame_ms)),
        errors: (!errors.is_empty()).then(|| onset_errors(&name, errors, figures.end_s, figures.frame_ms())),
        name,
    }
}

fn participants(findings: &Findings, colors: &LayerColors) -> Vec<ParticipantPage> {
    findings.participants.iter().enumerate().map(|(k, p)| participant_page(k, p, findings, colors)).collect()
}

fn participant_page(k: usize, p: &Participant, findings: &Findings, colors: &LayerColors) -> ParticipantPage {
    let layers = findings.set.models().layers();
    let analysis = &p.analysis;
    let view = AxialView::new(p.grid.dims, p.grid.affine);
    let over = view.clone().over(p.anatomy.as_ref().map(|anatomy| &anatomy.on_maps[..]));
    let values = p.similarities.iter().flat_map(|map| &map.values).map(|&value| f64::from(value));
    let scale = Scale::holding(values);
    let voxels = p.mask.iter().filter(|&&inside| inside).count();
    let mean_of = |layer: &Layer| analysis.layers.iter().find(|figures| figures.layer == *layer);

    let mut rows = Vec::new();
    let best = |voxel: usize| p.best[voxel].map(|layer| colors.get(layer));
    if let Some(truth) = &p.truth {
        let planted = |voxel: usize| truth.planted[voxel].map(|layer| colors.get(layer));
        let found = move |voxel: usize| truth.planted[voxel].and_then(|_| best(voxel));
        rows.push(Row { label: "planted".into(), note: "the truth".into(), paint: Box::new(planted) });
        rows.push(Row { label: "best layer".into(), note: "in planted regions".into(), paint: Box::new(found) });
    }
    rows.push(Row { label: "best layer".into(), note: "everywhere".into(), paint: Box::new(best) });
    let name = p.label();
    let layer_map = mosaic(
        &format!("layer-map-{}", k + 1),
        &format!("Layer map of {name}"),
        "For each voxel the layer whose RSM is most similar to that of the searchlight.",
        &over,
        &p.mask,
        SLICES,
        &rows,
    );
    let similarity_row = |map: &'_ crate::report::layer_map::LayerMap| {
        let values = map.values.clone();
        let largest = mean_of(&layers[map.layer]).and_then(|figures| figures.max);
        Row {
            label: layers[map.layer].to_string(),
            note: largest.map_or("undefined".into(), |largest| format!("max {largest:.2}")),
            paint: Box::new(move |voxel: usize| Some(scale.color(f64::from(values[voxel])))),
        }
    };
    let rows: Vec<Row> = p.similarities.iter().map(similarity_row).collect();
    let similarity_maps = mosaic(
        &format!("similarity-maps-{}", k + 1),
        &format!("Similarity maps of {name}"),
        "A row for each layer: the second-order similarity of the searchlight's RSM and the layer's, at each voxel.",
        &view,
        &p.mask,
        SLICES,
        &rows,
    );
    let line = |(k, layer): (usize, &Layer)| {
        let figures = mean_of(layer);
        let best = figures.and_then(|figures| figures.best_voxels);
        LayerLine {
            layer: layer.to_string(),
            color: colors.get(k).hex(),
            mean: figure(figures.and_then(|figures| figures.mean)),
            max: figure(figures.and_then(|figures| figures.max)),
            best_voxels: best.map_or("–".into(), |count| count.to_string()),
            best_share: percent(best.map(|count| count as f64 / voxels.max(1) as f64)),
        }
    };
    let method = similarity(&analysis.second_order);
    let [x, y, z] = p.grid.voxel_size_mm().map(|mm| number(mm, 2));
    let mut words = format!("{voxels} voxels of {x} x {y} x {z} mm were analyzed; RSMs were compared by {method}.");
    if let Some(radius_mm) = analysis.radius_mm {
        let full =
            analysis.full_sphere_voxels.map_or(String::new(), |count| format!(" ({count} voxels where it is full)"));
        words += &format!(" A searchlight had a radius of {} mm{full}.", number(radius_mm, 2));
    }
    if let Some(undefined) = analysis.undefined_centres.filter(|&undefined| undefined > 0) {
        words +=
            &format!(" In {undefined} of them the similarity is undefined: they are grey, or white in the layer map.");
    }
    ParticipantPage {
        id: format!("participant-{}", k + 1),
        emulated: analysis.emulated == Some(true),
        words,
        layers: layers.iter().enumerate().map(line).collect(),
        layer_map,
        similarity_maps,
        similarity_bar: color_bar(scale, &format!("second-order similarity ({method})")),
        recovery: recovery(p, findings, colors),
        no_recovery: match &p.truth {
            None => "No simulated truth: recovery is not defined.".into(),
            Some(_) => {
                "The planted regions are known, but the analysis did not compare its layer map with them.".into()
            }
        },
        name,
    }
}

fn recovery(p: &Participant, findings: &Findings, colors: &LayerColors) -> Option<Recovery> {
    let regions = p.analysis.recovery.as_ref()?;
    let layers = findings.set.models().layers();
    let bar = |region: &crate::report::participant::Recovered| Bar {
        label: region.layer.to_string(),
        value: region.share,
        note: percent(region.share),
        color: colors.get(layers.iter().position(|layer| *layer == region.layer).unwrap_or(usize::MAX)),
    };
    let each: Vec<Bar> = regions.iter().map(bar).collect();
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, percent(share)));
    let figure = bars(
        &format!("Recovery of the planted regions of {}", p.label()),
        "For each layer the share of its planted region's voxels in which it is the best.",
        &each,
        1.0,
        &ticks,
        Some((RECOVERED, "80 %")),
    );
    let line = |region: &crate::report::participant::Recovered| {
        let found = (region.share * region.voxels as f64).round();
        let verdict = if region.share >= RECOVERED { "found" } else { "not found" };
        [region.layer.to_string(), region.voxels.to_string(), number(found, 0), verdict.into()]
    };
    Some(Recovery { noise: noise(p), figure, regions: regions.iter().map(line).collect() })
}

/// The noise of a simulation in a sentence.
fn noise(p: &Participant) -> String {
    let Some(truth) = &p.truth else {
        return "The noise is not stated: there is no file of the simulation.".into();
    };
    let inner = truth.settings.get("settings");
    let setting = |key: &str| truth.settings.get(key).or_else(|| inner?.get(key)).and_then(Value::as_f64);
    let mut words = match truth.cnr() {
        Some(cnr) => format!(
            "The contrast-to-noise ratio was {}: the SD of a voxel's response over images, divided by the SD of its noise \
             over time",
            number(cnr, 3)
        ),
        None => "The simulation does not state its contrast-to-noise ratio".into(),
    };
    if let Some(ar1) = setting("ar1") {
        words += &format!("; autocorrelation of the noise {}", number(ar1, 3));
    }
    if let Some(fwhm) = setting("noise_fwhm_mm") {
        words += &format!("; its smoothness {} mm FWHM", number(fwhm, 2));
    }
    if let Some(tr_s) = setting("tr_s") {
        words += &format!("; TR {} s", number(tr_s, 3));
    }
    words + "."
}

fn facts(findings: &Findings, summary: &Summary) -> Vec<[String; 2]> {
    let manifest = findings.set.manifest();
    let mut facts: Vec<[String; 2]> = Vec::new();
    let mut fact = |label: &str, text: String| facts.push([label.into(), text]);
    fact("Report", format!("{} on {}", summary.versions["report"], crate::study::Provenance::here().system));
    fact("Image set", format!("{} on {}", summary.versions["image_set"], manifest.provenance.system));
    fact("SHA-256 of images.toml", findings.set.sha256().into());
    let weights = match manifest.network.weights {
        Weights::Trained => "trained",
        Weights::Untrained => "UNTRAINED",
        Weights::Module => "a TorchScript module",
    };
    fact("Network", format!("{}, {weights}", manifest.network.name));
    fact("SHA-256 of the weights", manifest.network.weights_sha256.clone());
    match &manifest.synthesis {
        Some(synthesis) => {
            fact("Seed of the synthesis", synthesis.seed.0.to_string());
            fact("Synthesized on", format!("{}, {}", synthesis.device, counted(synthesis.threads as usize, "thread")));
        }
        None => fact("Synthesis", "none: these are images that existed before, measured as they are".into()),
    }
    if let Some(maps) = &findings.maps_made_by {
        fact("Maps", maps.clone());
    }
    for p in &findings.participants {
        if let Some(seed) = p.truth.as_ref().and_then(|truth| truth.settings.get("seed")) {
            fact(&format!("Seed of the simulation, {}", p.label()), seed.to_string());
        }
    }
    for run in findings.runs() {
        if let Some(seed) = run.facts.as_ref().and_then(|facts| facts.more.get("seed")) {
            fact(&format!("Seed of the order, {}", run.name), seed.to_string());
        }
    }
    facts
}

fn details(findings: &Findings) -> Result<Vec<Details>, Error> {
    let mut details = Vec::new();
    let mut add = |heading: String, text: String| details.push(Details { heading, text });
    if let Some(synthesis) = &findings.set.manifest().synthesis {
        let manifest = findings.set.folder().join("images.toml");
        let text = toml::to_string(&synthesis.recipe).map_err(|e| Error::content(&manifest, e.to_string()))?;
        add("Recipe of the images, as used".into(), text.trim().into());
    }
    for run in findings.runs() {
        let Some(facts) = &run.facts else { continue };
        let mut more = facts.more.clone();
        if let Some(protocol) = more.shift_remove("protocol") {
            add(format!("Protocol of {}, as used", run.name), outline(&protocol));
        }
        if !more.is_empty() {
            add(format!("What the presenting program says of {}", run.name), outline(&Value::Object(more)));
        }
    }
    for p in &findings.participants {
        let mut analysis = p.analysis_text.clone();
        if let Some(plan) = analysis.as_object_mut().and_then(|entries| entries.shift_remove("plan")) {
            add(format!("Plan of the analysis of {}, as used", p.label()), outline(&plan));
        }
        add(format!("Figures of the analysis of {}", p.label()), outline(&analysis));
        if let Some(truth) = &p.truth {
            add(format!("Simulation of {}, as used", p.label()), outline(&json!(truth.settings)));
        }
    }
    Ok(details)
}

fn hashes(findings: &Findings) -> Vec<[String; 2]> {
    findings.set.manifest().images.iter().map(|image| [image.file.clone(), image.sha256.clone()]).collect()
}
