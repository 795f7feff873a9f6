"""Which tensors of a PyTorch model are layers: where their images are, what they are called, what is left out."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch
from torch import nn

from cka_core import compare
from tests.reference import matrix


def rows(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(0))


def names(result):
    return [layer.name for layer in result.layers_a]


def left_out(result):
    return result.provenance["network_a"].get("left_out", {})


# The axis of the images


class Last(nn.Module):
    """An LSTM whose tensors have their images on the second axis, and layers that have them on the first."""

    def __init__(self, fixed: int = 1):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.lstm, self.head = nn.Linear(6, 6), nn.LSTM(6, 8), nn.Linear(8, 3)
        self.shift = nn.Parameter(torch.randn(fixed, 1, 6))

    def forward(self, x):
        return self.head(self.lstm((self.mix(x) + self.shift).transpose(0, 1))[0][-1])

    def truth(self, x):
        with torch.no_grad():
            mix = self.mix(x)
            seen = self.lstm((mix + self.shift).transpose(0, 1))[0]
            return {"mix": mix, "lstm[0]": seen.movedim(1, 0), "head": self.head(seen[-1])}


@pytest.mark.parametrize("length", [3, 4, 5, 37])
@pytest.mark.parametrize("batch_axis", [1, {"lstm": 1}, {"lstm[0]": -2, "lstm[[]*": 1}])
def test_another_axis_of_the_images_is_found_however_long_the_first_is(length, batch_axis):
    model, x = Last().eval(), rows(37, length)
    result = compare(model, model, x, batch_axis=batch_axis, layers=["mix", "lstm[0]", "head"])
    taken = [value.double().numpy() for value in model.double().truth(x.double()).values()]
    assert np.abs(result.matrix - matrix(taken, taken)).max() < 1e-5


def test_where_a_model_takes_one_number_of_images_only_an_axis_as_long_is_not_guessed():
    model, x = Last(fixed=16).eval(), rows(32, 16)
    for batch_axis in (None, 1):
        result = compare(model, model, x, batch_size=16, batch_axis=batch_axis)
        assert "axis 0 or 1" in left_out(result)["mix"] and "axis 0 or 1" in left_out(result)["lstm[0]"]
        assert names(result)[-1] == "head"
    named = {"mix": 0, "lstm[0]": 1}
    result = compare(model, model, x, batch_size=16, batch_axis=named, layers=["mix", "lstm[0]"])
    parts = [model.double().truth(part.double()) for part in x.split(16)]
    taken = [torch.cat([part[name] for part in parts]).numpy() for name in named]
    assert np.abs(result.matrix - matrix(taken, taken, [slice(0, 16), slice(16, 32)])).max() < 1e-5


def test_a_batch_of_named_tensors_is_cut_for_a_trial():
    Named = collections.namedtuple("Named", "x y")
    model, x = Last().eval(), rows(16, 16)
    result = compare(model, model, [Named(x, ["label"] * 16)], forward=lambda model, batch: model(batch.x))
    assert names(result) == ["mix", "head"]
    assert "(16, images, 8)" in left_out(result)["lstm[0]"]


@pytest.mark.parametrize("axis", [2, -4])
def test_an_axis_that_a_layer_does_not_have_is_refused(axis):
    model = nn.Sequential(nn.Linear(6, 8))
    with pytest.raises(ValueError, match=f"layer '0': expected one of its 2 axes, from -2 to 1, got {axis}"):
        compare(model, model, rows(16), batch_axis={"0": axis})


# Names


def test_numbers_in_brackets_can_be_in_a_pattern():
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 12, batch_first=True), 2)
    result = compare(model, model, rows(16, 5), layers=["layers.*.self_attn[0]"])
    assert names(result) == ["layers.0.self_attn[0]", "layers.1.self_attn[0]"]
    result = compare(model, model, rows(16, 5), layers=["layers.[01].linear1"])
    assert names(result) == ["layers.0.linear1", "layers.1.linear1"]


class ByNumber(nn.ModuleList):
    """Its outputs would be called as its modules are."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__([nn.Linear(6, 3), nn.Linear(6, 5)])

    def forward(self, x):
        return {0: self[0](x) * 2, 1: torch.tanh(self[1](x))}


def test_no_two_layers_have_one_name():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.m = ByNumber()

        def forward(self, x):
            return {"m": self.m(rows(len(x)) if x is None else x)}

    model, x = Around(), rows(16)
    result = compare(model, model, x)
    assert names(result) == ["m.0", "m.1", "(m.0)", "(m.1)"]
    with torch.no_grad():
        wanted = [torch.tanh(model.m[1](x)).double().numpy()]
    assert np.abs(compare(model, model, x, layers=["(m.1)"]).matrix - matrix(wanted, wanted)).max() < 1e-5
    assert names(compare(model, model, x, layers=["m.1"])) == ["m.1"]


def test_a_function_chooses_among_layers_and_is_told_where_containers_are():
    model = nn.Sequential(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), nn.Linear(6, 2))
    assert names(compare(model, model, rows(16), layers=["Sequential"])) == ["0", "output"]
    with pytest.raises(ValueError, match="a function is not asked about containers.*name these"):
        compare(model, model, rows(16), layers=lambda layer: layer.kind == "Sequential")


# What cannot be taken


class Gives(nn.Module):
    def __init__(self, change):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.given, self.change = nn.Linear(6, 6), nn.Identity(), change

    def forward(self, x):
        self.given(self.change(self.mix(x)))
        return x


NOT_TAKEN = {
    "dense": lambda x: x.to_sparse(),
    "no dense tensor": lambda x: torch.nested.nested_tensor([row[:3] for row in x]),
    "dense tensor": lambda x: torch.nested.nested_tensor([row[:3] for row in x], layout=torch.jagged),
    "quantized": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
    "complex": lambda x: x.to(torch.complex64),
    "uint16": lambda x: x.abs().to(torch.uint16),
    "uint32": lambda x: x.abs().to(torch.uint32),
    "uint64": lambda x: x.abs().to(torch.uint64),
}


@pytest.mark.parametrize("reason", NOT_TAKEN)
@pytest.mark.filterwarnings("ignore")
def test_a_tensor_that_cannot_be_taken_is_left_out_with_its_reason(reason):
    model = Gives(NOT_TAKEN[reason])
    result = compare(model, model, rows(16))
    assert names(result) == ["mix", "output"]
    assert reason in left_out(result)["given"]


@pytest.mark.filterwarnings("ignore")
def test_torchscript_inside_of_a_model_is_left_out():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
    model = nn.Sequential(torch.jit.script(inner), nn.Linear(8, 3)).train()
    result = compare(model, model, rows(16))
    assert names(result) == ["1"] and list(left_out(result)) == ["0"]
    assert "TorchScript" in left_out(result)["0"] and model[0].training


def test_models_that_cannot_be_run_are_refused_in_words():
    model = nn.Sequential(nn.Linear(6, 3))
    exported = torch.export.export(model, (rows(16),)).module()
    for one in (exported, nn.Sequential(exported, nn.ReLU())):
        with pytest.raises(ValueError, match="torch.export"):
            compare(model, one, rows(16))
    with pytest.raises(ValueError, match="on the device 'meta'.*Load its weights"):
        compare(model, nn.Linear(6, 3, device="meta"), rows(16))
