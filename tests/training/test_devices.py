"""A training runs on the best that is there, says why, and one that cannot be had here is tried on stand-ins.

Several GPUs are two logical devices cut from this machine's processor; a TPU is a resolver that only says it is there;
several hosts are real processes on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cka_core.training import devices

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def no_hosts(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


def none() -> list[str]:
    return []


def test_without_accelerator_it_is_the_cpu():
    found = devices.choose(find_tpu=lambda: None, find_gpus=none)
    assert (found.kind, found.replicas, found.policy) == ("cpu", 1, "float32")
    assert "no GPU or TPU" in found.words


def test_a_forced_cpu_passes_by_every_accelerator():
    def never():
        raise AssertionError("asked for an accelerator")

    found = devices.choose(force_cpu=True, find_tpu=never, find_gpus=never)
    assert found.kind == "cpu" and "asked for" in found.words


def test_one_gpu_is_taken_and_computes_in_float16():
    found = devices.choose(mixed_precision=True, find_tpu=lambda: None, find_gpus=lambda: ["/gpu:0"])
    assert (found.kind, found.policy) == ("gpu", "mixed_float16")


def test_a_tpu_comes_before_gpus_and_computes_in_bfloat16(monkeypatch):
    import tensorflow as tf

    resolver = object()
    connected = []
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", connected.append)
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", connected.append)

    class Strategy:
        num_replicas_in_sync = 8

        def __init__(self, given):
            connected.append(given)

    monkeypatch.setattr(tf.distribute, "TPUStrategy", Strategy)
    found = devices.choose(mixed_precision=True, find_tpu=lambda: resolver, find_gpus=lambda: ["/gpu:0"])
    assert (found.kind, found.replicas, found.policy) == ("tpu", 8, "mixed_bfloat16")
    assert connected == [resolver] * 3


def test_where_nothing_says_tpu_no_server_is_asked(monkeypatch):
    import tensorflow as tf

    def never(*_):
        raise AssertionError("asked for a TPU")

    for name in devices.TPU_SIGNS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(devices, "TPU_FILES", ())
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", never)
    assert devices._tpu() is None
    monkeypatch.setenv("TPU_NAME", "somewhere")
    with pytest.raises(AssertionError):
        devices._tpu()


def test_a_tpu_that_is_named_but_not_there_is_none(monkeypatch):
    import tensorflow as tf

    def refused(*_):
        raise ValueError("no TPU")

    monkeypatch.setenv("TPU_NAME", "somewhere")
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", refused)
    assert devices._tpu() is None


@pytest.mark.parametrize("has, policy", [(True, "mixed_bfloat16"), (False, "float32")])
def test_mixed_precision_on_a_cpu_needs_one_that_has_it(monkeypatch, has, policy):
    monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda: has)
    found = devices.choose(mixed_precision=True, find_tpu=lambda: None, find_gpus=none)
    assert found.policy == policy and "bfloat16" in found.words


def test_the_precision_holds_inside_the_scope_only():
    import keras

    found = devices.Devices("cpu", 1, "mixed_bfloat16", False, ())
    before = keras.config.dtype_policy().name
    with found.scope():
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == before


def test_the_notebooks_function_gives_a_strategy():
    import keras
    import tensorflow as tf

    before = keras.config.dtype_policy()
    try:
        strategy = devices.get_strategy(force_cpu=True)
        assert isinstance(strategy, tf.distribute.Strategy) and strategy.num_replicas_in_sync == 1
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("text", ["not json", "[1]", '{"cluster": 3}'])
def test_a_tf_config_that_cannot_be_read_is_refused_in_words(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG cannot be read. Expected"):
        devices.choose(find_tpu=lambda: None, find_gpus=none)


TWO_DEVICES = """
import sys
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from cka_core.training import devices
from cka_core.training import fit as training
from cka_core.training.recipe import TrainSpec
from cka_core.base.store import Store

names = [device.name for device in tf.config.list_logical_devices("CPU")]
found = devices.choose(find_tpu=lambda: None, find_gpus=lambda: names)
assert (found.kind, found.replicas) == ("mirrored", 2), found
training.devices_module.choose = lambda **_: found
spec = TrainSpec("cifar-resnet-8x1", fraction=0.25, epochs=1, batch_size=256, augment=False)
record = training.train(spec, Store(sys.argv[1]))
print("loss", record["history"]["loss"][0], record["weights"], record["device"])
"""

ONE_HOST = """
import sys
from cka_core.training import fit as training
from cka_core.training.recipe import TrainSpec
from cka_core.base.store import Store

spec = TrainSpec("cifar-resnet-8x1", fraction=0.25, epochs=1, batch_size=256, augment=False)
record = training.train(spec, Store(sys.argv[1]))
print("loss", record["history"]["loss"][0], record["weights"], record["device"])
"""


def run(code: str, store: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(store)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def result(process: subprocess.Popen) -> tuple[float, str, str]:
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error[-3000:]
    _, loss, weights, words = out.strip().splitlines()[-1].split(" ", 3)
    return float(loss), weights, words


def test_two_devices_share_each_minibatch_and_reach_the_same_loss(tmp_path):
    """Batch norm sees half a minibatch on each device, so the loss is near the one of a single device, not equal."""
    two, _, words = result(run(TWO_DEVICES, tmp_path / "two"))
    one, _, _ = result(run(ONE_HOST, tmp_path / "one"))
    assert "2 GPUs share each minibatch" in words
    assert np.isclose(two, one, rtol=0.05)


def test_two_hosts_train_together_and_hold_the_same_network(tmp_path):
    from scripts.running import free_port

    workers = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    processes = [
        run(
            ONE_HOST,
            tmp_path / f"host{index}",
            TF_CONFIG=json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]
    results = [result(process) for process in processes]
    assert all("2 hosts share each minibatch" in words for *_, words in results)
    assert results[0][1] == results[1][1]
