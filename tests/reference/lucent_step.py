"""The step of benches/synthesis.rs as a user of lucent would write it in PyTorch: what the table of that benchmark is
compared with. Contiguous memory, nn.LocalResponseNorm, hooks, torch.corrcoef, an FFT parametrization, transforms by
grid_sample, Adam.

python lucent_step.py bvlc_googlenet.safetensors THREADS  (made with PyTorch 2.13)
"""

import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

IMAGES, SIZE, ROUNDS = 16, 224, 7
COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]) / 0.4619
MEAN = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)


def conv(weights, name, stride=1, padding=0):
    weight = weights[f"{name}.weight"]
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride, padding)
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(weights[f"{name}.bias"])
    return nn.Sequential(layer, nn.ReLU(inplace=True))


class Inception(nn.Module):
    def __init__(self, weights, name):
        super().__init__()
        self.one = conv(weights, f"{name}/1x1")
        self.three = nn.Sequential(conv(weights, f"{name}/3x3_reduce"), conv(weights, f"{name}/3x3", padding=1))
        self.five = nn.Sequential(conv(weights, f"{name}/5x5_reduce"), conv(weights, f"{name}/5x5", padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(weights, f"{name}/pool_proj"))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def network(weights):
    """The network, and its 12 layers."""
    pool, norm = lambda: nn.MaxPool2d(3, 2, ceil_mode=True), lambda: nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
    first = [conv(weights, "conv1/7x7_s2", 2, 3), conv(weights, "conv2/3x3_reduce"), conv(weights, "conv2/3x3", padding=1)]
    blocks = {name: Inception(weights, f"inception_{name}") for name in "3a 3b 4a 4b 4c 4d 4e 5a 5b".split()}
    stages = [first[0], pool(), norm(), first[1], first[2], norm()]
    for name, block in blocks.items():
        stages += [pool(), block] if name in ("3a", "4a", "5a") else [block]
    return nn.Sequential(*stages).eval(), first + list(blocks.values())


def images(spectrum):
    """lucent.optvis.param: coefficients over frequency, decorrelated colours, sigmoid."""
    rows, columns = torch.fft.fftfreq(SIZE)[:, None], torch.fft.rfftfreq(SIZE)[None]
    scale = 1.0 / torch.hypot(rows, columns).clamp_min(1.0 / SIZE) ** 1.25
    channels = torch.fft.irfft2(torch.view_as_complex(spectrum) * scale, s=(SIZE, SIZE), norm="ortho")
    return torch.einsum("nchw,kc->nkhw", channels, COLOUR).sigmoid()


def transformed(x):
    """Every image its own shift, scale, rotation, blur, gamma and noise."""
    def draw(low, high):
        return low + torch.rand(IMAGES) * (high - low)
    angle, scale = torch.deg2rad(draw(-5, 5)), draw(0.9, 1.1)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    shift = [draw(-8, 8) * 2 / SIZE for _ in range(2)]
    theta = torch.stack([torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)], 1)
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), padding_mode="reflection", align_corners=False)
    radius = 6
    at = torch.arange(-radius, radius + 1.0)
    kernels = torch.exp(-0.5 * (at / draw(0.05, 2.0)[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)[:, None, None]
    x = F.pad(x, [radius] * 4, mode="reflect").view(1, IMAGES * 3, SIZE + 2 * radius, SIZE + 2 * radius)
    x = F.conv2d(F.conv2d(x, kernels, groups=IMAGES * 3), kernels.transpose(2, 3), groups=IMAGES * 3)
    x = x.view(IMAGES, 3, SIZE, SIZE).clamp_min(1e-4) ** draw(0.7, 1.4).view(-1, 1, 1, 1)
    return (x + torch.randn_like(x) * draw(0, 0.03).view(-1, 1, 1, 1)).clamp(0, 1)


def objective(activations):
    upper = torch.triu_indices(IMAGES, IMAGES, 1)
    rsms = torch.stack([torch.corrcoef(layer.flatten(1))[upper[0], upper[1]] for layer in activations])
    similarity = torch.corrcoef(rsms)
    pairs = torch.triu_indices(len(rsms), len(rsms), 1)
    sizes = similarity[pairs[0], pairs[1]].abs()
    soft_max = (torch.logsumexp(20 * sizes, 0) - torch.log(torch.tensor(float(len(sizes))))) / 20
    log_det = -torch.logdet(similarity + 1e-3 * torch.eye(len(rsms))) / len(rsms)
    flat = (1 - rsms.std(1) / 0.11).relu().square().mean()
    return soft_max + 0.5 * log_det + 5 * flat


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    weights, threads = load_file(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model, layers = network(weights)
    found = [None] * len(layers)
    for k, layer in enumerate(layers):
        layer.register_forward_hook(lambda _module, _input, output, k=k: found.__setitem__(k, output))
    spectrum = torch.randn(IMAGES, 3, SIZE, SIZE // 2 + 1, 2).requires_grad_()
    adam = torch.optim.Adam([spectrum], lr=0.05)

    def step():
        adam.zero_grad()
        model(transformed(images(spectrum)).flip(1) * 255 - MEAN)
        objective(found).backward()
        adam.step()

    print(f"{IMAGES} images of {SIZE} px, {threads} threads, medians of {ROUNDS}")
    for name, trained in [("weights as they come, asking for gradients", True), ("weights frozen", False)]:
        model.requires_grad_(trained)
        step()
        times = []
        for _ in range(ROUNDS):
            cpu, wall = cpu_seconds(), time.perf_counter()
            step()
            times.append((cpu_seconds() - cpu, time.perf_counter() - wall))
        cpu, wall = (statistics.median(column) for column in zip(*times))
        print(f"{name:<46} CPU {cpu:.2f} s  wall {wall:.2f} s a step")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory {peak} MB")


main()
