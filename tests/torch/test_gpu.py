"""What a GPU gives: its types, settings and memory. Where there is none, the same is asked of a CPU with its queue."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

from cka_core import compare
from cka_core.measures.centring import NonFiniteActivation
from cka_core.networks import torch_layers
from tests.reference import matrix
from tests.torch.models import Net, images

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PARTS = [slice(0, 16), slice(16, 40)]


@pytest.fixture(autouse=True)
def queue(monkeypatch):
    monkeypatch.setattr(torch_layers, "QUEUES", (DEVICE,))


def net(seed: int = 0, change=lambda model: model) -> torch.nn.Module:
    return change(Net(seed=seed).eval().to(DEVICE))


def vast(model):
    model.conv1.weight.data *= 1e16
    return model


MODELS = {
    "float32": lambda model: model,
    "channels last": lambda model: model.to(memory_format=torch.channels_last),
    "bfloat16": lambda model: model.bfloat16(),
    "float16": lambda model: model.half(),
    "float64": lambda model: model.double(),
    "vast activations": vast,
}


def error_of(result, a, b, x) -> float:
    """The largest difference from float64 on the numbers that the models give on their own device."""
    return float(np.abs(result.matrix - matrix(own(a, x, result.layers_a), own(b, x, result.layers_b), PARTS)).max())


def own(model, x, layers) -> list[np.ndarray]:
    found: dict[str, list[torch.Tensor]] = {}

    def hook(name):
        calls = itertools.count()

        def keep(module, args, output):
            call = next(calls) % 2 if name.endswith(".relu") else 0  # which the blocks call twice
            found.setdefault(name + (f":{call}" if call else ""), []).append(output.detach().clone().double().cpu())

        return keep

    handles = [module.register_forward_hook(hook(name or "output")) for name, module in model.named_modules()]
    kind = next(model.parameters())
    with torch.no_grad():
        for part in PARTS:
            model(x[part].to(kind.device, kind.dtype))
    for handle in handles:
        handle.remove()
    return [torch.cat(found[layer.name]).numpy() for layer in layers]


@pytest.mark.parametrize("change", MODELS.values(), ids=MODELS)
def test_every_cell_is_that_of_float64_on_the_models_own_numbers(change):
    a, b, x = net(0, change), net(1, change), images(40)
    result = compare(a, b, [x[part] for part in PARTS])
    assert error_of(result, a, b, x) < 1e-6
    assert next(a.parameters()).device.type == DEVICE


def test_the_models_own_tf32_and_autocast_do_not_reach_the_gram_matrices():
    a, b, x = net(0), net(1), images(40)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            result = compare(a, b, [x[part] for part in PARTS])
            assert error_of(result, a, b, x) < 1e-6
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_image_far_from_all_others_is_right_and_named_and_one_that_is_not_finite_refused():
    a, b, x = net(0), net(1), images(40)
    x[5] *= 1e5
    result = compare(a, b, [x[part] for part in PARTS])
    assert error_of(result, a, b, x) < 1e-5
    assert "Image 5 is up to" in result.warnings[0]
    x[37, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteActivation, match="for image 37"):
        compare(a, b, [x[part] for part in PARTS])


def test_two_devices_images_on_one_and_a_second_run_give_one_map():
    a, b, x = net(0), net(1), images(40)
    first = compare(a, b, x, batch_size=20)
    assert np.array_equal(compare(a, b, x, batch_size=20).matrix, first.matrix)
    assert np.array_equal(compare(a, b, x.to(DEVICE), batch_size=20).matrix, first.matrix)
    beside = compare(a, copy.deepcopy(b).cpu(), x, batch_size=20)
    assert np.abs(beside.matrix - first.matrix).max() < 1e-3  # a GPU's convolutions have the digits of TF32
