#!/usr/bin/env python3
"""Studies that nobody has seen, analyzed by the program and by established tools.

    fresh.py PROGRAM FOLDER SEED...

For each seed a small study is made in FOLDER: oblique or mirrored axes, voxels of unequal sides, masks that differ from run
to run and have holes, a voxel without signal, 5 to 7 images, 2 to 5 runs, models with ties, either response. PROGRAM
(`layerprint`) analyzes it by three plans: AR(1), contrasts, Spearman's correlation, two readings of the residual method and
all orders of the labels; crossnobis, with a covariance and a second-order similarity by chance; single trials in percent.
The largest difference of every kind of map from what peers.py finds is printed, as a share of the value (of similarities
and p: absolute). Maps are in single precision, so that 6e-8 is as good as equal.
"""

import collections
import math
import pathlib
import subprocess
import sys

import nibabel
import numpy
import pandas
import peers
from scipy.spatial.transform import Rotation

PLAN = """task = "fresh"
[first_level]
hrf = "{hrf}"
high_pass_hz = 0.0078125
confounds = ["trans_x", "rot_y", "global"]
{first_level}
[searchlight]
radius_mm = {radius_mm}
min_coverage = {min_coverage}
{searchlight}
"""


def make(folder, seed):
    """A study in a folder, and the plans for it by name."""
    rng = numpy.random.default_rng(seed)
    images = [f"image{name}" for name in rng.permutation(rng.integers(5, 8))]
    runs, tr_s, volumes = int(rng.integers(2, 6)), round(rng.uniform(1.2, 2.8), 2), int(rng.integers(90, 130))
    dims = rng.integers([6, 5, 3], [10, 9, 6])
    sides = rng.uniform(2, 4, 3)
    affine = numpy.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ numpy.diag(sides * rng.choice([-1, 1], 3))
    affine[:3, 3] = rng.uniform(-50, 50, 3)
    affine = affine.astype(numpy.float32).astype(float)
    models = pandas.DataFrame(
        [(a, b) for at, a in enumerate(images) for b in images[at + 1 :]], columns=["image_a", "image_b"]
    )
    category = dict(zip(images, numpy.arange(len(images)) % 2))
    models["tied"] = [float(category[a] == category[b]) for a, b in zip(models.image_a, models.image_b)]
    for name in ("graded", "conv1")[: rng.integers(1, 3)]:
        models[name] = rng.uniform(-1, 1, len(models)).round(6)
    folder.mkdir(parents=True)
    models.to_csv(folder / "models.tsv", sep="\t", index=False)
    study = peers.Study(
        data=folder / "data",
        task="fresh",
        runs=runs,
        tr_s=tr_s,
        models=folder / "models.tsv",
        contrasts={"ab": {images[0]: 1, images[-1]: -0.5}},
        radius_mm=round(float(sides.max() * rng.uniform(1.3, 2.2)), 3),
        min_coverage=float(rng.choice([0.25, 0.4, 0.5])),
        hrf=str(rng.choice(["spm", "glover"])),
    )
    patterns = rng.standard_normal((len(images), *dims)) * 8
    for path in (study.raw(1, ""), study.derived(1, "")):
        path.parent.mkdir(parents=True)
    for run in range(1, runs + 1):
        shown = numpy.concatenate([rng.permutation(len(images)) for _ in range(2 + seed % 2)])
        onsets = numpy.round(3 + numpy.cumsum(rng.uniform(5, 0.8 * volumes * tr_s / len(shown), len(shown))), 3)
        events = pandas.DataFrame(
            dict(onset=onsets, duration=rng.choice([0.5, 1, 2], len(shown)), trial_type=[images[k] for k in shown])
        )
        events = events[events.onset < volumes * tr_s - 10]
        events.to_csv(study.raw(run, "events.tsv"), sep="\t", index=False)
        confounds = rng.standard_normal((volumes, 3)).cumsum(0).round(6)
        names = ["trans_x", "rot_y", "global"]
        pandas.DataFrame(confounds, columns=names).to_csv(
            study.derived(run, "desc-confounds_timeseries.tsv"), sep="\t", index=False
        )
        design = peers.design_of(study, run, events, volumes)
        noise = rng.standard_normal((volumes, *dims)) * 3
        for t in range(1, volumes):
            noise[t] += rng.uniform(0.2, 0.4) * noise[t - 1]
        signal = design[[image for image in images]].to_numpy() @ patterns.reshape(len(images), -1)
        series = 500 + signal.reshape(volumes, *dims) + noise
        series = numpy.moveaxis(series, 0, -1)
        series[2, 2, 1] = 500
        kind = rng.choice([numpy.int16, numpy.float32])
        bold = nibabel.Nifti1Image(series.round(0 if kind == numpy.int16 else 9).astype(kind), affine)
        bold.header.set_xyzt_units("mm", "sec")
        bold.header.set_zooms((*bold.header.get_zooms()[:3], tr_s))
        nibabel.save(bold, study.derived(run, "desc-preproc_bold.nii.gz"))
        mask = (rng.random(dims) > 0.05).astype(numpy.uint8)
        nibabel.save(nibabel.Nifti1Image(mask, affine), study.derived(run, "desc-brain_mask.nii.gz"))
        study.derived(run, "desc-preproc_bold.json").write_text(f'{{"RepetitionTime": {tr_s}}}')
    weights = ", ".join(f"{image} = {weight}" for image, weight in study.contrasts["ab"].items())
    covariance = str(rng.choice(["shrinkage_diag", "shrinkage_eye", "diag"]))
    second_order = str(rng.choice(["whitenedcosine", "kendalltaua", "rhoa", "pearson"]))
    spearman = f"""second_order = "spearman"
[residual]
readings = ["all_others", "partial"]
regress = "ranks"
[permutations]
count = {math.factorial(len(images))}
seed = 1"""
    keys = {
        "spearman": (f'noise = "ar1"\ncontrasts = {{ ab = {{ {weights} }} }}', spearman),
        "crossnobis": ("", f'first_order = "crossnobis"\nnoise = "{covariance}"\nsecond_order = "{second_order}"'),
        "trials": ('estimate = "lss"\nsignal = "percent"', 'second_order = "pearson"'),
    }
    for name, (first_level, searchlight) in keys.items():
        text = PLAN.format(
            hrf=study.hrf,
            first_level=first_level,
            radius_mm=study.radius_mm,
            min_coverage=study.min_coverage,
            searchlight=searchlight,
        )
        (folder / f"{name}.toml").write_text(text)
    return study, (covariance, second_order)


def main():
    program, folder, seeds = sys.argv[1], pathlib.Path(sys.argv[2]), [int(seed) for seed in sys.argv[3:]]
    largest = collections.defaultdict(float)
    for seed in seeds:
        place = folder / str(seed)
        study, choices = make(place, seed)
        for plan in ("spearman", "crossnobis", "trials"):
            command = [program, "analyze", study.data, place / plan, "participant", "--models", study.models]
            subprocess.run([*command, "--plan", place / f"{plan}.toml"], check=True, capture_output=True)
        maps, mask, affine, _ = peers.everything(study)
        distances = peers.distances_between_runs(study, mask, affine, *choices)
        of_seed = collections.defaultdict(float)
        for plan, found in (("spearman", maps), ("crossnobis", distances)):
            for name, absolute, relative in peers.differences(study, place / plan, found, mask, affine):
                kind = name.split("_desc-")[0].split(" ")[0].replace("contrast-ab_", "contrast ")
                is_share = name.startswith("stat-")
                kind = f"crossnobis {choices[0]} {kind}" if plan == "crossnobis" else kind
                of_seed[kind] = max(of_seed[kind], absolute if is_share else relative)
        for run in range(1, study.runs + 1):
            file = place / "trials" / "sub-001" / "func" / f"{study.stem}_run-{run:02d}_desc-trial_statmap.nii.gz"
            values = nibabel.load(file).get_fdata()[mask].T
            expected = peers.single_trials(study, mask, run)
            apart = numpy.abs(values - expected).max() / numpy.abs(expected).max()
            of_seed["single trials"] = max(of_seed["single trials"], apart)
        undefined = sum(numpy.isnan(value).sum() for name, value in maps.items() if name == "stat-spearman_desc-tied")
        images, models = peers.read_models(study)
        print(
            f"seed {seed}: {mask.sum()} voxels, {undefined} undefined, {len(images)} images, {study.runs} runs, "
            f"{len(models)} models, {study.hrf}, {' and '.join(choices)}: largest {max(of_seed.values()):.1e}",
            flush=True,
        )
        for kind, value in of_seed.items():
            largest[kind] = max(largest[kind], value)
    for kind, value in sorted(largest.items()):
        print(f"{kind}\t{value:.1e}")


if __name__ == "__main__":
    main()
