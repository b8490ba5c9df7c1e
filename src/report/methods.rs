//! A methods paragraph for a paper, generated from what was used: recipe, protocol, plan, versions.

use serde::Deserialize;
use serde_json::Value;

use crate::report::belonging::brief_hash;
use crate::report::comparison::{Comparison, ComparisonFigures};
use crate::report::participant::{Participant, PresentedRun};
use crate::report::sources::Findings;
use crate::report::summary::Summary;
use crate::report::text::{counted, figure, number, percent, similarity};
use crate::rsa::Reading;
use crate::study::Weights;

const GOOGLENET: &str = "Szegedy C, Liu W, Jia Y, et al. (2015). Going deeper with convolutions. CVPR, 1\u{2013}9.";
const RSA: &str = "Kriegeskorte N, Mur M, Bandettini P (2008). Representational similarity analysis: connecting the branches of \
                   systems neuroscience. Frontiers in Systems Neuroscience 2:4.";
const SEARCHLIGHT: &str = "Kriegeskorte N, Goebel R, Bandettini P (2006). Information-based functional brain mapping. PNAS \
                           103:3863\u{2013}3868.";
const LAYER_IMAGES: &str =
    "Synthesizing images to map neural networks to the human brain. bioRxiv 10.1101/2025.11.25.689428.";
const SIGN_FLIPS: &str = "Nichols TE, Holmes AP (2002). Nonparametric permutation tests for functional neuroimaging: a primer with \
                          examples. Human Brain Mapping 15:1\u{2013}25.";
const TFCE: &str = "Smith SM, Nichols TE (2009). Threshold-free cluster enhancement. NeuroImage 44:83\u{2013}98.";
const BOOTSTRAP: &str = "Efron B, Tibshirani RJ (1993). An Introduction to the Bootstrap. Chapman & Hall.";
const EQUIVALENCE: &str = "Schuirmann DJ (1987). A comparison of the two one-sided tests procedure and the power approach for assessing the \
                           equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 15:657\u{2013}680.";
const DETECTION: &str = "Hautus MJ (1995). Corrections for extreme proportions and their biasing effects on estimated values of d'. \
                         Behavior Research Methods 27:46\u{2013}51.";

/// A methods section in paragraphs, and what it refers to.
pub struct Methods {
    /// Each begins with what it is about.
    pub paragraphs: Vec<String>,
    /// In the order of their first author.
    pub references: Vec<&'static str>,
}

/// The methods of a study as it was done. What its files do not say is not said.
pub fn methods(findings: &Findings, summary: &Summary) -> Methods {
    let mut references = vec![RSA, LAYER_IMAGES];
    let mut paragraphs = vec![images(findings, summary, &mut references)];
    paragraphs.extend(findings.runs().next().map(|run| presentation(run, findings, summary, &mut references)));
    if let Some(first) = findings.participants.first() {
        paragraphs.extend(first_level(first));
        paragraphs.push(searchlight(first, &mut references));
        let differ =
            findings.participants.iter().any(|p| p.analysis_text.get("plan") != first.analysis_text.get("plan"));
        if differ {
            paragraphs.push(format!("[The participants' plans differ: this is that of {}.]", first.label()));
        }
    }
    paragraphs.extend(
        findings.groups.first().map(|group| group_analysis(&group.plan, group.participants(), &mut references)),
    );
    paragraphs.extend(findings.comparison.as_ref().map(|compared| comparison(compared, &mut references)));
    let versions: Vec<String> = summary.versions.iter().map(|(what, version)| format!("{version} ({what})")).collect();
    paragraphs.push(format!("Software: {}.", versions.join(", ").replace('_', " ")));
    references.sort_unstable();
    Methods { paragraphs, references }
}

fn images(findings: &Findings, summary: &Summary, references: &mut Vec<&'static str>) -> String {
    let manifest = findings.set.manifest();
    let network = &manifest.network;
    let mut named = network.name.clone();
    if named.to_lowercase().contains("googlenet") {
        references.push(GOOGLENET);
        named += " (Szegedy et al. 2015)";
    }
    let mut words = format!(
        "Images. We used {} images of {} x {} pixels",
        manifest.images.len(),
        manifest.size_px[0],
        manifest.size_px[1]
    );
    match (&manifest.synthesis, &manifest.selection) {
        (Some(made), _) => {
            words += &format!(
                ", synthesized so that the representational similarity matrices (RSMs) of the layers of {} differ from each other \
                 as much as possible (seed {}, images of step {}, {} on {})",
                named, made.seed.0, made.step, made.precision, made.device
            );
        }
        (None, Some(chosen)) => {
            words += &format!(
                ", chosen from {} so that the representational similarity matrices (RSMs) of the layers of {} differ from each other",
                counted(chosen.candidates as usize, "candidate"),
                named
            );
        }
        (None, None) => words += &format!(", measured with {named}"),
    }
    let weights = match network.weights {
        Weights::Trained => "trained weights",
        Weights::Untrained => "UNTRAINED weights",
        Weights::Module => "module",
    };
    words += &format!(
        "; {weights} with SHA-256 {}. An RSM holds the Pearson correlations of a layer's activations between all pairs of images \
         (Kriegeskorte et al. 2008), measured on the image files. Over {}, the layers' RSMs had a mean absolute correlation of {}",
        brief_hash(&network.weights_sha256),
        counted(manifest.figures.layers.len(), "layer"),
        figure(summary.layer_similarity_mean_abs)
    );
    if let Some(natural) = summary.natural_layer_similarity_mean_abs {
        words += &format!(" ({}: {})", summary.natural_images, figure(natural));
    }
    words += &format!(
        "; the largest was {}. The SD of an RSM over pairs of images was {} on average",
        figure(summary.layer_similarity_max_abs),
        figure(summary.spread_mean)
    );
    if let (Some(keep), Some(identified)) = (summary.stability_keep_min, summary.stability_identified_min) {
        let most = if identified == 1.0 {
            "every layer was most like itself".into()
        } else {
            format!("at least {} of the layers were most like themselves", percent(identified))
        };
        words += &format!(
            ". Under held-out disturbances of the images RSMs correlated with the clean ones by at least {}, and {most}",
            figure(keep)
        );
    }
    words + "."
}

fn presentation(
    run: &PresentedRun,
    findings: &Findings,
    summary: &Summary,
    references: &mut Vec<&'static str>,
) -> String {
    let people = counted(findings.participants.len(), "participant");
    let mut words = format!("Presentation. {people} saw {} trials in {}", summary.trials, counted(summary.runs, "run"));
    if summary.null_trials > 0 {
        words += &format!(", and {} without an image", summary.null_trials);
    }
    let Some(facts) = &run.facts else {
        return words + "; how they were presented is not in the files.";
    };
    words += &format!(" (TR {} s)", number(facts.tr_s, 3));
    let protocol = facts.more.get("protocol");
    let setting = |path: &[&str]| path.iter().try_fold(protocol?, |value, key| value.get(key));
    let seconds = |key: &str| setting(&["trials", key]).and_then(Value::as_f64);
    if let (Some(image_s), Some(soa_s)) = (seconds("image_s"), seconds("soa_s")) {
        words +=
            &format!("; an image was shown for {} s, a trial began every {} s", number(image_s, 3), number(soa_s, 3));
    }
    if let Some(repetitions) = seconds("repetitions") {
        words += &format!(", each image came {} times in a run", number(repetitions, 0));
    }
    let size = facts.more.get("image_deg").and_then(Value::as_array);
    if let Some([Some(width), Some(height)]) =
        size.map(|size| [0, 1].map(|axis| size.get(axis).and_then(Value::as_f64)))
    {
        words += &format!(". Images measured {} x {} degrees of visual angle", number(width, 2), number(height, 2));
    }
    if let (Some(mean), Some(most)) = (summary.onset_error_mean_ms, summary.onset_error_max_abs_ms) {
        let (mean, most) = (number(mean, 2), number(most, 2));
        words +=
            &format!(". Onsets lay {mean} ms after their plan on average, and nowhere further than {most} ms from it");
    }
    if let (Some(hits), Some(targets), Some(d_prime)) = (summary.hits, summary.targets, summary.d_prime_mean) {
        references.push(DETECTION);
        words += &format!(
            ". Participants responded to {hits} of {targets} targets (d\u{2032} = {}, log-linear correction, Hautus 1995)",
            number(d_prime, 2)
        );
    }
    if summary.emulated == Some(true) {
        words += ". THE SCANNER WAS EMULATED: these are no data of a person";
    }
    words + "."
}

fn first_level(p: &Participant) -> Option<String> {
    let plan = p.analysis_text.get("plan")?.get("first_level")?;
    let text = |key: &str| plan.get(key).and_then(Value::as_str);
    let amount = |key: &str| plan.get(key).and_then(Value::as_f64);
    let mut words =
        "First level. The preprocessed series [state how, and the version] were modelled with a general linear model"
            .to_owned();
    words += match text("noise") {
        Some("ar1") => ", prewhitened with a first-order autoregressive model of the noise",
        _ => ", estimated by ordinary least squares",
    };
    words += match text("estimate") {
        Some("lss") | Some("lss_two_regressor") | Some("lsa") => {
            ". Each trial had a response of its own, averaged for each image"
        }
        _ => ". Each image had one regressor",
    };
    if let Some(hrf) = text("hrf") {
        let name = if hrf == "spm" { "SPM" } else { hrf };
        words += &format!(", convolved with the canonical response of {name}");
        if let Some(derivatives) = text("derivatives").filter(|&derivatives| derivatives != "none") {
            words += &format!(" with derivatives ({derivatives})");
        }
    }
    if let Some(hz) = amount("high_pass_hz").filter(|&hz| hz > 0.0) {
        words += &format!(". Drifts slower than {} s were removed with cosines", number(1.0 / hz, 0));
    }
    let confounds: Vec<&str> =
        plan.get("confounds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !confounds.is_empty() {
        words += &format!("; confounds: {}", confounds.join(", "));
    }
    if let Some(motion) = text("motion") {
        words += &format!("; motion parameters: {motion}");
    }
    if let Some(count) = amount("acompcor") {
        words += &format!("; {} anatomical CompCor components", number(count, 0));
    }
    if let Some(fd_mm) = amount("censor_fd_mm") {
        words += &format!("; volumes with a framewise displacement above {} mm were censored", number(fd_mm, 2));
    }
    if let Some(fwhm_mm) = amount("smoothing_fwhm_mm") {
        words += &format!("; series were smoothed with {} mm FWHM", number(fwhm_mm, 2));
    }
    Some(words + ".")
}

fn searchlight(p: &Participant, references: &mut Vec<&'static str>) -> String {
    references.push(SEARCHLIGHT);
    let analysis = &p.analysis;
    let plan = p.analysis_text.get("plan");
    let of_searchlight = |key: &str| plan?.get("searchlight")?.get(key)?.as_str();
    let extent = match (analysis.radius_mm, analysis.full_sphere_voxels) {
        (Some(radius), Some(count)) => {
            format!(" of {} mm radius ({count} voxels where it was full)", number(radius, 2))
        }
        (Some(radius), None) => format!(" of {} mm radius", number(radius, 2)),
        _ => String::new(),
    };
    let mut words = format!(
        "Searchlight. Around each voxel of the brain mask, a searchlight{extent} (Kriegeskorte et al. 2006) gave an RSM of response \
         patterns"
    );
    if let Some(first_order) = of_searchlight("first_order") {
        words += &format!(" ({})", similarity(first_order));
    }
    words += &format!(
        ", which was compared with each layer's by {} of the upper triangles",
        similarity(&analysis.second_order)
    );
    let readings = p.analysis_text.get("residual").and_then(Value::as_array).into_iter().flatten();
    let reading = |found: &Value| Reading::deserialize(found.get("reading")?).ok();
    let readings: Vec<&str> = readings.filter_map(reading).map(Reading::words).collect();
    if !readings.is_empty() {
        words += &format!("; besides, layers' RSMs were taken by themselves: {}", readings.join(", "));
    }
    if let Some(count) = plan.and_then(|plan| plan.get("permutations")?.get("count")?.as_u64()) {
        words += &format!("; p values by {count} permutations of the images");
    }
    words + "."
}

fn group_analysis(plan: &Value, participants: usize, references: &mut Vec<&'static str>) -> String {
    references.push(SIGN_FLIPS);
    let setting = |key: &str| plan.get(key);
    let mut words = format!("Group. The maps of {} were tested against 0", counted(participants, "participant"));
    if setting("fisher_z").and_then(Value::as_bool) == Some(true) {
        words += " after Fisher's z transformation";
    }
    if let Some(flips) = setting("flips").and_then(Value::as_u64) {
        words += &format!(
            " by sign flips (at most {flips}; Nichols and Holmes 2002), corrected for voxels by the largest t"
        );
    }
    if setting("tfce").is_some_and(|tfce| !tfce.is_null()) {
        references.push(TFCE);
        words += ", and with threshold-free cluster enhancement (Smith and Nichols 2009)";
    }
    if let Some(alpha) = setting("alpha").and_then(Value::as_f64) {
        words += &format!("; alpha = {}", number(alpha, 4));
    }
    words + "."
}

fn comparison(compared: &Comparison, references: &mut Vec<&'static str>) -> String {
    references.push(BOOTSTRAP);
    let ComparisonFigures { plan, paired, methods, statements, .. } = &compared.figures;
    let names: Vec<&str> = methods.iter().map(|method| method.method.as_str()).collect();
    let drawn = if *paired { "drawn together in all methods" } else { "drawn apart in each method" };
    let mut words = format!(
        "Comparison of methods. The overlap between the layers' maps (Dice, mean over pairs of layers) was compared between methods ({}), \
         with intervals that hold {} of {} bootstrap resamples of participants, {drawn} (Efron and Tibshirani 1993)",
        names.join(", "),
        percent(plan.interval),
        plan.resamples
    );
    if statements.len() > 1 {
        references.push(EQUIVALENCE);
        words += &format!(
            "; overlaps were called comparable where two one-sided tests (Schuirmann 1987) put their difference within {}",
            number(plan.equivalence_margin, 3)
        );
    }
    format!("{words}; alpha = {}.", number(plan.alpha, 4))
}
