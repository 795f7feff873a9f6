"""A PyTorch model is left as it was, whatever it does while it runs, and all its modules are seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cka_core import compare
from cka_core.base.progress import Stopped
from cka_core.networks import torch_layers, torch_queue
from tests.reference import matrix
from tests.torch.models import activations


@pytest.fixture(autouse=True, params=["at once", "queued"])
def way(request, monkeypatch):
    monkeypatch.setattr(torch_layers, "QUEUES", ("cpu", "cuda") if request.param == "queued" else ())


def rows(n: int = 24, *more: int) -> torch.Tensor:
    return torch.randn(n, *more, 6, generator=torch.Generator().manual_seed(0))


def names(layers):
    return [layer.name for layer in layers]


def stop(progress):
    raise Stopped


def right(model, x, call=None, **options):
    """Compare a model with itself, hold every cell to float64, and return the result."""
    result = compare(model, model, x, **options)
    taken = activations(model, x, names(result.layers_a), call)
    assert np.abs(result.matrix - matrix(taken, taken)).max() < 1e-5
    return result


# What a run leaves


class Turned(nn.Module):
    """Keeps a table that it makes when it first runs, as rotary positions do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.table = nn.Linear(6, 6), None

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(6.0).cos()
        return self.mix(x) * self.table


def test_what_a_model_keeps_of_a_run_can_be_trained_with():
    model = Turned().train()
    compare(model, model, rows())
    assert not model.table.is_inference()
    model.table.mul_(2)
    model(rows()).sum().backward()
    assert model.mix.weight.grad is not None


class Score(nn.Module):
    """Its output is the gradient of an energy."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.wide, self.energy, self.out = nn.Linear(6, 9), nn.Linear(9, 1), nn.Identity()

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = self.energy(torch.tanh(self.wide(x)))
            return self.out(torch.autograd.grad(energy.sum(), x)[0])


def test_a_model_may_take_a_gradient_inside():
    result = right(Score(), rows())
    assert names(result.layers_a) == ["wide", "energy", "out"]


class Merging(nn.Linear):
    """Its weights are one with what was added to them while it is evaluated, as those of LoRA."""

    def __init__(self):
        super().__init__(6, 6)
        self.added, self.merged = 1.0, False
        nn.init.constant_(self.weight, 2.0)

    def train(self, mode: bool = True):
        super().train(mode)
        if mode == self.merged:
            self.weight.data += -self.added if mode else self.added
            self.merged = not mode
        return self


def test_modules_go_back_by_their_own_train_and_keep_their_own_mode():
    model = nn.Sequential(Merging(), nn.ReLU(), nn.Sequential(Merging(), nn.Dropout())).train()
    model[2].eval()
    model[2][1].train()

    def state():
        kept = [(part.merged, float(part.weight.detach()[0, 0])) for part in (model[0], model[2][0])]
        return kept, [module.training for module in model.modules()]

    before = state()
    assert before[0] == [(False, 2.0), (True, 3.0)]
    compare(model, nn.Tanh(), rows())
    assert state() == before
    with pytest.raises(Stopped):
        compare(model, nn.Tanh(), rows(), progress=stop)
    assert state() == before


# What would pass over modules


def encoder(depth: int = 2):
    torch.manual_seed(0)
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 12, batch_first=True), depth)


def padding(n: int = 24, length: int = 5) -> torch.Tensor:
    return torch.arange(length)[None] >= 2 + torch.arange(n)[:, None] % 4


def padded(model, x):
    return model(x, src_key_padding_mask=padding()[: len(x)])


def test_every_module_of_a_transformer_is_a_layer_with_padding_too():
    model, x = encoder(), rows(24, 5)
    chosen = ["*.norm1", "*.linear2", "*.norm2"]
    torch.backends.mha.set_fastpath_enabled(False)
    result = right(model, x, lambda copied: padded(copied, x.double()), layers=chosen, forward=padded)
    assert not torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(True)
    again = compare(model, model, x, layers=chosen, forward=padded)
    assert np.array_equal(again.matrix, result.matrix)
    assert names(result.layers_a) == [f"layers.{i}.{part}" for i in (0, 1) for part in ("norm1", "linear2", "norm2")]
    assert torch.backends.mha.get_fastpath_enabled()
    some = compare(model, model, x, layers=["layers.1.linear1"], forward=padded)
    assert names(some.layers_a) == ["layers.1.linear1"]
    with pytest.raises(Stopped):
        compare(model, model, x, forward=padded, progress=stop)
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_was_compiled_is_seen_by_its_own_names():
    def parts():
        torch.manual_seed(0)
        return nn.Linear(6, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 4))

    wanted = right(nn.Sequential(*parts()), rows())
    first, second = parts()
    inside = nn.Sequential(first, torch.compile(second, backend="eager"))
    inside(rows())
    whole = nn.Sequential(*parts())
    whole.compile(backend="eager")
    whole(rows())
    for model in (inside, whole, torch.compile(nn.Sequential(*parts()), backend="eager")):
        result = compare(model, model, rows())
        assert names(result.layers_a) == names(wanted.layers_a) == ["0", "1.0", "1.1"]
        assert np.abs(result.matrix - wanted.matrix).max() < 1e-6
    with pytest.raises(Stopped):
        compare(inside, inside, rows(), progress=stop)
    runs = []

    def counting(graph, inputs):
        runs.append(1)
        return graph

    torch.compile(nn.Linear(6, 2), backend=counting)(rows())
    assert runs, "what is compiled afterwards is compiled"


# A queue of layers


class Two(nn.Module):
    """Layers of two precisions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))
        self.second = nn.Sequential(*(nn.Linear(6, 6) for _ in range(2))).double()

    def forward(self, x):
        return self.second(self.first(x).double())


@pytest.mark.parametrize("inference", [False, True])
def test_a_queue_that_is_partly_filled_is_looked_at(inference, monkeypatch):
    monkeypatch.setattr(torch_queue, "QUEUED", 3 * 4 * 24 * 24)

    def forward(model, x):
        with torch.inference_mode(inference):
            return model(x)

    result = right(Two(), rows(), forward=forward, layers=["Linear"])
    assert len(result.layers_a) == 6
