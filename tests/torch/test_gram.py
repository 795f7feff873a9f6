"""PyTorch's Gram matrix is numpy's: every scale, type, memory layout and degenerate case, on the CPU device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cka_core.measures.centring import NonFiniteActivation, gram
from cka_core.networks import torch_gram as module
from cka_core.networks import torch_queue
from cka_core.networks.torch_gram import torch_gram
from cka_core.networks.torch_queue import GramQueue

CASES = {
    "features": lambda x: torch.relu(x),
    "maps": lambda x: x.reshape(len(x), 4, 3, 5),
    "channels last": lambda x: x.reshape(len(x), 4, 3, 5).to(memory_format=torch.channels_last),
    "tiny": lambda x: x * 1e-12,
    "huge": lambda x: x * 1e15 + 3e15,
    "a small mean": lambda x: x + 1,
    "far from zero": lambda x: x + 1e3,
    "float64": lambda x: x.double() + 1e6,
    "bfloat16": lambda x: x.bfloat16(),
    "float16": lambda x: x.half() * 1000,
    "classes": lambda x: x.argmax(1),
    "counts far from zero": lambda x: (x * 1e3).int() + 4 * 10**8,
    "long counts": lambda x: (x * 1e6).long() + 10**12,
    "outlier": lambda x: x.index_fill(0, torch.tensor([2]), 1e5),
}


@pytest.mark.parametrize("m", [4, 5, 66, 257, 1100])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_gram_matrix_of_float64(case, m, monkeypatch):
    monkeypatch.setattr(module, "COPIED_ON_CPU", m * 7)  # several pieces
    x = CASES[case](torch.randn(m, 60, generator=torch.Generator().manual_seed(m)))
    with torch.inference_mode():
        made = torch_gram(x)
    wanted = gram(x.double().numpy())
    assert made.reason == wanted.reason
    triangle = np.ldexp(made.triangle.astype(np.float64), made.exponent - wanted.exponent)
    scale = np.abs(wanted.triangle).max()
    assert np.abs(triangle - wanted.triangle).max() <= 2e-6 * scale
    norms = np.ldexp(made.norms, made.exponent - wanted.exponent)
    assert np.abs(norms - wanted.norms).max() <= 2e-6 * max(wanted.norms.max(), scale)
    assert (made.outlier and made.outlier[0]) == (wanted.outlier and wanted.outlier[0])


@pytest.mark.parametrize("m", [4, 257])
def test_a_queue_of_layers_is_the_same_but_for_those_that_want_a_second_look(m, monkeypatch):
    random = torch.Generator().manual_seed(m)
    layers = {case: change(torch.randn(m, 60, generator=random)) for case, change in CASES.items()}
    layers |= {
        "constant": torch.ones(m, 3),
        "not finite": torch.full((m, 3), torch.nan),
        "vast": torch.randn(m, 3) * 1e20,
    }
    monkeypatch.setattr(torch_queue, "QUEUED", 3 * 4 * m * m)  # three are looked at together
    triangles = np.zeros((len(layers), m * (m - 1) // 2), np.float32)
    queue = GramQueue(triangles, m)
    with torch.inference_mode():
        for row, x in enumerate(layers.values()):
            queue.add(row, x)
        again = {list(layers)[row] for row in queue.finish()}
    assert {"constant", "not finite", "vast"} <= again
    if m > 4:  # of four images each may be far from the others
        assert "outlier" in again and again <= {"constant", "not finite", "vast", "outlier", "tiny", "huge"}
    assert len(queue.made) + len(again) == len(layers)
    for row, (case, x) in enumerate(layers.items()):
        if case in again:
            continue
        made, wanted = queue.made[row], torch_gram(x)
        assert (made.exponent, made.reason, made.outlier) == (wanted.exponent, wanted.reason, wanted.outlier)
        scale = max(np.abs(wanted.triangle).max(), 1e-30)
        assert np.abs(triangles[row] - wanted.triangle).max() <= 2e-6 * scale
        assert np.abs(made.norms - wanted.norms).max() <= 2e-6 * max(wanted.norms.max(), scale)
        assert made.square == pytest.approx(wanted.square, rel=4e-6)  # twice what its numbers are held to


def test_a_layer_with_a_small_mean_is_multiplied_as_it_is(monkeypatch):
    def copied(*given):
        raise AssertionError("copied")

    x = torch.randn(256, 300, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(module, "_product", copied)
    for small in (x, torch.relu(x), x + 0.5, x.double(), CASES["channels last"](x[:, :60])):
        assert torch_gram(small).reason is None
    for other in (x + 2, x.half(), x[:, ::2]):
        with pytest.raises(AssertionError, match="copied"):
            torch_gram(other)


def test_no_variance_and_not_finite():
    assert torch_gram(torch.ones(6, 3)).reason == "no variance"
    x = torch.randn(6, 3)
    x[4, 1] = float("inf")
    with pytest.raises(NonFiniteActivation, match="'conv'.*image 14"):
        torch_gram(x, "conv", first=10)
