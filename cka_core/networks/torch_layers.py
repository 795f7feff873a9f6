"""A PyTorch model and images in, Gram matrices of every layer out, made as the layers run.

Forward hooks take a layer's tensor before anything after it can change it, make its Gram matrix on its device and keep
nothing else. The model runs as its own code says, in evaluation mode, and is left as it was.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from cka_core.base import failures
from cka_core.measures.centring import LayerGram
from cka_core.measures.grams import GramBatch, one_blas_thread
from cka_core.networks.activations import StepReport
from cka_core.networks.inputs import attention_mask
from cka_core.networks.layers import Choice, Layer, fits
from cka_core.networks.tokens import check_tokens, reduced
from cka_core.networks.torch_calls import (
    BatchAxis,
    DidNotRun,
    Output,
    Seen,
    find_outputs,
    leaves,
    named,
    origin,
)
from cka_core.networks.torch_gram import torch_gram
from cka_core.networks.torch_inputs import count, cut, described, device_of, moved, place
from cka_core.networks.torch_queue import GramQueue
from cka_core.networks.torch_watching import as_it_was, scripted, watched

if TYPE_CHECKING:
    import torch

TRIALS = (5, 3)
"""Images with which a model is tried. Where a tensor has another axis as long as the images, the second trial tells."""

QUEUES = ("cuda",)
"""Devices that work on while Python goes ahead, and lose much of their time where it waits for each layer."""

Forward = Callable[[Any, Any], Any] | None
"""How to call a model: ``forward(model, batch)``. None: ``model(x)`` with a batch's first, or ``model(**batch)``."""


class TorchExtractor:
    """Runs a model and gives the Gram matrices of its layers, a minibatch at a time.

    Parameters
    ----------
    model : torch.nn.Module
    example : a batch of images such as those that will be given; a few of them find the layers
    layers, batch_axis : see `layers.Choice` and `torch_calls.BatchAxis`
    tokens : what becomes of (images, tokens, features), see `tokens.reduced`
    forward : see `Forward`

    Attributes
    ----------
    layers, all_layers : tuple of Layer
        The layers kept; and all that can be asked for, containers and calls with several tensors too.
    left_out : dict of layer name -> why it cannot be compared
    steps : how many times `grams` reports on a minibatch
    """

    def __init__(
        self,
        model: torch.nn.Module,
        example: Any,
        *,
        layers: Choice = None,
        tokens: str = "flatten",
        forward: Forward = None,
        batch_axis: BatchAxis = None,
    ):
        check_tokens(tokens)
        self.model = _eager(model)
        self.name = type(self.model).__name__
        self.tokens, self.forward = tokens, forward
        self._check_keywords(example)
        outputs = self._try(example, batch_axis)
        self.left_out = {
            output.layer.name: output.reason for output in outputs if output.reason and not output.passed_on
        } | {name: "it is TorchScript, whose calls cannot be watched" for name in scripted(self.model)}
        usable = [output for output in outputs if not output.reason]
        self.all_layers = tuple(output.layer for output in usable) + tuple(
            Layer(output.called, output.layer.kind, ()) for output in usable if output.called != output.layer.name
        )
        self._check_batch_axis(batch_axis, outputs)
        self._check_left_out(layers)
        self._chosen = _chosen(usable, layers)
        self.layers = tuple(output.layer for output in self._chosen)
        self.steps = len(self.layers)

    @property
    def is_queued(self) -> bool:
        """Whether it runs on a device that works on while Python goes ahead."""
        return device_of(self.model).type in QUEUES

    def weights_digest(self) -> str:
        """32 hex digits that change with the model's parameters and buffers."""
        state = [(name, value) for name, value in self.model.state_dict().items() if hasattr(value, "detach")]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            sums = list(pool.map(lambda item: _checksum(item[1]), state))
        about = [(name, str(value.dtype), tuple(value.shape)) for name, value in state]
        return hashlib.sha256(repr(list(zip(about, sums, strict=True))).encode()).hexdigest()[:32]

    def grams(self, batch: Any, first: int = 0, report: StepReport | None = None) -> GramBatch:
        """Gram matrices of all layers on one minibatch.

        ``batch`` is a tensor, array, tuple or dict (see `Forward`); ``first`` the position of its first image in the
        sample, for messages; ``report`` is called after each layer with its number from 1 and its position.
        """
        made = GramBatch.empty([layer.name for layer in self.layers], count(batch), first)
        rows = range(len(self._chosen))
        if not self.is_queued:
            self._take_rows(made, batch, rows, report, lambda row, x: made.put(row, self._made(made, row, x)))
            return made
        queue = GramQueue(made.triangles, made.m)
        self._take_rows(made, batch, rows, report, queue.add)
        again = queue.finish()
        for row, one in queue.made.items():
            made.put(row, one)
        if again:
            self._take_rows(made, batch, again, None, lambda row, x: made.put(row, self._made(made, row, x)))
        return made

    def _made(self, made: GramBatch, row: int, x: torch.Tensor) -> LayerGram:
        return torch_gram(x, self.layers[row].name, first=made.first, out=made.triangles[row])

    def _take_rows(
        self,
        made: GramBatch,
        batch: Any,
        rows: Sequence[int],
        report: StepReport | None,
        take: Callable[[int, torch.Tensor], None],
    ) -> None:
        """Run the model once; ``take`` is called with each of these rows and its activations, images first."""
        import torch

        wanted: dict[tuple[str, int], list[tuple[int, Output]]] = {}
        for row in rows:
            output = self._chosen[row]
            wanted.setdefault((output.module, output.call), []).append((row, output))
        missing = set(rows)
        taking: list[int] = []  # a row, while it is: what ends then is no fault of the model's
        calls: dict[str, int] = {}
        mask = self._mask(batch)

        def hook(name: str) -> Callable[[Any, Any, Any], None]:
            def hooked(module: Any, args: Any, value: Any) -> None:
                call = calls.get(name, 0)
                calls[name] = call + 1
                for row, output in wanted.get((name, call), ()):
                    found = leaves(value)
                    taking.append(row)
                    if output.leaf < len(found):
                        take(row, self._images_first(made, output, found[output.leaf][1].detach(), mask))
                        missing.discard(row)
                        if report is not None:
                            report(len(rows) - len(missing), row + 1, row + 1)
                    taking.pop()

            return hooked

        with as_it_was(self.model) as handles, one_blas_thread():
            names = {module for module, _ in wanted}
            for name, module in watched(self.model):
                if name in names:
                    handles.append(module.register_forward_hook(hook(name)))
            try:
                self._run(batch)
            except Exception as error:
                if taking or isinstance(error, MemoryError | torch.OutOfMemoryError):
                    raise
                raise self._refusal(batch, failures.in_short(error), error) from error
        if missing:
            raise ValueError(
                f"Layer {self.layers[min(missing)].name!r} of {self.name} did not run for images {made.first:,} to "
                f"{made.first + made.m - 1:,}, but for the first few. Name the layers that run for every image "
                "(layers=…)."
            )

    def _images_first(self, made: GramBatch, output: Output, x: torch.Tensor, mask: Any) -> torch.Tensor:
        name = output.layer.name
        if output.axis >= x.dim() or x.shape[output.axis] != made.m:
            raise ValueError(
                f"Layer {name!r} of {self.name}: expected {made.m} images on axis {output.axis}, got shape "
                f"{tuple(x.shape)}. Leave this layer out (layers=…), or say which axis is the images' (batch_axis=…)."
            )
        x = x.movedim(output.axis, 0) if output.axis else x
        return reduced(x, self.tokens, mask if mask is None else mask.to(x.device))

    def _mask(self, batch: Any) -> Any:
        mask = attention_mask(batch)
        return None if mask is None else moved(mask, device_of(self.model))

    def _run(self, batch: Any) -> Any:
        device, types = place(self.model)
        if self.forward is not None:
            return self.forward(self.model, moved(batch, device))
        if isinstance(batch, Mapping):
            return self.model(**moved(batch, device, types))
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        return self.model(moved(x, device, types))

    def _try(self, batch: Any, batch_axis: BatchAxis) -> list[Output]:
        """The model's outputs on a few images; on all of the batch where it cannot be cut or wants no fewer."""
        images = count(batch)
        trials: list[tuple[int, list[Seen]]] = []
        for number in (*(number for number in TRIALS if number < images), images):
            part = batch if number == images else cut(batch, images, number)
            if part is None:
                continue
            try:
                trials.append((number, find_outputs(self.model, partial(self._run, part))))
            except DidNotRun as error:  # made for one size of batch, maybe: tried with all of it then, or fails there
                if number == images and not trials:
                    raise self._refusal(batch, str(error), error.__cause__) from error.__cause__
                continue
            if len(trials) == 2 or not any(number in seen.shape[1:] for seen in trials[0][1]):
                break
        return named(trials, batch_axis)

    def _refusal(self, batch: Any, why: str, error: BaseException | None) -> DidNotRun:
        """In words, on what the model did not run, why, and what to do."""
        _, types = place(self.model)
        given = described(batch, types if self.forward is None else (), whole=self.forward is not None)
        todo = "Give images of the shape and the type that it takes"
        if self.forward is not None:
            todo = "Change forward, or the images"
        elif isinstance(error, TypeError):
            todo = "Say how it is called: forward=lambda model, batch: …"
        return DidNotRun(f"{self.name} does not run on {given}, {why}. {todo}.")

    def _check_keywords(self, batch: Any) -> None:
        """Refuse a dict whose keys are not what the model takes, where nobody says how it is called."""
        if self.forward is not None or not isinstance(batch, Mapping):
            return
        try:
            inspect.signature(self.model.forward).bind(**batch)
        except TypeError as error:
            raise ValueError(
                f"A dict is passed as keywords, and {self.name}.forward does not take {', '.join(map(repr, batch))} "
                f"({error}). Say how it is called: forward=lambda model, batch: model(batch[{next(iter(batch))!r}])."
            ) from error

    def _check_batch_axis(self, batch_axis: BatchAxis, outputs: list[Output]) -> None:
        for pattern in batch_axis if isinstance(batch_axis, Mapping) else ():
            names = [output.layer.name for output in outputs]
            if not any(pattern in (o.layer.name, o.called) or fits(o.layer.name, pattern) for o in outputs):
                near = difflib.get_close_matches(pattern, names, 3, 0.4) or names[:3]
                raise ValueError(
                    f"No layer is called {pattern!r} in {self.name} (batch_axis). Near it: {', '.join(near)}."
                )

    def _check_left_out(self, layers: Choice) -> None:
        for pattern in () if layers is None or callable(layers) else layers:
            if pattern in self.left_out:
                raise ValueError(f"Layer {pattern!r} of {self.name} cannot be compared: {self.left_out[pattern]}.")


def _chosen(outputs: list[Output], layers: Choice) -> list[Output]:
    """The outputs asked for. What a container passes on is among them by name or kind, and by a pattern that asks for
    the container and for none of those whose tensor it is."""
    if layers is None:
        return [output for output in outputs if not output.passed_on]
    if callable(layers):
        return [output for output in outputs if not output.passed_on and layers(output.layer)]
    names = {name for output in outputs for name in (output.layer.name, output.called)}
    exact = {pattern for pattern in layers if pattern in names}
    patterns = [pattern for pattern in layers if pattern not in names]
    found = {
        origin(output)
        for output in outputs
        if output.layer.name in exact or output.called in exact or output.layer.kind in patterns
    }
    fitting = [output for output in outputs if any(fits(output.layer.name, pattern) for pattern in patterns)]
    found |= {origin(output) for output in fitting if not output.passed_on}
    for output in fitting:  # what is inside comes first
        if found.isdisjoint(output.passed_on):
            found.add(origin(output))
    return [output for output in outputs if origin(output) in found]


def _eager(model: Any) -> Any:
    """The model that a compiled one was made of; ValueError for one whose modules cannot be watched."""
    import torch

    model = getattr(model, "_orig_mod", model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError(
            "Expected a PyTorch model, got TorchScript, whose layers cannot be watched. Pass the model it was made of."
        )
    if device_of(model).type == "meta":
        raise ValueError(
            f"{type(model).__name__} is on the device 'meta', where tensors have no numbers. Load its weights first."
        )
    lazy = [name for name, value in model.named_parameters() if torch.nn.parameter.is_lazy(value)]
    if lazy:
        raise ValueError(f"{type(model).__name__} has parameters without values yet ({lazy[0]}). Run it once first.")
    return model


def _checksum(value: torch.Tensor) -> int:
    import torch

    value = value.detach().to_dense() if value.layout is not torch.strided else value.detach()
    return zlib.crc32(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
