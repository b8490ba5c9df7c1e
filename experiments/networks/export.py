"""Writes a network as a TorchScript module that layerprint can map: its forward takes images as they are shown (n, 3, height,
width; red, green, blue; 0 to 1), does the network's own preprocessing, and returns a dict of activations by layer.

    python export.py torchvision.models:googlenet googlenet.pt         # also resnet50, alexnet
    python export.py torchvision.models:resnet50 resnet50.pt --layers layer1.0,layer2.0,layer3.0,layer4.0
    python export.py cornet:cornet_s cornet_s.pt --layers V1,V2,V4,IT  # any function that returns a network
    python export.py cornet:cornet_rt cornet_rt.pt --layers V1,V2,V4,IT --last-call
    python export.py torchvision.models:alexnet untrained.pt --untrained 1

torchvision's networks come with its default weights, others as their function makes them, with pretrained=True where it has
that argument; or untrained, their weights drawn from a seed, to try things out. A layer is a submodule by its name
(`network.named_modules()`), in the order of tables and figures; of one that puts out several tensors the first. Needs PyTorch.
What is not called by a function without other arguments is exported from Python: `export(network, layers, path)`.
"""

import argparse
import importlib
import inspect

import torch
from torch import nn

# Of red, green, blue, 0 to 1: what torchvision's networks and CORnet were trained with.
MEAN, SD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

LAYERS = {
    "googlenet": ["conv1", "conv2", "conv3"] + [f"inception{block}" for block in "3a 3b 4a 4b 4c 4d 4e 5a 5b".split()],
    "resnet50": ["relu"] + [f"layer{stage}.{block}" for stage, count in enumerate([3, 4, 6, 3], 1) for block in range(count)],
    "alexnet": ["features.1", "features.4", "features.7", "features.9", "features.11", "classifier.2", "classifier.5"],
}


class Named(nn.Module):
    """A network that returns what some of its submodules put out, by their names."""

    def __init__(self, network, layers, mean, sd, last_call):
        super().__init__()
        self.network, self.layers, self.found, self.last_call = network, layers, {}, last_call
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("sd", torch.tensor(sd).view(1, 3, 1, 1))
        modules = dict(network.named_modules())
        for layer in layers:
            if layer not in modules:
                raise SystemExit(f"the network has no {layer}; it has {', '.join(name for name in modules if name)}")
            modules[layer].register_forward_hook(self.keep(layer))

    def keep(self, layer):
        def hook(module, inputs, output):
            # A module may be called several times. A copy is kept, for what comes next may be a ReLU that works in place.
            if self.last_call or layer not in self.found:
                self.found[layer] = (output[0] if isinstance(output, (tuple, list)) else output).clone()

        return hook

    def forward(self, images):
        self.found.clear()
        self.network((images - self.mean) / self.sd)
        return {layer: self.found[layer] for layer in self.layers}


def export(network, layers, path, mean=MEAN, sd=SD, size_px=224, last_call=False):
    """Writes the network as it answers after its training, and checks that the file does so for other images too. Of a module
    that is called several times the first call counts, or the last."""
    if isinstance(network, nn.DataParallel):
        network = network.module
    named = Named(network.cpu().float(), layers, mean, sd, last_call).eval().requires_grad_(False)
    chance = torch.Generator().manual_seed(0)
    images, others = (torch.rand(count, 3, size_px, size_px, generator=chance) for count in (2, 3))
    with torch.no_grad():
        # strict=False: a dict may be returned.
        module = torch.jit.trace(named, images, strict=False, check_trace=False)
        found, expected = module(others), named(others)
    assert list(found) == layers
    for layer in layers:
        if not torch.allclose(found[layer], expected[layer], rtol=1e-4, atol=1e-5):
            raise SystemExit(f"{layer}: the module answers otherwise than the network")
    module.save(path)


def main():
    parser = argparse.ArgumentParser(description="Export a network's layers as TorchScript.")
    parser.add_argument("network", help="MODULE:FUNCTION")
    parser.add_argument("out")
    parser.add_argument("--layers", help="names of submodules, with commas between them")
    parser.add_argument("--last-call", action="store_true", help="of a layer that is called several times the last call counts")
    parser.add_argument("--untrained", type=int, metavar="SEED", help="weights drawn from a seed")
    parser.add_argument("--size-px", type=int, default=224)
    arguments = parser.parse_args()
    place, name = arguments.network.split(":")
    make = getattr(importlib.import_module(place), name)
    options = {}
    if place.startswith("torchvision."):
        options["weights"] = "DEFAULT" if arguments.untrained is None else None
        if name == "googlenet":
            # transform_input is torchvision's way back to the mean and SD that this network was trained with.
            options |= {"transform_input": True} | ({"init_weights": True} if arguments.untrained is not None else {})
    else:
        # CORnet's functions make untrained networks unless they are asked for others.
        known = {"pretrained": arguments.untrained is None, "map_location": "cpu"}
        options = {name: value for name, value in known.items() if name in inspect.signature(make).parameters}
    if arguments.untrained is not None:
        torch.manual_seed(arguments.untrained)
    layers = arguments.layers.split(",") if arguments.layers else LAYERS.get(name)
    if layers is None:
        raise SystemExit(f"--layers is needed: no layers of {name} are known")
    export(make(**options), layers, arguments.out, size_px=arguments.size_px, last_call=arguments.last_call)


if __name__ == "__main__":
    main()
