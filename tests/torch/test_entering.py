"""What enters a PyTorch model: the caller's images stay what they are, and each model gets what it takes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from cka_core import compare
from tests.reference import matrix
from tests.torch.models import activations


def rows(n: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)) * 0.5 + 3


def net(*layers, seed: int = 0):
    torch.manual_seed(seed)
    return nn.Sequential(*layers, nn.Linear(6, 8), nn.Tanh())


class Normalised(nn.Module):
    """Writes into what it is given."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.net = net(seed=seed)

    def forward(self, x):
        return self.net(x.sub_(3.0).div_(0.5))


class Rectified(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net(nn.ReLU(inplace=True))

    def forward(self, x):
        return self.net(x)


@dataclasses.dataclass
class Bag:
    """A batch of one's own, with what a batch of PyTorch Geometric has."""

    x: torch.Tensor

    def to(self, device):
        return self


def cases():
    x = rows()
    bag = Bag(x.clone())
    parts = [part.clone() for part in x.split(12)]
    array = x.numpy().copy()
    return {
        "tensor": (x.clone(), None),
        "array": (array, None),
        "batches": (parts, None),
        "dict": ([{"x": part} for part in parts], None),
        "arrays by name": ({"x": x.numpy().copy()}, None),
        "forward": ([(part, 0) for part in parts], lambda model, batch: model(batch[0])),
        "object": ([(x.clone(), bag)], lambda model, batch: model(batch[1].x)),
    }


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("first", [Normalised, Rectified])
def test_a_model_that_writes_into_its_input_changes_nothing_for_anybody(case, first):
    given, forward = cases()[case]
    kept = [x.clone() if isinstance(x, torch.Tensor) else x.copy() for x in flat(given)]
    models = [first(), Normalised(seed=1)]
    x, size = rows(), 24 if case == "object" else 12
    result = compare(*models, given, batch_size=size, forward=forward, layers=["output"])
    taken = [activations(model, x.clone(), ["output"])[0] for model in models]
    parts = [slice(start, start + size) for start in range(0, 24, size)]
    assert np.abs(result.matrix - matrix(taken[:1], taken[1:], parts)).max() < 1e-5
    assert all(np.array_equal(a, b) for a, b in zip(flat(given), kept, strict=True))


def flat(given):
    if isinstance(given, Bag):
        return [given.x]
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        return [x for item in given for x in flat(item)]
    return [given] if hasattr(given, "shape") else []
