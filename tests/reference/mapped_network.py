"""Writes mapped_network.pt and the modules beside it that are no networks to be mapped, for the tests of other networks.

python mapped_network.py  (made with PyTorch 2.13)
"""

from pathlib import Path
from typing import Dict

import torch
import torch.nn.functional as F
from torch import nn


class Toy(nn.Module):
    """Three layers with names that no file system likes, a vector, dropout that must be off, and outputs that are no layers."""

    def __init__(self):
        super().__init__()
        # A rule, no chance: the k-th value of a tensor is sin(k).
        self.kernels = nn.ParameterList(
            nn.Parameter(torch.arange(float(n * m * 9)).sin().view(n, m, 3, 3) / (9 * m) ** 0.5)
            for n, m in [(6, 3), (8, 6), (8, 8)]
        )

    def forward(self, images: torch.Tensor) -> Dict[str, torch.Tensor]:
        found: Dict[str, torch.Tensor] = {}
        x = (images - 0.45) / 0.25
        for k, kernel in enumerate(self.kernels):
            x = F.dropout(F.relu(F.conv2d(x, kernel, stride=2, padding=1)), 0.5, self.training)
            found["stage" + str(k) + ".0/conv:relu"] = x
        found["head"] = F.softplus(x.mean(2)).flatten(1)
        found["whole"] = x.sum()
        found["head_"] = found["head"]
        return found




folder = Path(__file__).parent
torch.jit.script(Toy()).save(str(folder / "mapped_network.pt"))
torch.jit.script(Toy().half()).save(str(folder / "mapped_network_half.pt"))
