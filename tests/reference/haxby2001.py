#!/usr/bin/env python3
"""What established tools find in subject 1 of Haxby et al. 2001, for what `layerprint analyze` finds there.

    haxby2001.py DATA --write FOLDER           the numbers that the tests hold the program to
    haxby2001.py DATA MAPS CROSSNOBIS REGIONS  the largest difference from every map and table of the program

DATA is the dataset; MAPS, CROSSNOBIS and REGIONS are the outputs for experiments/haxby2001 (its README has the commands).
peers.py says which tools, and their versions.
"""

import argparse
import pathlib

import numpy
import pandas
import peers

HERE = pathlib.Path(__file__).resolve().parent
EXPERIMENT = HERE.parent.parent / "experiments" / "haxby2001"
CONTRASTS = {
    "facesVsHouses": {"face": 1, "house": -1},
    "animateVsInanimate": dict(
        face=3, cat=3, bottle=-1, chair=-1, house=-1, scissors=-1, scrambledpix=-1, shoe=-1
    ),
}
# Every how many voxels one is written down.
EVERY = 11


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("outputs", type=pathlib.Path, nargs="*", metavar="MAPS CROSSNOBIS REGIONS")
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()

    models = EXPERIMENT / "models.tsv"
    study = peers.Study(arguments.data, "objectviewing", 12, 2.5, models, CONTRASTS, radius_mm=8.5, min_coverage=0.2)
    images, models = peers.read_models(study)
    maps, mask, affine, runs = peers.everything(study)
    crossnobis = peers.distances_between_runs(study, mask, affine)
    side = numpy.argwhere(mask)[:, 0] < 20
    halves = [numpy.flatnonzero(side), numpy.flatnonzero(~side)]
    similarity, reliability = region_rows(peers.spearman_of(halves, runs, images, models), list(models))

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
        for name, absolute, relative in peers.differences(study, folder, found, mask, affine):
            print(f"{folder.name}\t{name}\t{absolute:.1e}\t{relative:.1e}")
    func = arguments.outputs[2] / "sub-001" / "func"
    for name, expected in (("similarity", similarity), ("reliability", reliability)):
        found = pandas.read_csv(func / f"{study.stem}_desc-regions_{name}.tsv", sep="\t", na_values="n/a")
        for column in expected.columns:
            if expected[column].dtype == float:
                key = [c for c in ("region", "layer", "reading") if c in expected]
                both = expected.merge(found, on=key, suffixes=("", "_found"), validate="1:1")
                assert len(both) == len(expected) == len(found), "other rows"
                values = both[f"{column}_found"].to_numpy(float), both[column].to_numpy()
                print(f"regions\t{column}\t{{:.1e}}\t{{:.1e}}".format(*peers.difference(*values)))


if __name__ == "__main__":
    main()
