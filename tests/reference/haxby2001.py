#!/usr/bin/env python3
"""What established tools find in subject 1 of Haxby et al. 2001, for what `layerprint analyze` finds there.

    haxby2001.py DATA --write FOLDER           the numbers that the tests hold the program to
    haxby2001.py DATA MAPS CROSSNOBIS REGIONS  the largest difference from every map and table of the program

DATA is the dataset; MAPS, CROSSNOBIS and REGIONS are the outputs for experiments/haxby2001 (its README has the commands).
The first level is nilearn's (design, AR(1), contrasts, fixed effects), distances between runs, their covariance, the
whitened cosine and noise ceilings are rsatoolbox's, correlations scipy's. Spheres, residuals and permutations are written
anew from their definitions (docs/methods.md), so that a mistake in the program is not repeated here. Made with numpy 2.4.6,
scipy 1.17.1, pandas 3.1.1, nibabel 5.4.2, nilearn 0.14.1 and rsatoolbox 0.3.2.
"""

import argparse
import itertools
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
HERE = pathlib.Path(__file__).resolve().parent
EXPERIMENT = HERE.parent.parent / "experiments" / "haxby2001"
STEM = "sub-001_task-objectviewing"
RUNS, TR_S, RADIUS_MM, FULL, LEAST = 12, 2.5, 8.5, 65, 13
CONTRASTS = {
    "facesVsHouses": {"face": 1, "house": -1},
    "animateVsInanimate": dict(
        face=3, cat=3, bottle=-1, chair=-1, house=-1, scissors=-1, scrambledpix=-1, shoe=-1
    ),
}
# Every how many voxels one is written down.
EVERY = 11


def read_models():
    table = pandas.read_csv(EXPERIMENT / "models.tsv", sep="\t")
    images = [table.image_a[0], *table.image_b[: (table.image_a == table.image_a[0]).sum()]]
    return images, {name: table[name].to_numpy() for name in table.columns[2:]}


def first_level(data, images, noise):
    """For each run: responses (images x voxels), residuals (volumes x voxels) and contrasts; the mask."""
    func = data / "derivatives" / "fmriprep" / "sub-001" / "func"
    name = lambda run, ending: f"{STEM}_run-{run:02d}_{ending}"
    masks = [nibabel.load(func / name(run, "desc-brain_mask.nii.gz")) for run in range(1, RUNS + 1)]
    mask = numpy.all([image.get_fdata() > 0 for image in masks], 0)
    found = []
    for run in range(1, RUNS + 1):
        series = nibabel.load(func / name(run, "desc-preproc_bold.nii.gz")).get_fdata()[mask].T
        events = pandas.read_csv(data / "sub-001" / "func" / name(run, "events.tsv"), sep="\t")
        confounds = pandas.read_csv(func / name(run, "desc-confounds_timeseries.tsv"), sep="\t")
        design = make_first_level_design_matrix(
            numpy.arange(len(series)) * TR_S,
            events,
            hrf_model="spm",
            drift_model="cosine",
            high_pass=1 / 128,
            add_regs=confounds.to_numpy(),
            add_reg_names=list(confounds),
        )
        labels, results = run_glm(series, design.to_numpy(), noise_model=noise)
        theta = numpy.zeros((design.shape[1], series.shape[1]))
        for label, result in results.items():
            theta[:, labels == label] = result.theta
        columns = [list(design.columns).index(image) for image in images]
        contrasts = {}
        for contrast, weights in CONTRASTS.items():
            vector = [weights.get(column, 0) for column in design.columns]
            contrasts[contrast] = compute_contrast(labels, results, numpy.array(vector, float), stat_type="t")
        found.append((theta[columns], series - design.to_numpy() @ theta, contrasts))
    return mask, masks[0].affine, found


def spheres(mask, affine):
    positions = nibabel.affines.apply_affine(affine, numpy.argwhere(mask))
    distances = numpy.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return [numpy.flatnonzero(row <= RADIUS_MM * (1 + 1e-5)) for row in distances]


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


def crossnobis_of(places, runs, images, models):
    noise = numpy.vstack([run[1] for run in runs])
    rdms = RDMs(1 - numpy.array(list(models.values())))
    found, split_half = [], []
    for voxels in places:
        precision = prec_from_residuals(noise[:, voxels], method="shrinkage_diag")
        whole, odd, even = [distances(part, voxels, precision, images) for part in (runs, runs[::2], runs[1::2])]
        found.append(compare(whole, rdms, method="cosine_cov")[0])
        split_half.append(compare(odd, even, method="cosine_cov")[0, 0])
    found = dict(zip((f"stat-whitenedcosine_desc-{name}" for name in models), numpy.array(found).T))
    return found | {"stat-splithalf_desc-reliability": numpy.array(split_half)}


def of_contrasts(runs):
    found = {}
    for name in CONTRASTS:
        total = sum((run[2][name] for run in runs[1:]), runs[0][2][name])
        found |= {
            f"contrast-{name}_stat-effect": total.effect_size().ravel() / RUNS,
            f"contrast-{name}_stat-variance": total.effect_variance().ravel() / RUNS**2,
            f"contrast-{name}_stat-t": total.stat().ravel(),
            f"contrast-{name}_stat-z": total.z_score().ravel(),
        }
    return found


def at_spheres(of, around, *more):
    """What is found at the centres that have voxels enough; NaN elsewhere."""
    enough = numpy.array([len(voxels) >= LEAST for voxels in around])
    found = of([voxels for voxels, is_enough in zip(around, enough) if is_enough], *more)
    for name, values in found.items():
        found[name] = numpy.full(len(around), numpy.nan)
        found[name][enough] = values
    return found


def region_rows(found, names):
    """As the program's table of regions: one row for each region, model and reading."""
    rows = []
    for region, label in enumerate(("left", "right")):
        words = {"": "plain", "allothers": "residual on all other layers", "partial": "partial correlation"}
        for reading, word in words.items():
            for name in names:
                value = lambda stat: found.get(f"stat-spearman{reading}{stat}_desc-{name}", [numpy.nan] * 2)[region]
                stats = {column: value(stat) for column, stat in zip(("p", "p_fwe", "p_fwe_all"), ("p", "pfwe", "pfweall"))}
                rows.append(dict(region=label, layer=name, reading=word, similarity=value("")) | stats)
    reliability = [
        dict(
            region=label,
            split_half=found["stat-splithalf_desc-reliability"][region],
            ceiling_lower=found["stat-ceilinglower_desc-reliability"][region],
            ceiling_upper=found["stat-ceilingupper_desc-reliability"][region],
        )
        for region, label in enumerate(("left", "right"))
    ]
    return pandas.DataFrame(rows), pandas.DataFrame(reliability)


def difference(found, expected):
    """The largest, absolute and as a share of the value; NaN has to stand where NaN is expected."""
    assert (numpy.isnan(found) == numpy.isnan(expected)).all(), "undefined at other places"
    apart = numpy.abs(found - expected)
    return numpy.nanmax(apart, initial=0), numpy.nanmax(apart / numpy.maximum(numpy.abs(expected), 1e-6), initial=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("outputs", type=pathlib.Path, nargs="*", metavar="MAPS CROSSNOBIS REGIONS")
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()

    images, models = read_models()
    mask, affine, runs = first_level(arguments.data, images, "ar1")
    around = spheres(mask, affine)
    maps = of_contrasts(runs) | at_spheres(spearman_of, around, runs, images, models)
    for image, values in zip(images, numpy.mean([run[0] for run in runs], 0)):
        maps[f"desc-beta {image}"] = values
    _, _, ordinary = first_level(arguments.data, images, "ols")
    crossnobis = at_spheres(crossnobis_of, around, ordinary, images, models)
    side = numpy.argwhere(mask)[:, 0] < 20
    regions = spearman_of([numpy.flatnonzero(side), numpy.flatnonzero(~side)], runs, images, models)
    similarity, reliability = region_rows(regions, list(models))

    if arguments.write:
        voxels = numpy.argwhere(mask)
        chosen = slice(0, len(voxels), EVERY)
        for name, found in (("maps", maps), ("crossnobis", crossnobis)):
            table = pandas.DataFrame(dict(zip("ijk", voxels[chosen].T)) | {k: v[chosen] for k, v in found.items()})
            path = arguments.write / f"haxby2001_{name}.tsv"
            table.to_csv(path, sep="\t", index=False, float_format="%.12g", na_rep="n/a")
        for name, table in (("similarity", similarity), ("reliability", reliability)):
            path = arguments.write / f"haxby2001_{name}.tsv"
            table.to_csv(path, sep="\t", index=False, float_format="%.12g", na_rep="n/a")
    if not arguments.outputs:
        return
    for folder, found in zip(arguments.outputs, (maps, crossnobis)):
        for name, expected in found.items():
            stem, _, image = name.partition(" ")
            loaded = nibabel.load(folder / "sub-001" / "func" / f"{STEM}_{stem}_statmap.nii.gz")
            assert (loaded.affine == affine).all(), "another affine"
            values = loaded.get_fdata()
            values = values[..., images.index(image)] if image else values
            assert numpy.isnan(values[~mask]).all(), "values outside the mask"
            print(f"{folder.name}\t{name}\t{{:.1e}}\t{{:.1e}}".format(*difference(values[mask], expected)))
    func = arguments.outputs[2] / "sub-001" / "func"
    for name, expected in (("similarity", similarity), ("reliability", reliability)):
        found = pandas.read_csv(func / f"{STEM}_desc-regions_{name}.tsv", sep="\t", na_values="n/a")
        for column in expected.columns:
            if expected[column].dtype == float:
                key = [c for c in ("region", "layer", "reading") if c in expected]
                both = expected.merge(found, on=key, suffixes=("", "_found"), validate="1:1")
                assert len(both) == len(expected) == len(found), "other rows"
                values = both[f"{column}_found"].to_numpy(float), both[column].to_numpy()
                print(f"regions\t{column}\t{{:.1e}}\t{{:.1e}}".format(*difference(*values)))


if __name__ == "__main__":
    main()
