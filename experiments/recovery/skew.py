"""How a similarity is distributed where nothing answers, and how often sign flips find something in either tail.

    python3 skew.py layer_rsms.tsv

Draws RSMs of noise over 81 voxels in 112 regions of 20 participants, compares them with every layer (Spearman), and
tests the largest t and the largest -t over layers x regions with 1,024 sign flips, 150 times. Needs numpy and scipy.
"""

import csv
import sys

import numpy as np
from scipy.stats import rankdata, skew

VOXELS, PARTICIPANTS, REGIONS, STUDIES, FLIPS = 81, 20, 112, 150, 1024
chance = np.random.default_rng(1)

rows = list(csv.reader(open(sys.argv[1]), delimiter="\t"))[1:]
images = len({row[0] for row in rows}) + 1
upper = np.triu_indices(images, 1)
models = rankdata(np.array([[float(value) for value in row[2:]] for row in rows]).T, axis=1)
models -= models.mean(1, keepdims=True)
models /= np.linalg.norm(models, axis=1, keepdims=True)


def predicted(model):
    """6 T / sqrt(V), T the sum of w_ij w_jk w_ki over triples of images."""
    whole = np.zeros((images, images))
    whole[upper] = model
    whole += whole.T
    return np.trace(whole @ whole @ whole) / np.sqrt(VOXELS)


signs = chance.choice([-1.0, 1.0], (FLIPS, PARTICIPANTS))
signs[0] = 1
seen, found = [], [0, 0]
for study in range(STUDIES):
    noise = chance.standard_normal((PARTICIPANTS * REGIONS, images, VOXELS), dtype=np.float32)
    noise -= noise.mean(2, keepdims=True)
    noise /= np.linalg.norm(noise, axis=2, keepdims=True)
    # Ties have no chance.
    ranks = (noise @ noise.transpose(0, 2, 1))[:, *upper].argsort(1).argsort(1).astype(float)
    ranks -= ranks.mean(1, keepdims=True)
    z = np.arctanh(ranks @ models.T / np.linalg.norm(ranks[0])).reshape(PARTICIPANTS, -1)
    if study < 20:
        seen.append(z.reshape(-1, len(models)))
    means = signs @ z / PARTICIPANTS
    squares = (z**2).sum(0) - PARTICIPANTS * means**2
    t = means / np.sqrt(squares / (PARTICIPANTS - 1) / PARTICIPANTS)
    for tail, sign in enumerate((1, -1)):
        largest = (sign * t).max(1)
        found[tail] += (largest >= largest[0] - 1e-9).mean() <= 0.05

print("predicted skew", *(f"{predicted(model):.3f}" for model in models))
print("simulated skew", *(f"{value:.3f}" for value in skew(np.concatenate(seen))))
print(f"of {STUDIES} studies, found above 0: {found[0]}, below 0: {found[1]}")
