"""How fast the training is, against plain ``model.fit`` on arrays already in memory, measured in turns in one run.

    python benchmarks/training.py                                   cifar-resnet-14x1, with and without augmentation
    python benchmarks/training.py --architecture cifar-resnet-14x4 --rounds 5

Both train the same network with the same optimizer on the same 2,812 images. The plain one gets them as float32 arrays,
ready to use, and neither augments nor reports; ours draws, crops and flips minibatches as it goes, tells its progress
after each, and saves network and optimizer after the epoch (shown apart, too). The first epoch, which traces, is left
out. The ratio is the median of the rounds'.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402

from cka_core.training import epochs  # noqa: E402

LIMIT = 0.95


def plain_epoch(model: Any, x: np.ndarray, y: np.ndarray, batch_size: int) -> float:
    started = time.perf_counter()
    model.fit(x, y, batch_size=batch_size, epochs=1, verbose=0, shuffle=True)
    return time.perf_counter() - started


class Ours:
    """The product's own epochs, one at a time."""

    def __init__(self, spec: Any, store: Any):
        import keras

        from cka_core.training import devices
        from cka_core.training.images import TrainingImages
        from cka_core.training.work import Work

        self.spec, self.keras = spec, keras
        self.data, self.devices = TrainingImages(spec, store), devices.choose()
        self.work = Work(spec, "benchmark", len(self.data), self.devices.words, store)
        self.model = built(spec, self.data.steps)
        self.told = 0

    def epoch(self, number: int) -> tuple[float, float]:
        """Seconds of the epoch, and seconds to save it."""

        def told(progress: Any) -> None:
            self.told += 1

        started = time.perf_counter()
        row = epochs.run_epoch(self.model, self.spec, self.data, number, self.devices, told, self.keras)
        trained = time.perf_counter()
        self.work.finish_epoch(number + 1, row, trained - started, self.model.save, self.model.save)
        return trained - started, time.perf_counter() - trained


def built(spec: Any, steps: int) -> Any:
    import keras

    from cka_core import build_network

    model = build_network(spec.architecture)
    epochs.compile_model(model, spec, steps, keras)
    epochs.set_l2(model, spec.l2, keras)
    return model


def measure(architecture: str, augment: bool, rounds: int) -> float:
    from cka_core.base.store import Store
    from cka_core.training.recipe import TrainSpec

    # What is held out is evaluated after each epoch by both or by neither; here by neither.
    spec = TrainSpec(architecture, fraction=0.9, held_out=0.0, augment=augment, epochs=rounds + 1)
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(spec, Store(folder))
        x, y = ours.data.x.astype(np.float32) / 255, ours.data.y
        plain = built(spec, ours.data.steps)
        plain_epoch(plain, x, y, spec.batch_size)
        ours.epoch(0)
        seconds: list[tuple[float, float, float]] = []
        for number in range(1, rounds + 1):
            theirs = plain_epoch(plain, x, y, spec.batch_size)
            seconds.append((theirs, *ours.epoch(number)))
        ours.work.close()
    ratio = statistics.median(theirs / own for theirs, own, _ in seconds)
    rates = [len(x) / statistics.median(column) for column in list(zip(*seconds, strict=True))[:2]]
    saving = statistics.median(saved for *_, saved in seconds)
    print(
        f"{architecture}, {'flip and crop' if augment else 'no augmentation'}: plain fit {rates[0]:,.0f} images/s, "
        f"ours {rates[1]:,.0f} images/s, ratio {ratio:.2f} (limit {LIMIT}); saving an epoch {saving:.2f} s",
        flush=True,
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="cifar-resnet-14x1")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    ratios = [measure(given.architecture, augment, given.rounds) for augment in (False, True)]
    sys.exit(min(ratios) < LIMIT)


if __name__ == "__main__":
    main()
