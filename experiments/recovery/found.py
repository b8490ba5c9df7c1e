"""One simulated group: for each layer what the group's maps say about its planted region. Standard library only."""

import gzip, json, pathlib, struct, sys


def volume(path):
    """The voxels of a 3-D NIfTI image as this program writes them: float32 or int16, little-endian, no scaling."""
    data = gzip.decompress(path.read_bytes())
    count = 1
    for size in struct.unpack_from("<3h", data, 42):
        count *= size
    kind = {4: "h", 16: "f"}[struct.unpack_from("<h", data, 70)[0]]
    return struct.unpack_from(f"<{count}{kind}", data, int(struct.unpack_from("<f", data, 108)[0]))


work, cnr, seed, reading = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
maps = work / "maps"
group = maps / ("group" if reading == "plain" else "group-allothers")
truths = [volume(path) for path in sorted((work / "study/derivatives/simulation").glob("sub-*/func/*_dseg.nii.gz"))]
summary = json.loads(next(group.glob("*_summary.json")).read_text())
people = [json.loads(path.read_text()) for path in sorted(maps.glob("sub-*/func/*_summary.json"))]
# A voxel is a layer's where at least half of the participants have that layer planted.
homes = {}
for voxel, labels in enumerate(zip(*truths)):
    label = max(set(labels), key=labels.count)
    if label and 2 * labels.count(label) >= len(labels):
        homes.setdefault(label, []).append(voxel)

for place, layer in enumerate(summary["layers"], 1):
    label = layer["name"].replace("_", "")
    p = volume(next(group.glob(f"*_stat-pfweall_desc-{label}_statmap.nii.gz")))
    found = {voxel for voxel, value in enumerate(p) if 0 < value <= 0.05}
    own = homes[place]
    share = sum(voxel in found for voxel in own) / len(own)
    others = sum(any(voxel in found for voxel in home) for other, home in homes.items() if other != place)
    smallest = {kind["kind"]: kind["smallest"] for kind in layer["p"]}
    # In how many participants permuted labels leave any searchlight of the layer (the layers as they are only).
    with_some = sum(person["permutations"]["significant_over_layers"][place - 1] > 0 for person in people)
    print(cnr, seed, reading, layer["name"], smallest["pfwe"], smallest["pfweall"], len(found), f"{share:.4f}", others,
          with_some, sep="\t")
