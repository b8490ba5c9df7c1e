#!/usr/bin/env bash
# What each part of the recipe does: synthesizes one small set for every combination of objective, views, start and floor,
# all else equal, and prints a table of their figures. About half an hour on two processors.
#
#     experiments/ablation/ablation.sh OUT [LAYERPRINT ...]
#
# OUT is a new or unfinished folder for the sets; what is done is kept. LAYERPRINT is the program, with options such as
# --threads 2 behind it; by default the one that was built here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?"name a folder for the sets"}
shift
program=("${@:-$here/../../target/release/layerprint}")
mkdir -p "$out"

declare -A OBJECTIVE=(
    [squares]='squares = { weight = 1.0 }'
    [log-det]='log_determinant = { weight = 1.0, ridge = 1e-3 }'
    [soft-max]='soft_max = { weight = 1.0, beta = 20.0 }'
    [mixed]=$'soft_max = { weight = 1.0, beta = 20.0 }\nlog_determinant = { weight = 0.5, ridge = 1e-3 }'
)
declare -A START=([dead-leaves]=dead_leaves.toml [noise]=noise.toml)

for objective in squares log-det soft-max mixed; do
    for views in none views; do
        for start in noise dead-leaves; do
            for floor in none 0.11; do
                name=$objective.$views.$start.$floor
                [ ! -e "$out/$name/images.toml" ] || continue
                {
                    cat "$here/base.toml"
                    cat "$here/${START[$start]}"
                    [ $views = none ] || cat "$here/views.toml"
                    echo '[objective]'
                    echo "${OBJECTIVE[$objective]}"
                    [ $views = none ] || echo 'keep = { weight = 1.0, memory = 0.9 }'
                    [ $floor = none ] || echo "spread = { weight = 5.0, floor = $floor }"
                } >"$out/$name.toml"
                "${program[0]}" synthesize "$out/$name.toml" --out "$out/$name" --resume "${program[@]:1}" >&2
            done
        done
    done
done

python3 - "$out" <<'PY'
import json, pathlib, sys

out = pathlib.Path(sys.argv[1])
print("objective\tviews\tstart\tfloor\tclean_mean\tclean_max\tworst_view_mean\tworst_view_max\tkeep_min\tkeep_mean\tspread_min\tright_1\toff_1")
for objective in ("squares", "log-det", "soft-max", "mixed"):
    for views in ("none", "views"):
        for start in ("noise", "dead-leaves"):
            for floor in ("none", "0.11"):
                figures = json.loads((out / f"{objective}.{views}.{start}.{floor}" / "figures.json").read_text())
                judged = [view for view in figures["view"] if view["judged"]]
                power = next(p for p in figures["power"] if p["predictor"] == "raw" and p["noise_sd"] == 1)
                cells = [
                    figures["layer_similarity_mean_abs"], figures["layer_similarity_max_abs"],
                    max(view["mean_abs"] for view in judged), max(view["max_abs"] for view in judged),
                    min(view["keep_min"] for view in judged),
                    sum(view["keep_mean"] for view in judged) / len(judged),
                    min(layer["spread"] for layer in figures["layer"]), power["right"], power["off_target"],
                ]
                print("\t".join([objective, views, start, floor] + [f"{cell:.3f}" for cell in cells]))
PY
