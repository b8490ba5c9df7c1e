"""The searchlight of the benchmark in numpy: many spheres at a time, float64, as a careful user would write it.

searchlight.py FOLDER tied|untied NX NY NZ: ranks by scipy, which shares them between ties, or by two argsorts, which is
quicker and right only without ties. Reads `patterns` (voxels x 16), `models` (12 x 120) and `voxels` (flat indices, x fastest)
as float64, writes `scores` (voxels x 12), and prints its processor time in seconds and its largest memory in MB.
"""
import resource
import sys
import time

import numpy as np
import scipy.stats

folder, tied, dims = sys.argv[1], sys.argv[2] == "tied", [int(n) for n in sys.argv[3:6]]
RADIUS, IMAGES, CHUNK = 3, 16, 512
patterns = np.fromfile(folder + "/patterns").reshape(-1, IMAGES)
models = np.fromfile(folder + "/models").reshape(12, -1)
voxels = np.fromfile(folder + "/voxels").astype(np.int64)

start = time.process_time()
count = len(voxels)
place = np.full([n + 2 * RADIUS for n in dims[::-1]], count, dtype=np.int32)
inside = np.zeros(np.prod(dims), dtype=bool)
inside[voxels] = True
core = place[RADIUS:-RADIUS, RADIUS:-RADIUS, RADIUS:-RADIUS]
core[inside.reshape(dims[::-1])] = np.arange(count)
centres = np.flatnonzero(place < count)
steps = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1].reshape(3, -1).T
steps = steps[(steps**2).sum(1) <= RADIUS**2] @ [place.shape[1] * place.shape[2], place.shape[2], 1]
place = place.ravel()
padded = np.vstack([patterns, np.zeros(IMAGES)])
pairs = np.triu_indices(IMAGES, 1)


def ranks(values):
    if tied:
        return scipy.stats.rankdata(values, axis=1)
    order = values.argsort(axis=1)
    found = np.empty_like(values)
    np.put_along_axis(found, order, np.arange(values.shape[1], dtype=float)[None], axis=1)
    return found


def standardized(values):
    values = values - values.mean(axis=1, keepdims=True)
    return values / np.sqrt((values**2).sum(axis=1, keepdims=True))


weights = standardized(ranks(models)).T
scores = np.empty((count, len(models)))
for first in range(0, count, CHUNK):
    neighbours = place[centres[first : first + CHUNK, None] + steps]
    there = neighbours < count
    x = padded[neighbours]
    x -= (x.sum(axis=1) / there.sum(axis=1)[:, None])[:, None, :]
    x *= there[:, :, None]
    gram = np.matmul(x.transpose(0, 2, 1), x)
    norms = np.sqrt(np.einsum("cii->ci", gram))
    rsm = gram[:, pairs[0], pairs[1]] / (norms[:, pairs[0]] * norms[:, pairs[1]])
    scores[first : first + CHUNK] = standardized(ranks(rsm)) @ weights
seconds = time.process_time() - start
scores.tofile(folder + "/scores")
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
