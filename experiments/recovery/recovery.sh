#!/usr/bin/env bash
# Are layers found where they were planted, and nothing where nothing was? Simulates groups of participants, analyzes them as
# a study is analyzed, and prints what was found.
#
#     experiments/recovery/recovery.sh OUT SET CNR FROM TO [LAYERPRINT]
#
# OUT is a folder in which `OUT/study` is a dataset with one run of sub-01 that saw the image set SET (README.md says how to make
# it). Groups with the seeds FROM to TO are simulated at this contrast-to-noise ratio, 0 for none; of each a line goes into
# OUT/found.tsv, and nothing else is kept. Seeds that have their line are left out.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$1 images=$2 cnr=$3 from=$4 to=$5
program=${6:-$here/../../target/release/layerprint}

[ -e "$out/found.tsv" ] || printf 'cnr\tseed\treading\tlayer\tp\tp_over_layers\tvoxels\tregion_share\tother_regions\tparticipants\n' >"$out/found.tsv"
for seed in $(seq "$from" "$to"); do
    ! grep -q "^$cnr	$seed	" "$out/found.tsv" || continue
    work=$(mktemp -d "$out/group.XXXXXX")
    cp -r "$out/study" "$work/study"
    sed "s/^cnr = .*/cnr = $cnr/" "$here/simulation.toml" >"$work/simulation.toml"
    "$program" simulate "$work/simulation.toml" --images "$images" --bids "$work/study" --sub 01 --seed "$seed" >"$work/log" 2>&1
    "$program" analyze "$work/study" "$work/maps" participant --plan "$here/plan.toml" --models "$images" --allow-emulated \
        >"$work/log" 2>&1
    for reading in plain all_others; do
        sed "s/^reading = .*/reading = \"$reading\"/" "$here/plan.toml" >"$work/plan.toml"
        "$program" analyze "$work/study" "$work/maps" group --plan "$work/plan.toml" >"$work/log" 2>&1
        python3 "$here/found.py" "$work" "$cnr" "$seed" "$reading" >>"$work/lines"
    done
    cat "$work/lines" >>"$out/found.tsv"
    rm -r "$work"
done
