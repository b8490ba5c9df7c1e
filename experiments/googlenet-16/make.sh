#!/usr/bin/env bash
# Makes the image set that comes with the program: six recipes, each from the images of the one before.
#
#     experiments/googlenet-16/make.sh OUT [LAYERPRINT ...]
#
# OUT is a new or unfinished folder; what is done is kept, what was stopped goes on, and OUT/polish is the set. LAYERPRINT is the
# program, with options such as --threads 2 behind it; by default the one that was built here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?"name a folder for the sets"}
shift
program=("${@:-$here/../../target/release/layerprint}")
program[0]=$(realpath "$(command -v "${program[0]}")")
mkdir -p "$out"
cd "$out"

for name in recipe refine finish soften settle polish; do
    if [ ! -e "$name/images.toml" ]; then
        "${program[0]}" synthesize "$here/$name.toml" --out "$name" --resume "${program[@]:1}"
    fi
    rm -rf start
    mkdir start
    cp "$name"/*.png start/
done
