"""Writes further_network.pt, the TorchScript module that the tests of further networks load: its forward returns a tuple.

python further_network.py  (made with PyTorch 2.13)
"""

from pathlib import Path

import torch
import torch.nn.functional as F


class Toy(torch.nn.Module):
    def forward(self, images):
        activations = F.softplus(images * 2.0)
        # A map, a vector for each image, and a number, which is no activation of a layer.
        return activations, activations.mean([2, 3]), activations.sum()


torch.jit.script(Toy()).save(str(Path(__file__).with_name("further_network.pt")))
