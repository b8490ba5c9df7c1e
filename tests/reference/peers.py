"""What established tools find in preprocessed series, for what `layerprint analyze` finds there.

The first level is nilearn's (design, AR(1), contrasts, fixed effects), distances between runs, their covariance, whitened
cosines, rank correlations and noise ceilings are rsatoolbox's, Spearman's correlation scipy's. Spheres, residuals and
permutations are written anew from their definitions (docs/methods.md), so that a mistake in the program is not repeated here.
Made with numpy 2.4.6, scipy 1.17.1, pandas 3.1.1, nibabel 5.4.2, nilearn 0.14.1 and rsatoolbox 0.3.2.
"""

import dataclasses
import itertools
import math
import pathlib
import warnings

import nibabel
import numpy
import pandas
from nilearn.glm import compute_contrast
from nilearn.glm.first_level import make_first_level_design_matrix, run_glm
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import prec_from_residuals
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, calc_rdm, compare
from scipy.stats import rankdata, spearmanr

warnings.filterwarnings("ignore")


@dataclasses.dataclass
class Study:
    """One participant's runs of a task, and how they are analyzed."""

    data: pathlib.Path
    task: str
    runs: int
    tr_s: float
    models: pathlib.Path
    contrasts: dict
    radius_mm: float
    min_coverage: float
    hrf: str = "spm"

    @property
    def stem(self):
        return f"sub-001_task-{self.task}"

    def raw(self, run, ending):
        return self.data / "sub-001" / "func" / f"{self.stem}_run-{run:02d}_{ending}"

    def derived(self, run, ending):
        folder = self.data / "derivatives" / "fmriprep" / "sub-001" / "func"
        return folder / f"{self.stem}_run-{run:02d}_{ending}"


def read_models(study):
    """The images, and the upper triangle of each model."""
    table = pandas.read_csv(study.models, sep="\t")
    images = [table.image_a[0], *table.image_b[: (table.image_a == table.image_a[0]).sum()]]
    return images, {name: table[name].to_numpy() for name in table.columns[2:]}


def mask_of(study):
    """The voxels in the masks of all runs whose course is finite and varies in each."""
    found = True
    for run in range(1, study.runs + 1):
        image = nibabel.load(study.derived(run, "desc-brain_mask.nii.gz"))
        series = nibabel.load(study.derived(run, "desc-preproc_bold.nii.gz")).get_fdata()
        found = found & (image.get_fdata() > 0) & numpy.isfinite(series).all(-1) & (numpy.ptp(series, -1) > 0)
    return found, image.affine


def design_of(study, run, events, volumes):
    confounds = pandas.read_csv(study.derived(run, "desc-confounds_timeseries.tsv"), sep="\t")
    return make_first_level_design_matrix(
        numpy.arange(volumes) * study.tr_s,
        events,
        hrf_model=study.hrf,
        drift_model="cosine",
        high_pass=1 / 128,
        add_regs=confounds.to_numpy(),
        add_reg_names=list(confounds),
    )


def series_and_events(study, mask, run):
    series = nibabel.load(study.derived(run, "desc-preproc_bold.nii.gz")).get_fdata()[mask].T
    return series, pandas.read_csv(study.raw(run, "events.tsv"), sep="\t")


def first_level(study, mask, images, noise):
    """For each run: responses (images x voxels), residuals (volumes x voxels) and contrasts."""
    found = []
    for run in range(1, study.runs + 1):
        series, events = series_and_events(study, mask, run)
        design = design_of(study, run, events, len(series))
        labels, results = run_glm(series, design.to_numpy(), noise_model=noise)
        theta = numpy.zeros((design.shape[1], series.shape[1]))
        for label, result in results.items():
            theta[:, labels == label] = result.theta
        columns = [list(design.columns).index(image) for image in images]
        contrasts = {}
        for contrast, weights in study.contrasts.items():
            vector = [weights.get(column, 0) for column in design.columns]
            contrasts[contrast] = compute_contrast(labels, results, numpy.array(vector, float), stat_type="t")
        found.append((theta[columns], series - design.to_numpy() @ theta, contrasts))
    return found


def single_trials(study, mask, run):
    """The response to each trial in percent, in a model of its own beside the images without it."""
    series, events = series_and_events(study, mask, run)
    found = []
    for trial in range(len(events)):
        separate = events.copy()
        separate.loc[trial, "trial_type"] = "this trial"
        design = design_of(study, run, separate, len(series))
        weights = numpy.linalg.pinv(design.to_numpy())[list(design.columns).index("this trial")]
        found.append(100 * (weights @ series) / series.mean(0))
    return numpy.array(found)


def spheres(study, mask, affine):
    """The voxels around each one, by their places in the mask, and how many a full sphere has."""
    radius = study.radius_mm * (1 + 1e-5)
    positions = nibabel.affines.apply_affine(affine, numpy.argwhere(mask))
    distances = numpy.linalg.norm(positions[:, None] - positions[None], axis=-1)
    reach = math.ceil(study.radius_mm / min(numpy.linalg.svd(affine[:3, :3])[1])) + 1
    offsets = numpy.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    full = (numpy.linalg.norm(offsets @ affine[:3, :3].T, axis=1) <= radius).sum()
    return [numpy.flatnonzero(row <= radius) for row in distances], full


def upper(matrix):
    return matrix[numpy.triu_indices(len(matrix), 1)]


def unit(values):
    values = values - values.mean(-1, keepdims=True)
    return values / numpy.linalg.norm(values, axis=-1, keepdims=True)


def residuals(vectors):
    found = []
    for own in range(len(vectors)):
        others = numpy.column_stack([numpy.ones(vectors.shape[1]), numpy.delete(vectors, own, 0).T])
        found.append(vectors[own] - others @ numpy.linalg.lstsq(others, vectors[own], rcond=None)[0])
    return numpy.array(found)


def partial(rsm, vectors):
    """The correlation with each vector, all others given."""
    found = []
    for own in range(len(vectors)):
        others = numpy.column_stack([numpy.ones(vectors.shape[1]), numpy.delete(vectors, own, 0).T])
        left = [v - others @ numpy.linalg.lstsq(others, v, rcond=None)[0] for v in (rsm, vectors[own])]
        found.append(unit(left[0]) @ unit(left[1]))
    return numpy.array(found)


def spearman_of(places, runs, images, models):
    """For centres given by their voxels: every value and every p, as columns by the name that the program gives them."""
    names, vectors = list(models), numpy.array(list(models.values()))
    ranks = rankdata(vectors, axis=1)
    betas = numpy.mean([run[0] for run in runs], 0)
    rsm = lambda patterns, voxels: upper(numpy.corrcoef(patterns[:, voxels]))
    neural = numpy.array([rsm(betas, voxels) for voxels in places])
    targets = {"": unit(ranks), "allothers": unit(residuals(ranks))}
    found = {}
    for column, name in enumerate(names):
        found[f"stat-spearman_desc-{name}"] = numpy.array([spearmanr(v, vectors[column])[0] for v in neural])
    partials = numpy.array([partial(rankdata(v), ranks) for v in neural])
    pairs = list(itertools.combinations(range(len(images)), 2))
    place = {pair: at for at, pair in enumerate(pairs)}
    orders = numpy.array(list(itertools.permutations(range(len(images)))))
    turn = numpy.array([[place[tuple(sorted((o[i], o[j])))] for i, j in pairs] for o in orders])
    units = unit(rankdata(neural, axis=1))
    for reading, weights in targets.items():
        largest = []
        for column, name in enumerate(names):
            score = units @ weights[column]
            found[f"stat-spearman{reading}_desc-{name}"] = score
            under = units @ weights[column][turn].T
            largest.append(under.max(0))
            found[f"stat-spearman{reading}p_desc-{name}"] = (under >= score[:, None] - 1e-10).mean(1)
            fwe = (largest[-1][None] >= score[:, None] - 1e-10).mean(1)
            found[f"stat-spearman{reading}pfwe_desc-{name}"] = fwe
        over_all = numpy.max(largest, 0)
        for name in names:
            score = found[f"stat-spearman{reading}_desc-{name}"]
            fwe = (over_all[None] >= score[:, None] - 1e-10).mean(1)
            found[f"stat-spearman{reading}pfweall_desc-{name}"] = fwe
    for column, name in enumerate(names):
        found[f"stat-spearmanpartial_desc-{name}"] = partials[:, column]
    halves = [numpy.mean([run[0] for run in runs[first::2]], 0) for first in (0, 1)]
    of_halves = [spearmanr(*[rsm(half, voxels) for half in halves])[0] for voxels in places]
    found["stat-splithalf_desc-reliability"] = numpy.array(of_halves)
    ceilings = []
    for voxels in places:
        rdms = RDMs(
            1 - numpy.array([rsm(run[0], voxels) for run in runs]), rdm_descriptors=dict(run=list(range(len(runs))))
        )
        ceilings.append(boot_noise_ceiling(rdms, method="spearman", rdm_descriptor="run"))
    for bound, values in zip(("lower", "upper"), numpy.array(ceilings).T):
        found[f"stat-ceiling{bound}_desc-reliability"] = values
    return found


def distances(runs, voxels, precision, images):
    """Crossnobis distances of rsatoolbox."""
    dataset = Dataset(
        numpy.vstack([run[0][:, voxels] for run in runs]),
        obs_descriptors=dict(
            image=numpy.tile(numpy.arange(len(images)), len(runs)),
            run=numpy.repeat(numpy.arange(len(runs)), len(images)),
        ),
    )
    return calc_rdm(dataset, method="crossnobis", descriptor="image", cv_descriptor="run", noise=precision)


def crossnobis_of(places, runs, images, models, covariance="shrinkage_diag", second_order="whitenedcosine"):
    """Second-order similarities of crossnobis distances, and of the two halves of the runs where there are four."""
    method = {"whitenedcosine": "cosine_cov", "kendalltaua": "tau-a", "rhoa": "rho-a", "pearson": "corr"}[second_order]
    noise = numpy.vstack([run[1] for run in runs])
    rdms = RDMs(1 - numpy.array(list(models.values())))
    found, split_half = [], []
    for voxels in places:
        precision = prec_from_residuals(noise[:, voxels], method=covariance)
        found.append(compare(distances(runs, voxels, precision, images), rdms, method=method)[0])
        if len(runs) >= 4:
            halves = [distances(half, voxels, precision, images) for half in (runs[::2], runs[1::2])]
            split_half.append(compare(*halves, method=method)[0, 0])
    found = dict(zip((f"stat-{second_order}_desc-{name}" for name in models), numpy.array(found).T))
    return found | ({"stat-splithalf_desc-reliability": numpy.array(split_half)} if split_half else {})


def of_contrasts(runs):
    """Effect, variance, t and z over runs with fixed effects."""
    found = {}
    for name in runs[0][2]:
        total = sum((run[2][name] for run in runs[1:]), runs[0][2][name])
        found |= {
            f"contrast-{name}_stat-effect": total.effect_size().ravel() / len(runs),
            f"contrast-{name}_stat-variance": total.effect_variance().ravel() / len(runs) ** 2,
            f"contrast-{name}_stat-t": total.stat().ravel(),
            f"contrast-{name}_stat-z": total.z_score().ravel(),
        }
    return found


def at_spheres(study, of, around, full, *more):
    """What is found at the centres that have voxels enough; NaN elsewhere."""
    enough = numpy.array([len(voxels) >= math.ceil(study.min_coverage * full - 1e-9) for voxels in around])
    found = of([voxels for voxels, is_enough in zip(around, enough) if is_enough], *more)
    for name, values in found.items():
        found[name] = numpy.full(len(around), numpy.nan)
        found[name][enough] = values
    return found


def everything(study):
    """What the plan with Spearman's correlation asks for, by the name of its map; the mask and its affine; the runs."""
    images, models = read_models(study)
    mask, affine = mask_of(study)
    around, full = spheres(study, mask, affine)
    runs = first_level(study, mask, images, "ar1")
    maps = of_contrasts(runs) | at_spheres(study, spearman_of, around, full, runs, images, models)
    for image, values in zip(images, numpy.mean([run[0] for run in runs], 0)):
        maps[f"desc-beta {image}"] = values
    return maps, mask, affine, runs


def distances_between_runs(study, mask, affine, *choices):
    """What the plan with distances between runs asks for."""
    images, models = read_models(study)
    around, full = spheres(study, mask, affine)
    runs = first_level(study, mask, images, "ols")
    return at_spheres(study, crossnobis_of, around, full, runs, images, models, *choices)


def difference(found, expected):
    """The largest, absolute and as a share of the value; NaN has to stand where NaN is expected."""
    assert (numpy.isnan(found) == numpy.isnan(expected)).all(), "undefined at other places"
    apart = numpy.abs(found - expected)
    return numpy.nanmax(apart, initial=0), numpy.nanmax(apart / numpy.maximum(numpy.abs(expected), 1e-6), initial=0)


def differences(study, folder, maps, mask, affine):
    """The largest differences of the maps in a folder, by name; voxels outside the mask must be undefined."""
    images, _ = read_models(study)
    for name, expected in maps.items():
        stem, _, image = name.partition(" ")
        loaded = nibabel.load(folder / "sub-001" / "func" / f"{study.stem}_{stem}_statmap.nii.gz")
        assert numpy.allclose(loaded.affine, affine, atol=1e-5), "another affine"
        values = loaded.get_fdata()
        values = values[..., images.index(image)] if image else values
        assert numpy.isnan(values[~mask]).all(), "values outside the mask"
        yield name, *difference(values[mask], expected)
