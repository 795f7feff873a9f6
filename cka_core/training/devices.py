"""On what a training runs: CPU, one GPU, several, several hosts or a TPU; XLA and mixed precision.

After ``get_strategy`` of the original notebook, which follows Hugging Face's TensorFlow training arguments. What is
there decides, in this order: CPU if that is forced, a TPU, several hosts (``TF_CONFIG``), several GPUs, one GPU, CPU.
With several hosts the same command runs on each, and each keeps the network in a store of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

TPU_SIGNS = ("TPU_NAME", "COLAB_TPU_ADDR", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")
TPU_FILES = ("/dev/accel0", "/dev/vfio/0")
"""What a machine with a TPU has. Asking for one elsewhere waits for a server that is not there."""

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
"""What a processor that computes in bfloat16 says of itself in /proc/cpuinfo."""


@dataclasses.dataclass(frozen=True, eq=False)
class Devices:
    """What a training runs on, and why.

    Attributes
    ----------
    kind : "cpu", "gpu", "mirrored" (several GPUs), "multi-worker", "tpu", or "backend" (not TensorFlow)
    replicas : copies of the network that share each minibatch
    policy : Keras' dtype policy, "float32", "mixed_bfloat16" or "mixed_float16"
    xla : whether the training step is compiled by XLA
    reasons : a sentence for each choice
    strategy : tf.distribute.Strategy, None with a Keras backend other than TensorFlow
    """

    kind: str
    replicas: int
    policy: str
    xla: bool
    reasons: tuple[str, ...]
    strategy: Any = None

    @property
    def words(self) -> str:
        return " ".join(self.reasons)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Build and compile in here: variables are placed, and layers get the precision."""
        import keras

        before = keras.config.dtype_policy()
        place: Any = contextlib.nullcontext()
        if self.kind in ("cpu", "gpu"):
            # Not the strategy's scope: with it every epoch ends in waiting for the tuning thread of tf.data's iterator
            # for several devices, which wakes after 20, 41, 82 seconds and so on.
            place = keras.device(f"{self.kind}:0")
        elif self.strategy is not None:
            place = self.strategy.scope()
        keras.config.set_dtype_policy(self.policy)
        try:
            with place:
                yield
        finally:
            keras.config.set_dtype_policy(before)


def get_strategy(xla: bool = False, mixed_precision: bool = False, force_cpu: bool = False) -> Any:
    """The notebook's function: the `tf.distribute.Strategy` for this machine, with XLA and precision set globally.

    `choose` tells the same, and why, and sets nothing.
    """
    import keras
    import tensorflow as tf

    devices = choose(xla=xla, mixed_precision=mixed_precision, force_cpu=force_cpu)
    keras.config.set_dtype_policy(devices.policy)
    tf.config.optimizer.set_jit("autoclustering" if xla else False)
    return devices.strategy


def choose(
    *,
    xla: bool = False,
    mixed_precision: bool = False,
    force_cpu: bool = False,
    find_tpu: Callable[[], Any] | None = None,
    find_gpus: Callable[[], list[str]] | None = None,
) -> Devices:
    """Find out what is here and choose.

    Parameters
    ----------
    xla : compile the training step with XLA
    mixed_precision : compute in bfloat16 on a TPU and on processors that have it, in float16 on GPUs; weights stay
        float32. Elsewhere float32 stays, and ``reasons`` says so.
    force_cpu : pass by every accelerator
    find_tpu, find_gpus : return a resolver of a TPU or None, and names of GPUs; TensorFlow is asked if not given
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return _of_another_backend(keras.backend.backend(), xla, mixed_precision, force_cpu)
    import tensorflow as tf

    tpu = None if force_cpu else (find_tpu or _tpu)()
    hosts = 1 if force_cpu or tpu is not None else _hosts()
    several = _several_hosts() if hosts > 1 else None  # before TensorFlow is asked for devices, which settles them
    gpus = [] if force_cpu else (find_gpus or _gpus)()
    if force_cpu:
        kind, why = "cpu", "CPU: that was asked for."
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    elif tpu is not None:
        strategy = _tpu_strategy(tpu)
        kind, why = "tpu", f"TPU with {strategy.num_replicas_in_sync} cores: one was found."
    elif several is not None:
        strategy = several
        kind, why = "multi-worker", f"{hosts} hosts share each minibatch: TF_CONFIG names them."
    elif len(gpus) > 1:
        strategy = tf.distribute.MirroredStrategy(gpus)
        kind, why = "mirrored", f"{len(gpus)} GPUs share each minibatch; CUDA_VISIBLE_DEVICES chooses fewer."
    elif gpus:
        strategy = tf.distribute.OneDeviceStrategy(gpus[0])
        kind, why = "gpu", "One GPU: it is there."
    else:
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        kind, why = "cpu", "CPU: there is no GPU or TPU that TensorFlow can use."
    policy, about_precision = _precision(kind, bool(gpus), mixed_precision)
    reasons = [why, about_precision, "The step is compiled by XLA." if xla else ""]
    return Devices(kind, strategy.num_replicas_in_sync, policy, xla, tuple(filter(None, reasons)), strategy)


def _precision(kind: str, has_gpu: bool, wanted: bool) -> tuple[str, str]:
    if not wanted:
        return "float32", ""
    if kind == "tpu":
        return "mixed_bfloat16", "Mixed precision: a TPU computes in bfloat16."
    if kind in ("gpu", "mirrored") or (kind == "multi-worker" and has_gpu):
        return "mixed_float16", "Mixed precision: a GPU computes in float16, with the loss scaled."
    if _cpu_has_bfloat16():
        return "mixed_bfloat16", "Mixed precision: this processor computes in bfloat16."
    return "float32", "No mixed precision: this processor does not say that it computes in bfloat16."


def _of_another_backend(name: str, xla: bool, mixed_precision: bool, force_cpu: bool) -> Devices:
    """JAX and PyTorch place the network on the first accelerator by themselves."""
    import keras

    found = [] if force_cpu else [str(device) for device in _accelerators(keras)]
    if found:
        why = f"{name} on {found[0]}."
    else:
        why = f"{name} on the CPU: " + ("that was asked for." if force_cpu else "it sees no accelerator.")
    policy, about_precision = _precision("tpu" if "tpu" in why else "gpu" if found else "cpu", False, mixed_precision)
    reasons = (why, about_precision, "The step is compiled by XLA." if xla or name == "jax" else "")
    kind = "backend" if found else "cpu"
    return Devices(kind, 1, policy, xla, tuple(filter(None, reasons)))


def _accelerators(keras: Any) -> list[Any]:
    try:
        return [device for kind in ("gpu", "tpu") for device in keras.distribution.list_devices(kind)]
    except (RuntimeError, NotImplementedError, ValueError):  # how backends say that there is none
        return []


def _hosts() -> int:
    """How many hosts ``TF_CONFIG`` names; ValueError if it cannot be read."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 1
    try:
        cluster = json.loads(text).get("cluster", {})
        return sum(len(cluster.get(task, ())) for task in ("chief", "worker")) or 1
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            'TF_CONFIG cannot be read. Expected {"cluster": {"worker": ["HOST:PORT", …]}, '
            f'"task": {{"type": "worker", "index": 0}}}}, got {text[:80]!r} ({error}).'
        ) from error


@lru_cache(maxsize=1)
def _several_hosts() -> Any:
    """TensorFlow lets a process join the other hosts once."""
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def _gpus() -> list[str]:
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("GPU")]


def _tpu() -> Any:
    """A resolver of this machine's TPU; None where there is none."""
    here = any(os.path.exists(path) for path in TPU_FILES)
    if not here and not any(os.environ.get(name) for name in TPU_SIGNS):
        return None
    import tensorflow as tf

    try:
        return tf.distribute.cluster_resolver.TPUClusterResolver("local" if here else None)
    except ValueError:
        return None


def _tpu_strategy(tpu: Any) -> Any:
    import tensorflow as tf

    tf.config.experimental_connect_to_cluster(tpu)
    tf.tpu.experimental.initialize_tpu_system(tpu)
    return tf.distribute.TPUStrategy(tpu)


def _cpu_has_bfloat16() -> bool:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1] for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(BFLOAT16_FLAGS & set(flags.split()))
