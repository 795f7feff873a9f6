"""Two PyTorch models against pytorch-cka: the same models, images and layers, each tool in a process of its own.

    PATH/python benchmarks/torch_models.py            every case, with a Python that has requirements-torch.txt and
                                                      pytorch-cka==1.1.3
    PATH/python benchmarks/torch_models.py --only resnets --images 256 --runs 5

cifar    a ResNet-18 for 32x32 images, compared with another seed of it: 61 x 61 modules
resnets  ResNet50 x ResNet101: 155 x 308 convolutions, batch norms and ReLUs

Of each run the second call counts, the peak is the process'. Both get minibatches of 256 images. The error is the
largest of any cell against the equations in float64 on a float64 copy of the models. On a GPU, if there is one. Where
other work keeps the cores busy, --cpu-time prints the processor time of one thread, which it disturbs least.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

MINIBATCH = 256
TIME, TIME_ON_GPU, MEMORY, ERROR = 0.8, 0.5, 0.5, 1e-3


class Basic(nn.Module):
    grows = 1

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.down = shortcut(before, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + (x if self.down is None else self.down(x)))


class Bottleneck(nn.Module):
    grows = 4

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(channels, 4 * channels, 1, bias=False), nn.BatchNorm2d(4 * channels)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.down = shortcut(before, 4 * channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        return self.relu3(self.bn3(self.conv3(y)) + (x if self.down is None else self.down(x)))


def shortcut(before: int, after: int, stride: int) -> nn.Module | None:
    if before == after and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


class ResNet(nn.Module):
    def __init__(self, block: Any, counts: tuple[int, ...], small: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False) if small else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU()
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        before, stages = 64, []
        for stage, count in enumerate(counts):
            blocks = []
            for number in range(count):
                blocks.append(block(before, 64 << stage, 2 if stage and not number else 1))
                before = block.grows * (64 << stage)
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(before, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


def models(case: str) -> tuple[nn.Module, nn.Module]:
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        if case == "cifar":
            made.append(ResNet(Basic, (2, 2, 2, 2), True))
        else:
            made.append(ResNet(Bottleneck, ((3, 4, 6, 3), (3, 4, 23, 3))[seed], False))
    return made[0].eval(), made[1].eval()


def layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.ReLU))]


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def data(images: int) -> torch.Tensor:
    from cka_core import load_images

    x = load_images("cifar10-mini", "train", images, 0).x
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).float() / 255


def one_run(tool: str, case: str, images: int, out: str, cpu_time: bool) -> None:
    """Compare twice with one tool; the second call's seconds, the peak and the matrix."""
    clock = time.process_time if cpu_time else time.perf_counter
    if cpu_time:
        torch.set_num_threads(1)
    intervals = clocked_intervals(clock)
    a, b = (model.to(device()) for model in models(case))
    x, names = data(images), (layers(a), layers(b))
    for _ in range(2):
        started = clock()
        if tool == "ours":
            from cka_core import compare

            asked = lambda layer: layer.kind in ("Conv2d", "BatchNorm2d", "ReLU")  # noqa: E731
            result = compare(a, b, x, batch_size=MINIBATCH, layers=asked)
            rows = [layer.name for layer in result.layers_a], [layer.name for layer in result.layers_b]
            at = [[found.index(name) for name in wanted] for found, wanted in zip(rows, names, strict=True)]
            matrix = result.matrix[np.ix_(*at)]
        else:
            from cka import compute_cka

            loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=MINIBATCH)
            found = compute_cka(a, b, loader, layers=names[0], model2_layers=names[1], progress=False)
            matrix = found[0].cpu().numpy()
        seconds = clock() - started
        of_intervals, intervals[0] = intervals[0], 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if device().type == "cuda":
        peak = torch.cuda.max_memory_allocated()
    np.savez(out, matrix=matrix, seconds=seconds, peak=peak, intervals=of_intervals)


def clocked_intervals(clock: Callable[[], float]) -> list[float]:
    """The seconds that standard errors take inside of `compare`: pytorch-cka has none."""
    from cka_core.comparing import tallies

    spent, inner = [0.0], tallies.jackknife

    def jackknife(*given: Any) -> Any:
        started = clock()
        made = inner(*given)
        spent[0] += clock() - started
        return made

    tallies.jackknife = jackknife  # type: ignore[assignment]
    return spent


def truth(case: str, images: int, out: str) -> None:
    """The equations in float64 on a float64 copy of the models, each minibatch weighted by its images."""
    from cka_core.measures.kernels import u_centre

    a, b = models(case)
    x = data(images).double()
    cross: Any = 0.0
    own: list[Any] = [0.0, 0.0]
    for start in range(0, images, MINIBATCH):
        part = x[start : start + MINIBATCH]
        u, v = (_centred(copy.deepcopy(model).double(), part, u_centre) for model in (a, b))
        weight = 1 / (len(part) - 3)
        cross = cross + weight * (u @ v.T)
        own = [before + weight * (w * w).sum(1) for before, w in zip(own, (u, v), strict=True)]
    np.savez(out, matrix=cross / np.sqrt(np.outer(*own)))


def _centred(model: nn.Module, x: torch.Tensor, u_centre: Any) -> np.ndarray:
    rows: dict[str, np.ndarray] = {}

    def hook(name: str) -> Any:
        def keep(module: Any, args: Any, output: torch.Tensor) -> None:
            z = output.flatten(1)
            z = z - z.mean(0)
            rows[name] = u_centre((z @ z.T).numpy()).ravel()

        return keep

    for name in layers(model):
        model.get_submodule(name).register_forward_hook(hook(name))
    with torch.inference_mode():
        model(x)
    return np.stack([rows[name] for name in layers(model)])


def fresh(tool: str, case: str, images: int, folder: str, cpu_time: bool = False) -> dict[str, Any]:
    out = f"{folder}/{tool}.npz"
    command = [sys.executable, __file__, "--part", tool, "--only", case, "--images", str(images), "--out", out]
    command += ["--cpu-time"] if cpu_time else []
    subprocess.run(command, check=True, cwd=ROOT)
    with np.load(out) as arrays:
        return dict(arrays)


def measure(case: str, images: int, runs: int, exact: bool, cpu_time: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = [
            (fresh("ours", case, images, folder, cpu_time), fresh("peer", case, images, folder, cpu_time))
            for _ in range(runs)
        ]
        reference = fresh("truth", case, images, folder)["matrix"] if exact else None
    ratios = sorted(float((ours["seconds"] - ours["intervals"]) / peer["seconds"]) for ours, peer in pairs)
    extra = float(np.median([ours["intervals"] for ours, _ in pairs]))
    seconds = [float(np.median([pair[side]["seconds"] for pair in pairs])) for side in (0, 1)]
    peaks = [max(float(pair[side]["peak"]) for pair in pairs) for side in (0, 1)]
    limit = TIME_ON_GPU if device().type == "cuda" else TIME
    shape = " x ".join(map(str, pairs[0][0]["matrix"].shape))
    print(f"{case}, {shape} layers, {images:,} images, {runs} runs of each in turns")
    spread = f"{np.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"    time {seconds[0] - extra:.2f} s / {seconds[1]:.2f} s; ratio {spread}, wanted at most {limit}")
    print(f"    intervals, which pytorch-cka has none of, take {extra:.2f} s more")
    memory = f"{peaks[0] / 1e9:.2f} GB / {peaks[1] / 1e9:.2f} GB = {peaks[0] / peaks[1]:.2f}"
    print(f"    peak memory {memory}, wanted at most {MEMORY}")
    if reference is not None:
        errors = [float(np.abs(side["matrix"] - reference).max()) for side in pairs[0]]
        print(f"    error {errors[0]:.1e} / {errors[1]:.1e} = {errors[0] / errors[1]:.1e}, wanted at most {ERROR:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["cifar", "resnets"])
    parser.add_argument("--images", type=int, help="256 and 1,024 if not given")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-error", action="store_true", help="leave the float64 reference out")
    parser.add_argument("--cpu-time", action="store_true", help="the processor time of one thread")
    parser.add_argument("--part", choices=["ours", "peer", "truth"], help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "truth":
        truth(given.only, given.images, given.out)
    elif given.part:
        one_run(given.part, given.only, given.images, given.out, given.cpu_time)
    else:
        name = (
            torch.cuda.get_device_name()
            if torch.cuda.is_available()
            else f"{platform.machine()}, {os.cpu_count()} cores"
        )
        print(f"{name}, Python {platform.python_version()}, torch {torch.__version__}")
        for case in [given.only] if given.only else ["cifar", "resnets"]:
            for images in [given.images] if given.images else [256, 1024]:
                measure(case, images, given.runs, not given.no_error, given.cpu_time)


if __name__ == "__main__":
    main()
