"""What enters a PyTorch model: the caller's images stay what they are, and each model gets what it takes."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from cka_core import Comparison, compare
from cka_core.networks.torch_inputs import joined
from cka_core.results import trust
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


# Types


class Mixed(nn.Module):
    """Its first parameter is float32, its layer bfloat16."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.gain, self.mix = nn.Parameter(torch.ones(8)), nn.Linear(6, 8).bfloat16()

    def forward(self, x):
        return self.mix(x).float() * self.gain


def test_images_of_a_type_that_a_model_has_enter_as_they_are():
    model, x = Mixed(), rows().bfloat16()
    with torch.no_grad():
        wanted = [model.mix(x).double().numpy()]
    result = compare(model, model, x, layers=["mix"])
    assert np.abs(result.matrix - matrix(wanted, wanted)).max() < 1e-5


@pytest.mark.parametrize("form", ["array", "float64", "uint8", "batches"])
def test_arrays_and_float64_take_the_type_of_the_model(form):
    class Halves(nn.Module):
        """bfloat16 but for a norm."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.mix, self.norm = nn.Linear(6, 8).bfloat16(), nn.LayerNorm(8)

        def forward(self, x):
            return self.norm(self.mix(x).float())

    x = torch.arange(144).reshape(24, 6).cos().mul(100).round().abs()
    given = {
        "array": x.numpy(),
        "float64": x.double(),
        "uint8": x.numpy().astype(np.uint8),
        "batches": [(x.numpy(), np.zeros(24))],
    }[form]
    model = Halves()
    with torch.no_grad():
        wanted = [model.mix((x / 255 if form == "uint8" else x).bfloat16()).double().numpy()]
    result = compare(model, model, given, layers=["mix"])
    assert np.abs(result.matrix - matrix(wanted, wanted)).max() < 1e-5


def test_what_a_function_is_called_with_keeps_its_types_and_is_a_copy():
    model, steps, seen = nn.Linear(6, 3).bfloat16(), torch.arange(1000.0, 1024.0), []

    def forward(model, batch):
        seen.append([(value.dtype, value.tolist()) for value in batch[1:]])
        batch[1].zero_()
        return model(batch[0].bfloat16())

    compare(model, model, [(rows(), steps, np.arange(24.0), np.float64(3))], forward=forward)
    assert seen[-1] == [
        (torch.float32, list(range(1000, 1024))), (torch.float64, list(range(24))), (torch.float64, 3.0),
    ]  # fmt: skip
    assert steps[0] == 1000


@pytest.mark.parametrize("given", ["array", "batches", "by name", "pair"])
def test_images_with_a_mask_are_refused(given):
    masked = np.ma.masked_array(rows().numpy(), rows().numpy() > 3)
    images = {"array": masked, "batches": [masked], "by name": {"input": masked}, "pair": (masked, masked)}[given]
    with pytest.raises(ValueError, match="without a mask, got a numpy.ma array"):
        compare(nn.Linear(6, 3), nn.Linear(6, 3), images)


# A last batch of fewer than 4 images

Named = collections.namedtuple("Named", "x y")


class Keywords(nn.Module):
    """Takes what stays the same in every batch."""

    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x, shift=None, scale=None, flag=False, words=None):
        assert words is None or len(words) == len(x)
        return self.net((x + shift) * scale if flag else x)


def extras(n):
    return {"shift": torch.ones(1, 6), "scale": torch.tensor(2.0), "flag": True, "words": ["a"] * n}


def test_a_short_last_batch_joins_with_all_that_it_holds():
    x, model = rows(17), Keywords()
    parts = x.split([8, 8, 1])
    pieces = [slice(0, 8), slice(8, 17)]
    result = compare(model, model, [{"x": part, **extras(len(part))} for part in parts], layers=["net.0", "net.1"])
    wanted = activations(model, (x + 1) * 2, ["net.0", "net.1"])
    assert np.abs(result.matrix - matrix(wanted, wanted, pieces)).max() < 1e-5
    wanted = activations(model, x, ["net.0", "net.1"])
    for batches, forward in [
        ([(part, ["cat"] * len(part)) for part in parts], None),
        ([(part, i) for i, part in enumerate(parts)], None),
        ([Named(part, torch.zeros(len(part))) for part in parts], None),
        ([Named(part, np.array(["cat"] * len(part))) for part in parts], lambda model, batch: model(batch.x)),
        ([[part.numpy(), True, None] for part in parts], lambda model, batch: model(batch[0])),
    ]:
        result = compare(model, model, batches, forward=forward, layers=["net.0", "net.1"])
        assert np.abs(result.matrix - matrix(wanted, wanted, pieces)).max() < 1e-5
        assert result.provenance["images"]["n"] == 17


def test_what_does_not_fit_in_a_last_batch_is_refused_by_name():
    for a, b in [({"x": rows(8), "k": 1}, {"x": rows(2), "k": 2}), ([rows(8), object()], [rows(2), object()])]:
        with pytest.raises(ValueError, match="The last batch has 2 images.*does not fit.*drop_last"):
            joined(a, b, 8, 2)
    made = joined(Named(np.arange(8), ("a",) * 8), Named(np.arange(2), ("b",) * 2), 8, 2)
    assert made.x.tolist() == [*range(8), 0, 1] and made.y == ("a",) * 8 + ("b",) * 2


# Minibatches of unequal size


@pytest.mark.parametrize(
    "sizes, said", [([4, 4, 4, 4, 32], True), ([8, 10], True), ([16, 16], False), ([8, 8, 4], False)]
)
def test_chance_is_that_of_the_minibatches_that_came(sizes, said, tmp_path):
    result = compare(net(), net(seed=1), list(rows(sum(sizes)).split(sizes)))
    wanted = np.sqrt(2 * sum(m / (m - 3) for m in sizes)) / sum(sizes)
    assert result.chance == pytest.approx(wanted)
    assert result.provenance["batch_size"] == max(sizes)
    assert result.provenance.get("batch_sizes", []) == (sizes if said else [])
    kept = Comparison.load(result.save(tmp_path / "result.npz"))
    assert kept.chance == kept.transpose().chance == pytest.approx(wanted)
    text = next(fact.text for fact in trust.line(result) if "minibatches" in fact.text)
    assert text == f"{len(sizes)} minibatches of " + (
        f"{sizes[0]}" if len({*sizes}) == 1 else f"{min(sizes)} to {max(sizes)}"
    )
    assert compare(net(), net(seed=1), rows(50), batch_size=16).provenance.get("batch_sizes") is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"forward": "forward"}, "Expected forward as a function of a model and a batch, or two of .*, got 'forward'"),
        ({"forward": (None,)}, r"or two of them, got \(None,\)"),
        ({"batch_axis": "1"}, "Expected batch_axis as the number of an axis, or a dict of them by layer, got '1'"),
        ({"batch_axis": {"0": "1"}}, "batch_axis as .* got {'0': '1'}"),
        ({"batch_axis": {0: 1}}, "batch_axis as .* got {0: 1}"),
        ({"progress": 1}, "Expected progress as True, False, None or a function of a Progress, got 1"),
    ],
)
def test_what_is_no_option_is_refused_before_a_model_runs(options, told):
    def never(*_):
        raise AssertionError("a model was run")

    a, b = net(), net(seed=1)
    a.register_forward_hook(never)
    with pytest.raises(ValueError, match=told):
        compare(a, b, rows(), **options)


@pytest.mark.parametrize("model", ["resnet50", None, net, nn.ReLU, np.zeros(3)])
def test_what_is_no_model_is_refused_with_how_to_make_one(model):
    told = f"Expected a Keras or PyTorch model, got {type(model).__name__} .* by build_network, .* by calling it"
    for pair in ((model, net()), (net(), model)):
        with pytest.raises(ValueError, match=told):
            compare(*pair, rows())
