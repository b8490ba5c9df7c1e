#!/usr/bin/env python3
"""The figures of a folder of PNGs, computed a second time with numpy alone.

    fingerprint.py FOLDER WEIGHTS.safetensors

prints as JSON what `layerprint fingerprint` measures on the images as they are, and under the views that have no chance in
them: a blur of 1.5 px, a contrast of 0.6, resampling down by 1.5 and back. The network, the views and the figures are
written anew from their definitions (docs/methods.md), so that a mistake in the program is not repeated here. Needs numpy
and Pillow; the weights are those of `layerprint weights`.
"""

import json
import math
import os
import pathlib
import sys

# Numpy's threads wait for each other by spinning: beside other tests they are many times slower than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy
from PIL import Image

LAYERS = {
    "conv1": "conv1/7x7_s2",
    "conv2_reduce": "conv2/3x3_reduce",
    "conv2": "conv2/3x3",
    **{block: f"inception_{block}/output" for block in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]},
}
MEAN_BGR = numpy.array([104, 117, 123], numpy.float32).reshape(3, 1, 1)


def read_weights(path):
    """The tensors of a safetensors file: a length, a JSON header of that length, then the values."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = numpy.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def convolution(weights, name, x, stride=1, padding=0):
    """A convolution with its bias and ReLU over (channels, height, width): one product for each place in the kernel."""
    kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    size = kernel.shape[2]
    # Numpy is fast with whole matrices only.
    kernel = numpy.ascontiguousarray(kernel.transpose(2, 3, 0, 1))
    x = numpy.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height, width = ((length - size) // stride + 1 for length in x.shape[1:])
    total = numpy.zeros((len(bias), height * width), numpy.float32)
    for i in range(size):
        for j in range(size):
            seen = x[:, i : i + stride * (height - 1) + 1 : stride, j : j + stride * (width - 1) + 1 : stride]
            total += kernel[i, j] @ seen.reshape(len(x), -1)
    return numpy.maximum(total + bias[:, None], 0).reshape(-1, height, width)


def max_pooling(x, stride, padding):
    """Over 3 x 3; the output is rounded up, as Caffe does, but no window begins outside of the map."""
    ends = []
    for length in x.shape[1:]:
        count = math.ceil((length + 2 * padding - 3) / stride) + 1
        if (count - 1) * stride >= length + padding:
            count -= 1
        ends.append(count)
    height, width = ends
    missing = [max(0, (count - 1) * stride + 3 - length - padding) for count, length in zip(ends, x.shape[1:])]
    x = numpy.pad(x, ((0, 0), (padding, missing[0]), (padding, missing[1])), constant_values=-numpy.inf)
    windows = [
        x[:, i : i + stride * (height - 1) + 1 : stride, j : j + stride * (width - 1) + 1 : stride]
        for i in range(3)
        for j in range(3)
    ]
    return numpy.max(windows, axis=0)


def normalization(x):
    """Local response normalization over five neighbouring channels, as Caffe defines it."""
    squares = numpy.pad(x.astype(numpy.float64) ** 2, ((2, 2), (0, 0), (0, 0)))
    near = sum(squares[k : k + len(x)] for k in range(5))
    return (x / (1 + 1e-4 / 5 * near) ** 0.75).astype(numpy.float32)


def activations(weights, image):
    """The 12 layers' activations for one image (3, height, width) of red, green, blue, 0 to 1."""
    x = (image[::-1] * 255).astype(numpy.float32) - MEAN_BGR
    found = {}
    found["conv1"] = x = convolution(weights, "conv1/7x7_s2", x, 2, 3)
    x = normalization(max_pooling(x, 2, 0))
    found["conv2_reduce"] = x = convolution(weights, "conv2/3x3_reduce", x)
    found["conv2"] = x = convolution(weights, "conv2/3x3", x, 1, 1)
    x = normalization(x)
    for block in list(LAYERS)[3:]:
        if block in ("3a", "4a", "5a"):
            x = max_pooling(x, 2, 0)
        name = f"inception_{block}"
        three = convolution(weights, f"{name}/3x3_reduce", x)
        five = convolution(weights, f"{name}/5x5_reduce", x)
        branches = [
            convolution(weights, f"{name}/1x1", x),
            convolution(weights, f"{name}/3x3", three, 1, 1),
            convolution(weights, f"{name}/5x5", five, 1, 2),
            convolution(weights, f"{name}/pool_proj", max_pooling(x, 1, 1)),
        ]
        found[block] = x = numpy.concatenate(branches)
    return found


def blurred(images, sd):
    """A Gaussian that ends at three SDs, the image mirrored at its edge (the edge's pixels once)."""
    radius = math.ceil(3 * sd)
    kernel = numpy.exp(-0.5 * (numpy.arange(-radius, radius + 1) / sd) ** 2)
    kernel /= kernel.sum()
    for axis in (2, 3):
        around = [(radius, radius) if k == axis else (0, 0) for k in range(4)]
        padded = numpy.pad(images, around, mode="reflect")
        length = images.shape[axis]
        images = sum(w * padded.take(range(k, k + length), axis) for k, w in enumerate(kernel))
    return images


def resized(images, height, width):
    """Bilinear; a triangle as wide as the sampling distance where the image gets smaller, which is its antialiasing."""

    def matrix(before, after):
        ratio = before / after
        support = max(ratio, 1)
        centres = (numpy.arange(after) + 0.5) * ratio
        weights = 1 - abs(numpy.arange(before) + 0.5 - centres[:, None]) / support
        weights = numpy.maximum(weights, 0)
        return weights / weights.sum(1, keepdims=True)

    return matrix(images.shape[2], height) @ images @ matrix(images.shape[3], width).T


def resampled(images, factor):
    height, width = images.shape[2:]
    smaller = resized(images, round(height / factor), round(width / factor))
    return resized(smaller, height, width)


def layer_rsms(weights, images):
    """For each layer the upper triangle of the images' Pearson correlations, row by row."""
    patterns = {layer: [] for layer in LAYERS}
    for image in images:
        for layer, found in activations(weights, image).items():
            patterns[layer].append(found.ravel())
    pairs = numpy.triu_indices(len(images), 1)
    return numpy.array([numpy.corrcoef(numpy.array(p, numpy.float64))[pairs] for p in patterns.values()])


def average_ranks(values):
    return numpy.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def similarity(rsms):
    """Mean and largest absolute correlation of two layers' RSMs."""
    found = abs(numpy.corrcoef(rsms)[numpy.triu_indices(len(rsms), 1)])
    return found.mean(), found.max()


def figures(weights, images):
    clean = layer_rsms(weights, images)
    mean, largest = similarity(clean)
    spearman_mean, spearman_largest = similarity([average_ranks(rsm) for rsm in clean])
    views = {"blur": blurred(images, 1.5), "contrast": (images - 0.5) * 0.6 + 0.5, "resampled_down": resampled(images, 1.5)}
    result = {
        "layer_similarity_mean_abs": mean,
        "layer_similarity_max_abs": largest,
        "layer_similarity_spearman_mean_abs": spearman_mean,
        "layer_similarity_spearman_max_abs": spearman_largest,
        "layer": [{"name": n, "mean": r.mean(), "spread": r.std()} for n, r in zip(LAYERS, clean)],
        "view": [],
        "rsm": dict(zip(LAYERS, clean.tolist())),
    }
    for name, seen in views.items():
        rsms = layer_rsms(weights, seen)
        mean, largest = similarity(rsms)
        spearman_mean, _ = similarity([average_ranks(rsm) for rsm in rsms])
        between = numpy.corrcoef(clean, rsms)[: len(clean), len(clean) :]
        keep = between.diagonal()
        result["view"].append(
            {
                "name": name,
                "mean_abs": mean,
                "max_abs": largest,
                "spearman_mean_abs": spearman_mean,
                "keep_min": keep.min(),
                "keep_mean": keep.mean(),
                "identified": (between.argmax(0) == numpy.arange(len(clean))).mean(),
                "keep": keep.tolist(),
            }
        )
    return result


def main():
    folder, weights = sys.argv[1:]
    names = sorted(path for path in pathlib.Path(folder).iterdir() if path.suffix == ".png")
    images = numpy.stack([numpy.asarray(Image.open(name).convert("RGB")) for name in names]) / 255
    json.dump(figures(read_weights(weights), images.transpose(0, 3, 1, 2)), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
