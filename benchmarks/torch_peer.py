"""pytorch-cka on the same ResNets, weights and images; run by engine.py with a Python that has torch and pytorch-cka.

    python torch_peer.py INPUT.npz OUTPUT.npz

INPUT holds the images and the weights of both networks; OUTPUT the second call's seconds, the peak memory in bytes, the
matrix, and with ``reference`` set in INPUT the matrix of the equations in float64 on the same activations.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import torch
from cka import compute_cka
from torch import nn

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


class Bottleneck(nn.Module):
    def __init__(self, before: int, channels: int, stride: int, first: bool):
        super().__init__()
        self.c1, self.b1, self.r1 = nn.Conv2d(before, channels, 1, stride), bn(channels), nn.ReLU()
        self.c2, self.b2, self.r2 = nn.Conv2d(channels, channels, 3, padding=1), bn(channels), nn.ReLU()
        self.c3, self.b3, self.out = nn.Conv2d(channels, 4 * channels, 1), bn(4 * channels), nn.ReLU()
        self.first = first
        if first:
            self.c0, self.b0 = nn.Conv2d(before, 4 * channels, 1, stride), bn(4 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.r1(self.b1(self.c1(x)))
        y = self.b3(self.c3(self.r2(self.b2(self.c2(y)))))
        return self.out((self.b0(self.c0(x)) if self.first else x) + y)


def bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1.001e-5)


class ResNet(nn.Module):
    def __init__(self, blocks: tuple[int, ...]):
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(3, 64, 7, 2, padding=3), bn(64), nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.ModuleList()
        before = 64
        for stage, count in enumerate(blocks):
            channels = 64 * 2**stage
            for block in range(count):
                self.stages.append(Bottleneck(before, channels, 2 if stage and not block else 1, not block))
                before = 4 * channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.bn(self.conv(x))))
        for stage in self.stages:
            x = stage(x)
        return x.mean((2, 3))


def load(name: str, data: dict[str, np.ndarray]) -> ResNet:
    """The Keras network's weights, by the names of its layers."""
    net = ResNet(BLOCKS[name])

    def put(module: nn.Module, layer: str) -> None:
        values = [
            torch.from_numpy(data[f"{name}/{layer}/{i}"].copy()) for i in range(4) if f"{name}/{layer}/{i}" in data
        ]
        with torch.no_grad():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(values[0].permute(3, 2, 0, 1))
                module.bias.copy_(values[1])
            else:
                for target, value in zip(
                    (module.weight, module.bias, module.running_mean, module.running_var), values, strict=True
                ):
                    target.copy_(value)

    put(net.conv, "conv1_conv")
    put(net.bn, "conv1_bn")
    index = 0
    for stage, count in enumerate(BLOCKS[name], start=2):
        for block in range(1, count + 1):
            module = net.stages[index]
            for step in "0123":
                if getattr(module, f"c{step}") is not None:
                    put(getattr(module, f"c{step}"), f"conv{stage}_block{block}_{step}_conv")
                    put(getattr(module, f"b{step}"), f"conv{stage}_block{block}_{step}_bn")
            index += 1
    return net.eval()


def layer_names(net: ResNet) -> list[str]:
    return [name for name, module in net.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.ReLU))]


def main(source: str, target: str) -> None:
    data = dict(np.load(source))
    images = torch.from_numpy(data["images"].transpose(0, 3, 1, 2).copy())
    a, b = load("resnet50", data), load("resnet101", data)
    names_a, names_b = layer_names(a), layer_names(b)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=len(images))
    for _ in range(2):
        started = time.perf_counter()
        matrix = compute_cka(a, b, loader, layers=names_a, model2_layers=names_b, progress=False)[0].numpy()
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"seconds": seconds, "peak": peak, "matrix": matrix}
    if "reference" in data:
        result["reference"] = reference(a, names_a, b, names_b, images)
    np.savez(target, **result)


def reference(a: ResNet, names_a: list[str], b: ResNet, names_b: list[str], images: torch.Tensor) -> np.ndarray:
    def units(net: ResNet, names: list[str]) -> np.ndarray:
        rows: dict[str, np.ndarray] = {}
        hooks = [
            net.get_submodule(name).register_forward_hook(
                lambda m, i, out, name=name: rows.update({name: centred(out)})
            )
            for name in names
        ]
        with torch.no_grad():
            net(images)
        for hook in hooks:
            hook.remove()
        return np.stack([rows[name] for name in names])

    u, v = units(a, names_a), units(b, names_b)
    return u @ v.T / np.sqrt(np.outer((u * u).sum(1), (v * v).sum(1)))


def centred(out: torch.Tensor) -> np.ndarray:
    """U(K~) flattened, in float64."""
    x = out.reshape(len(out), -1).double()
    x = x - x.mean(0)
    k = (x @ x.T).numpy()
    n = len(k)
    np.fill_diagonal(k, 0)
    rows = k.sum(1)
    k = k - rows[:, None] / (n - 2) - rows[None, :] / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k.ravel()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
