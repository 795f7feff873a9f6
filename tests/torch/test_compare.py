"""PyTorch models compared: right against the equations in float64, every call a layer, the model left as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cka_core import compare, load_images
from cka_core.base.progress import Stopped
from cka_core.measures.grams import NonFiniteActivation
from cka_core.networks import torch_calls, torch_layers
from tests.reference import matrix
from tests.torch.models import Net, Tokens, activations, images

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = [
    f"layer1.{b}.{name}" for b in (0, 1) for name in ("conv1", "bn1", "relu", "conv2", "bn2", "relu:1")
]  # fmt: skip


@pytest.fixture(autouse=True, params=["at once", "queued"])
def way(request, monkeypatch):
    """Every comparison both ways: as on a CPU, and as on a GPU, by the same code on the CPU."""
    monkeypatch.setattr(torch_layers, "QUEUES", ("cpu",) if request.param == "queued" else ())


def names(layers):
    return [layer.name for layer in layers]


def truth(a, b, x, result, parts=None):
    left, right = (
        activations(model, x, names(layers)) for model, layers in ((a, result.layers_a), (b, result.layers_b))
    )
    return matrix(left, right, parts)


def test_every_call_of_every_module_is_a_layer_in_the_order_of_the_calls():
    result = compare(Net(), Net(seed=1), images())
    assert names(result.layers_a) == ["conv1", *BLOCK, "dropout", "fc"]
    layer = result.layers_a[names(result.layers_a).index("layer1.0.relu:1")]
    assert (layer.kind, layer.shape, layer.stage) == ("ReLU", (6, 8, 8), "layer1.0")


@pytest.mark.parametrize("n, batch_size, parts", [
    (24, 256, None), (24, 10, [slice(0, 10), slice(10, 20), slice(20, 24)]), (9, 4, [slice(0, 4), slice(4, 9)]),
])  # fmt: skip
def test_every_cell_is_the_equation_in_float64(n, batch_size, parts):
    a, b, x = Net(), Net(channels=4, blocks=3, seed=1), images(n)
    result = compare(a, b, x, batch_size=batch_size)
    assert np.abs(result.matrix - truth(a, b, x, result, parts)).max() < 1e-5


def test_what_is_taken_before_an_operation_in_place_is_not_overwritten():
    x = images()
    result = compare(Net(), Net(), x, layers=["layer1.0.bn1", "layer1.0.relu", "layer1.0.bn2"])
    assert np.abs(result.matrix - truth(Net(), Net(), x, result)).max() < 1e-5
    assert result.matrix[0, 1] < 0.999


def test_a_network_with_itself_runs_once_and_has_a_unit_diagonal():
    model, calls = Net(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    result = compare(model, model, images(32), batch_size=16)
    assert np.abs(np.diag(result.matrix) - 1).max() < 1e-6
    assert result.is_self
    assert len(calls) <= 2 + 2, "two minibatches, and no more than two trials"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_other_precisions_are_compared_as_they_compute(dtype):
    a, x = Net().to(dtype), images(16)
    taken = {}
    a.conv1.register_forward_hook(lambda module, args, out: taken.update(conv1=out.double().numpy()))
    a.fc.register_forward_hook(lambda module, args, out: taken.update(fc=out.double().numpy()))
    result = compare(a, a, x, layers=["conv1", "fc"])
    acts = [taken["conv1"], taken["fc"]]
    assert np.abs(result.matrix - matrix(acts, acts)).max() < 1e-5


def test_the_model_is_left_as_it_was():
    model = Net()
    model.train()
    model.layer1[0].eval()
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    model.conv1.weight.requires_grad = False
    seen = []
    model.fc.register_forward_hook(lambda *_: seen.append((not torch.is_grad_enabled(), model.training)))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def state():
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
        grads = [(p.requires_grad, None if p.grad is None else float(p.grad.sum())) for p in model.parameters()]
        return [m.training for m in model.modules()], hooks, grads

    as_it_was = state()
    compare(model, Net(), images())
    assert state() == as_it_was
    assert set(seen) == {(True, False)}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def stop(progress):
        raise Stopped

    with pytest.raises(Stopped):
        compare(model, Net(), images(), progress=stop)
    with pytest.raises(ValueError, match="Network A: Net does not run on images"):
        compare(model, Net(), torch.rand(8, 5, 8, 8))
    assert state() == as_it_was
    model(images())[0].sum().backward()
    assert model.layer1[0].conv1.weight.grad is not None


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x, more):
        return self.head(x + more)


def small(channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(144, 5))


@pytest.mark.parametrize(
    "a, b, images, words",
    [
        (small(), small(), torch.rand(8, 3, 9, 9), "A: Sequential does not run on images (8, 3, 9, 9) of float32"),
        (small(), small(), torch.rand(8, 3, 9, 9), "in layer '2' (Linear), given (8, 196): RuntimeError: mat1 and"),
        (
            small(),
            small(1),
            np.zeros((8, 8, 8, 3), "u1"),
            "B: Sequential does not run on images (8, 3, 8, 8) of float32",
        ),
        (small(), small(1), np.zeros((8, 8, 8, 3), "u1"), ". Give images of the shape and the type that it takes."),
        (small(), small(), torch.ones(8, 3, 8, 8, dtype=torch.int64), "(8, 3, 8, 8) of int64, in layer '0' (Conv2d)"),
        (Sum(), Sum(), torch.rand(8, 6), "Sum does not run on images (8, 6) of float32, TypeError: "),
        (Sum(), Sum(), torch.rand(8, 6), "'more'. Say how it is called: forward=lambda model, batch: …."),
        (Sum(), Sum(), [{"x": torch.rand(8, 6), "more": torch.rand(8, 7)}], "on x (8, 6) of float32, more (8, 7) of f"),
        (
            small(),
            small(),
            [torch.rand(8, 3, 8, 8), torch.rand(8, 3, 7, 7)],
            "Sequential does not run on images (8, 3, 7",
        ),
        (small(), small(), np.array(["a"] * 8), "Expected images as numbers, got an array of <U1. Convert it"),
    ],
)
def test_a_model_that_does_not_run_is_told_on_what_and_what_to_do(a, b, images, words):
    with pytest.raises(ValueError) as refusal:
        compare(a, b, images)
    assert words in str(refusal.value)


def test_a_forward_of_ones_own_that_fails_and_what_a_caller_raises_are_told_apart():
    with pytest.raises(ValueError, match=r"does not run on a list of \(8, 3, 8, 8\) of float32, .* Change forward, or"):
        compare(small(), small(), [[torch.rand(8, 3, 8, 8)]], forward=lambda model, batch: model(batch))

    def full(progress):
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="^the caller's own$"):
        compare(small(), small(), torch.rand(8, 3, 8, 8), progress=full)


def test_arrays_of_the_other_byte_order_are_the_same_images():
    x = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
    torch.manual_seed(0)
    model = small()
    results = [compare(model, model, images).matrix for images in (x, x.astype(">f4"))]
    assert np.array_equal(*results)


@pytest.mark.parametrize(
    "paths, stages",
    [
        (["conv", "layer1.0.conv", "layer2.0", "head"], ["", "layer1", "layer2", ""]),
        (["model.conv", "model.layer1.0", "model.layer2.0.conv", "model"], ["", "layer1", "layer2", ""]),
        (["a.b.encoder.0", "a.b.decoder.0", "a.b.head", ""], ["encoder", "decoder", "", ""]),
        (["bert.encoder.layer.0.query", "bert.encoder.layer.1.query"], ["layer.0", "layer.1"]),
        (["bert.embeddings.word", "bert.encoder.layer.0.query", "classifier"], ["embeddings", "encoder", ""]),
        (["conv1", "layer1.0.conv", "layer1.1.conv", "head"], ["", "layer1.0", "layer1.1", ""]),
        (["features.0", "features.1", "classifier"], ["features", "features", ""]),
        (["vit.patch", "vit.blocks.0.mlp", "vit.blocks.1.mlp", "head"], ["", "blocks.0", "blocks.1", ""]),
        (["body.conv", "body.relu", "head"], ["body", "body", ""]),
        (["net.0", "net.1", "net", ""], ["", "", "", ""]),
        (["0.conv", "1.conv"], ["0", "1"]),
        ([""], [""]),
    ],
)
def test_the_stages_are_what_tells_the_paths_of_modules_apart(paths, stages):
    assert torch_calls._stages(paths) == stages


def test_settings_of_precision_are_put_back_and_autocast_reaches_no_product(monkeypatch):
    x = images()
    exact = compare(Net(), Net(seed=1), x)
    torch.set_float32_matmul_precision("medium")
    try:
        loose = compare(Net(), Net(seed=1), x)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert np.abs(exact.matrix - loose.matrix).max() < 1e-2, "the model itself may use what it is set to"

    def autocast(model, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return model(batch)

    taken = {}
    model = Net()
    model.fc.register_forward_hook(lambda module, args, out: taken.update(fc=out.double().numpy()))
    model.conv1.register_forward_hook(lambda module, args, out: taken.update(conv1=out.double().numpy()))
    result = compare(model, model, x, layers=["conv1", "fc"], forward=autocast)
    acts = [taken["conv1"], taken["fc"]]
    assert np.abs(result.matrix - matrix(acts, acts)).max() < 1e-5


def test_a_layer_that_is_not_finite_is_refused_by_name_and_image():
    model = Net()
    x = images()
    x[17] = float("nan")
    with pytest.raises(NonFiniteActivation, match="'conv1'.*image 17"):
        compare(model, Net(), x, batch_size=10)
    with torch.no_grad():
        model.fc.weight[0, 0] = float("inf")
    with pytest.raises(NonFiniteActivation, match="'fc'"):
        compare(model, Net(), images())


# Layers


def test_containers_that_pass_on_a_tensor_come_only_by_name_or_kind():
    x = images()
    assert names(compare(Net(), Net(), x, layers=["layer1.0", "layer1"]).layers_a) == ["layer1.0", "layer1"]
    assert names(compare(Net(), Net(), x, layers=["Block"]).layers_a) == ["layer1.0", "layer1.1"]
    assert names(compare(Net(), Net(), x, layers=["layer1.*"]).layers_a) == BLOCK


def test_a_pattern_asks_for_what_is_passed_on_where_it_does_not_ask_for_whose_it_is():
    class States(nn.Module):
        """Returns all hidden states, of which all but the first are those of its blocks."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.h = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(3))

        def forward(self, x):
            states = [2 * x]
            for block in self.h:
                states.append(block(states[-1]))
            return {"last": states[-1], "hidden_states": tuple(states)}

    x = torch.rand(16, 6, generator=torch.Generator().manual_seed(0))
    states = [f"hidden_states[{i}]" for i in range(4)]
    result = compare(States(), States(), x, layers=["hidden_states*"])
    assert names(result.layers_a) == states
    inside = compare(States(), States(), x, layers=[states[0], "h.0.1", "h.1.1", "h.2.1"])
    order = [names(inside.layers_a).index(name) for name in ("hidden_states[0]", "h.0.1", "h.1.1", "h.2.1")]
    assert (result.matrix == inside.matrix[np.ix_(order, order)]).all()
    assert names(compare(States(), States(), x, layers=["h.?"]).layers_a) == ["h.0", "h.1", "h.2"]
    assert names(compare(States(), States(), x, layers=["h.*"]).layers_a) == [f"h.{i}.{j}" for i in "012" for j in "01"]
    assert names(compare(States(), States(), x, layers=["*"]).layers_a)[-1] == "hidden_states[0]"
    assert names(compare(States(), States(), x, layers=["h.2", "last"]).layers_a) == ["h.2", "last"]
    assert names(compare(Net(), Net(), images(), layers=["layer?"]).layers_a) == ["layer1"]


def test_a_container_that_changes_its_childs_tensor_is_a_layer():
    class Adds(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            y = self.conv(x)
            y += x
            return y

    torch.manual_seed(0)
    model = nn.Sequential(Adds(), nn.ReLU())
    assert names(compare(model, model, images()).layers_a) == ["0.conv", "0", "1"]


def test_layers_by_pattern_kind_and_function():
    x = images()
    assert names(compare(Net(), Net(), x, layers=["Conv2d"]).layers_a)[:2] == ["conv1", "layer1.0.conv1"]
    assert names(compare(Net(), Net(), x, layers=["*.relu*"]).layers_b) == [n for n in BLOCK if "relu" in n]
    assert names(compare(Net(), Net(), x, layers=lambda layer: layer.shape == (5,)).layers_a) == ["fc"]
    with pytest.raises(ValueError, match=r"layer1\.0\.rel'.*layer1\.0\.relu"):
        compare(Net(), Net(), x, layers=["layer1.0.rel"])
    with pytest.raises(ValueError, match="by a function"):
        compare(Net(), Net(), x, layers=lambda layer: False)


def batch(n=16, length=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(n, length, dtype=torch.int64)
    for i in range(n):
        mask[i, length - i % 4 :] = 0
    return {"input_ids": torch.randint(30, (n, length), generator=generator), "attention_mask": mask}


def test_several_tensors_are_several_layers_and_states_are_left_out_with_their_reason():
    result = compare(Tokens(), Tokens(seed=1), [batch()])
    assert names(result.layers_a) == [
        "encoder.embed", "encoder.mix", "encoder.last_hidden_state", "encoder.pooled", "lstm[0]", "head",
        "pair[0]", "pair[1]",
    ]  # fmt: skip
    left_out = result.provenance["network_a"]["left_out"]
    assert set(left_out) == {"lstm[1]", "lstm[2]", "loss"}
    assert "(3, images, 4)" in left_out["lstm[1]"] and "one number" in left_out["loss"]
    assert any("lstm[1]" in warning for warning in result.warnings)
    with pytest.raises(ValueError, match="first axis is not the images"):
        compare(Tokens(), Tokens(), [batch()], layers=["lstm[1]"])


@pytest.mark.parametrize("axis", [1, {"lstm[1]": 1, "lstm[2]": 1}, {"lstm": 1}])
def test_another_axis_of_the_images_can_be_named(axis):
    if axis == {"lstm": 1}:
        axis = {"lstm[[]*": 1, "lstm[0]": 0}
    model, data = Tokens(), batch()
    result = compare(model, model, [data], layers=["lstm[1]"], batch_axis=axis)
    with torch.no_grad():
        _, (states, _) = model.double().lstm(model.encoder(data["input_ids"]).last_hidden_state)
    states = states.movedim(1, 0).numpy()
    assert result.layers_a[0].shape == (3, 4)
    full = compare(model.float(), model, [data], layers=["lstm[1]", "head"], batch_axis=axis)
    head = activations(model, None, ["head"], lambda copied: copied(**data))[0]
    head = head * data["attention_mask"].numpy()[:, :, None]
    assert np.abs(full.matrix - matrix([states, head], [states, head])).max() < 1e-5


@pytest.mark.parametrize("layers", [3, 5, 16])
def test_states_are_no_images_however_many_there_are(layers):
    result = compare(Tokens(layers=layers), Tokens(layers=layers), [batch()], layers=["lstm[0]", "head"])
    assert "lstm[1]" in result.provenance["network_a"]["left_out"]


# Tokens


@pytest.mark.parametrize("tokens", ["flatten", "mean", "first", "last"])
@pytest.mark.parametrize("masked", [True, False])
def test_tokens_and_padding(tokens, masked):
    model, data = Tokens(), batch()
    if not masked:
        del data["attention_mask"]
    result = compare(model, model, [data], layers=["encoder.mix", "encoder.pooled"], tokens=tokens)
    mix = activations(model, None, ["encoder.mix"], lambda copied: copied(**data))[0]
    pooled = np.tanh(mix).mean(1)
    mask = data["attention_mask"].numpy() if masked else np.ones(mix.shape[:2])
    lengths = mask.sum(1).astype(int)
    wanted = {
        "flatten": mix * mask[:, :, None],
        "mean": (mix * mask[:, :, None]).sum(1) / lengths[:, None],
        "first": mix[:, 0],
        "last": mix[np.arange(len(mix)), lengths - 1],
    }[tokens]
    assert np.abs(result.matrix - matrix([wanted, pooled], [wanted, pooled])).max() < 1e-5
    assert result.provenance["tokens"] == tokens
    assert result.layers_a[0].shape == (6, 8)


def test_unknown_tokens_are_refused():
    with pytest.raises(ValueError, match="flatten, mean, first, last"):
        compare(Tokens(), Tokens(), [batch()], tokens="middle")


# Images


def loader(x, **options):
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(len(x))), **options)


def test_arrays_tensors_datasets_and_batches_are_the_same_images():
    x, a, b = images(), Net(), Net(seed=1)
    wanted = compare(a, b, x, batch_size=8).matrix
    dataset = torch.utils.data.TensorDataset(x, torch.zeros(len(x)))

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(x)

    for given in (x.numpy(), x.double().numpy(), dataset, Stream(), loader(x, batch_size=8), list(x.split(8)),
                  iter(x.split(8)), [(part, "label") for part in x.split(8)]):  # fmt: skip
        assert np.abs(compare(a, b, given, batch_size=8).matrix - wanted).max() < 1e-6
    by_keyword = compare(a, b, [{"x": part} for part in x.split(8)])
    assert np.abs(by_keyword.matrix - wanted).max() < 1e-6
    called = compare(a, b, loader(x, batch_size=8), forward=lambda model, batch: model(batch[0]))
    assert np.abs(called.matrix - wanted).max() < 1e-6


def test_shuffled_batches_are_run_through_once_for_both_networks():
    model = Net()
    clone = Net()
    result = compare(model, clone, loader(images(), batch_size=8, shuffle=True))
    assert np.abs(np.diag(result.matrix) - 1).max() < 1e-6


def test_a_short_last_batch_joins_the_one_before_it():
    x, a = images(18), Net()
    result = compare(a, a, loader(x, batch_size=8))
    assert np.abs(result.matrix - compare(a, a, list(x.split([8, 10]))).matrix).max() < 1e-6
    with pytest.raises(ValueError, match="batches of at least 4 images"):
        compare(a, a, list(x.split([8, 2, 8])))
    with pytest.raises(ValueError, match="at least one batch"):
        compare(a, a, [])


@pytest.mark.parametrize("given", ["photos", 3, {"x": "photos"}, {}])
def test_what_are_no_images_is_refused(given):
    with pytest.raises(ValueError, match="Expected images as an array or tensor"):
        compare(Net(), Net(), given)


def test_uint8_is_divided_and_channels_come_first_where_that_is_sure():
    sample = load_images("cifar10-mini", "test", 16, 0)
    a, b = Net(), Net(seed=1)
    result = compare(a, b, sample)
    x = (torch.from_numpy(sample.x).permute(0, 3, 1, 2).float() / 255).contiguous()
    assert np.abs(result.matrix - compare(a, b, x).matrix).max() < 1e-5
    assert result.provenance["preprocessing"] == "uint8 / 255, (n, h, w, c) to (n, c, h, w)"
    assert result.provenance["images"]["digest"] == sample.digest
    with pytest.raises(ValueError, match="pair of arrays"):
        compare(a, b, np.zeros((8, 3, 8, 3), np.float32))


def keras_net():
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.ReLU(name="relu")(x))


@pytest.mark.parametrize("form", ["tensor", "first", "last", "pair", "batches"])
def test_a_pytorch_network_against_a_keras_one(form):
    a, b, x = Net(), keras_net(), images()
    last = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
    given = {"tensor": x, "first": x.numpy(), "last": last, "pair": (x, last), "batches": [(x, 0)]}[form]
    result = compare(a, b, given, layers=["conv1", "fc", "conv", "relu"])
    conv = np.asarray(b.get_layer("conv")(last), np.float64)
    wanted = matrix(activations(a, x, ["conv1", "fc"]), [conv, np.maximum(conv, 0)])
    assert np.abs(result.matrix - wanted).max() < 1e-5
    turned = compare(b, a, (last, x) if form == "pair" else given, layers=["conv1", "fc", "conv", "relu"])
    assert np.abs(turned.matrix - result.matrix.T).max() < 1e-6
    assert {"torch", "keras", "tensorflow"} <= set(result.provenance["versions"])


def test_arrays_by_the_names_of_the_inputs_enter_both_frameworks():
    import keras

    keras.utils.set_random_seed(0)
    image, tokens = keras.Input((8, 8, 3), name="x"), keras.Input((5,), name="words", dtype="int32")
    seen = keras.layers.Flatten(name="seen")(image)
    both = keras.layers.Concatenate(name="both")([seen, keras.layers.CategoryEncoding(9, name="said")(tokens)])
    model = keras.Model({"x": image, "words": tokens}, both)
    x, words = images().numpy(), np.random.default_rng(0).integers(0, 9, (24, 5))
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    said = np.array([np.bincount(row, minlength=9) > 0 for row in words], np.float64)
    wanted = [last.reshape(24, -1), said, np.concatenate([last.reshape(24, -1), said], axis=1)]
    result = compare(
        Net(), model, ({"x": x}, {"x": last, "words": words}), layers=["conv1", "fc", "seen", "said", "both"]
    )
    assert names(result.layers_b) == ["seen", "said", "both"]
    assert np.abs(result.matrix - matrix(activations(Net(), images(), ["conv1", "fc"]), wanted)).max() < 1e-5
    named = compare(Net(), Net(seed=1), {"x": x}, batch_size=10)
    assert np.abs(named.matrix - compare(Net(), Net(seed=1), images(), batch_size=10).matrix).max() < 1e-6
    with pytest.raises(ValueError, match="'words' is missing"):
        compare(Net(), model, {"x": x})
    with pytest.raises(ValueError, match="Expected the same images in every array, got 24 in 'x', 8 in 'words'"):
        compare(Net(), model, {"x": x, "words": words[:8]})


def test_a_dict_that_a_model_does_not_take_is_refused_with_how_to_call_it():
    batches = [{"picture": images(8), "label": torch.arange(8)}]
    model = Net()
    with pytest.raises(ValueError, match=r"Net[.]forward does not take 'picture', 'label' .*batch\['picture'\]"):
        compare(model, model, batches)
    result = compare(model, model, batches, forward=lambda model, batch: model(batch["picture"]))
    assert (result.matrix == compare(model, model, images(8)).matrix).all()


def test_a_model_that_returns_no_tensor_has_no_layers():
    class Nothing(nn.Module):
        def forward(self, x):
            return None

    with pytest.raises(ValueError, match="^Nothing .*has no layer that can be compared"):
        compare(Nothing(), Nothing(), images(8))


def test_networks_without_layers_to_watch_are_refused():
    with pytest.raises(ValueError, match="TorchScript"):
        compare(torch.jit.trace(Net().eval(), images()), Net(), images())
    with pytest.raises(ValueError, match="Run it once first"):
        compare(nn.Sequential(nn.LazyLinear(3)), Net(), images())


def test_other_weights_are_another_network():
    def weights(model):
        return compare(model, model, images()).provenance["network_a"]["weights"]

    assert weights(Net()) == weights(Net()) != weights(Net(seed=1))


def test_pytorch_is_imported_only_where_a_model_of_it_is_given():
    code = (
        "import sys, numpy as np; from cka_core import compare, compare_activations, build_network, load_images\n"
        "x = np.eye(8); compare_activations({'a': x}, {'b': x})\n"
        "m = build_network('cifar-resnet-8x1'); compare(m, m, load_images('cifar10-mini', 'test', 8, 0))\n"
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "False"


def test_stored_tensors_of_every_kind_are_arrays():
    from cka_core import compare_activations

    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    wanted = compare_activations({"a": x.bfloat16().float().numpy()}, {"b": x.numpy()}).matrix
    for given in (x.bfloat16(), x.bfloat16().requires_grad_()):
        assert (compare_activations({"a": given}, {"b": x}).matrix == wanted).all()
    with pytest.raises(ValueError, match="Expected arrays of numbers, got a Tensor"):
        compare_activations({"a": x.to_sparse()}, {"b": x})
