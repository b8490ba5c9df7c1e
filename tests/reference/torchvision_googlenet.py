"""Writes torchvision_googlenet.json: what torchvision's GoogLeNet makes of two images, for the test of layerprint's own.

python torchvision_googlenet.py  (made with PyTorch 2.13, torchvision 0.29)

No weights travel with it: every value follows from the name of its tensor and its place there, on both sides.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torchvision.models import GoogLeNet

MEAN, SD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def values(name, shape, low, high):
    """Numbers from low to high that look random: the name begins a count, of which each number is a hash."""
    start = 0
    for byte in name.encode():
        start = (start * 31 + byte) % 2**32
    count = int(np.prod(shape))
    hashed = (np.arange(count, dtype=np.uint64) + start) * 2654435761 % 2**32
    hashed = (hashed ^ (hashed >> 15)) * 2246822519 % 2**32
    hashed ^= hashed >> 13
    return torch.from_numpy(low + (high - low) * (hashed / 2.0**32)).float().view(shape)


def drawn(name, tensor):
    shape = list(tensor.shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith(("bn.weight", "running_var")):
        return values(name, shape, 0.5, 1.5)
    if len(shape) == 1:
        return values(name, shape, -0.5, 0.5)
    half = (6 / np.prod(shape[1:])) ** 0.5
    return values(name, shape, -half, half)


network = GoogLeNet(aux_logits=False, transform_input=True, init_weights=False).eval()
network.load_state_dict({name: drawn(name, tensor) for name, tensor in network.state_dict().items()})

blocks = {block: getattr(network, f"inception{block}") for block in "3a 3b 4a 4b 4c 4d 4e 5a 5b".split()}
modules = {"conv1": network.conv1, "conv2_reduce": network.conv2, "conv2": network.conv3} | blocks
modules |= {"3a/pool_proj:linear": blocks["3a"].branch4[1].bn, "4a/5x5": blocks["4a"].branch3}
modules |= {"5b/3x3_reduce": blocks["5b"].branch2[0]}
found = {}
for tap, module in modules.items():
    module.register_forward_hook(lambda module, inputs, output, tap=tap: found.update({tap: output.clone()}))

images = values("images", [2, 3, 96, 80], 0.0, 1.0)
with torch.no_grad():
    network((images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(SD).view(1, 3, 1, 1))


def figures(tensor):
    flat = tensor.double().flatten()
    return {
        "shape": list(tensor.shape),
        "mean": flat.mean().item(),
        "sd": flat.std(unbiased=False).item(),
        "max": flat.max().item(),
        "last8": flat[-8:].tolist(),
        "middle8": flat[len(flat) // 2 :][:8].tolist(),
    }


text = json.dumps({tap: figures(found[tap]) for tap in modules}, indent=1)
(Path(__file__).parent / "torchvision_googlenet.json").write_text(text + "\n")
