"""A Keras model and images in, Gram matrices of every layer out; activations are never kept.

The model runs in segments of a few layers, each a traced function. After a segment its Gram matrices are computed and
its activations dropped, so that memory holds one segment, however many layers and images there are. TensorFlow's
threads and the matrix product's take turns instead of disturbing each other at every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cka_core.measures.grams import GramBatch
from cka_core.networks import inputs
from cka_core.networks.building import weights_checksums, weights_digest
from cka_core.networks.inputs import Entering
from cka_core.networks.layer_graph import BATCH_NORMS, INFERENCE, Call, Input, Key, embedding_rows, layer_graph
from cka_core.networks.layers import Choice, Layer, check_patterns, matching
from cka_core.networks.preprocessing import AUTO, Pixels, check, check_fits, check_form, check_range, chosen, pixels
from cka_core.networks.segments import Planned, Segment, traced
from cka_core.networks.tokens import check_tokens, reduced

if TYPE_CHECKING:
    import keras

SEGMENT_FEATURES = 33_000
"""Activations of one image in a segment: 34 MB of float32 for a minibatch of 256, and two of the largest layers of
Keras' ResNets on 32 x 32 images, so that both threads have one. A larger layer is its own segment."""

PART_LAYERS = 24
"""Layers whose Gram matrices are given at a time, where not all are kept: enough for one efficient product."""

StepReport = Callable[[int, int, int], None]
"""Called after each segment with its number from 1 and the positions, from 1, of the first and last layer done."""


class Extractor:
    """Runs a model and gives the Gram matrices of its layers, a minibatch at a time.

    Parameters
    ----------
    model : keras.Model, with one input or several
    layers : which to keep, see `Choice`
    preprocessing : one of `preprocessing.FORMS`: how pixels enter the network
    batch_norm : "inference", or "train": batch norm takes the statistics of each minibatch, and keeps none
    tokens : what becomes of outputs (images, tokens, features), see `tokens.reduced`

    Attributes
    ----------
    layers, all_layers : tuple of Layer
        The layers kept, and all that there are, in the network's order.
    steps : int
        How many times `grams` reports on a minibatch.
    repeats : dict of position -> position
        Layers whose Gram matrix is that of another, such as a padding's.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Choice = None,
        preprocessing: str = AUTO,
        batch_norm: str = INFERENCE,
        tokens: str = "flatten",
    ):
        _check_backend()
        check_form(preprocessing)
        check_batch_norm(batch_norm)
        check_tokens(tokens)
        self.tokens = tokens
        self.model = model
        self.name = model.name
        self.preprocessing = preprocessing
        self.batch_norm = batch_norm
        self._graph = layer_graph(model)
        self._chosen = matching(self._graph.layers, layers)
        if not self._chosen:
            check_patterns(layers, {model.name: self._graph.layers})
        self.all_layers = self._graph.layers
        self.layers = tuple(self._graph.layers[i] for i in self._chosen)
        self._names = [layer.name for layer in self.layers]
        place = {position: index for index, position in enumerate(self._chosen)}
        same = self._graph.same_gram if tokens == "flatten" else {}  # a padding's mean over tokens is another
        self.repeats = {
            place[i]: place[source]
            for i, source in same.items()
            if i in place and source in place and _same_tokens(self.all_layers[source], self.all_layers[i])
        }
        self._segments = self._cut()
        self._checksums: list[int] = []
        self._digest = ""

    @property
    def steps(self) -> int:
        return len(self._segments)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(None, ...): what the network takes; ValueError where it has several inputs."""
        return self._graph.input.shape

    @property
    def takes_ids(self) -> bool:
        """Whether an `Embedding` looks up what enters; ValueError where it has several inputs."""
        return embedding_rows(self._graph, self._graph.input) is not None

    @property
    def input_names(self) -> tuple[str, ...]:
        """What its inputs are called, in the order of ``model.inputs``."""
        return tuple(entry.name for entry in self._graph.inputs)

    def weights_digest(self) -> str:
        """`networks.weights_digest`, computed again only if a weight has changed."""
        checksums = weights_checksums(self.model)
        if checksums != self._checksums:
            self._checksums, self._digest = checksums, weights_digest(self.model)
        return self._digest

    def pixels(self, x: Entering) -> Pixels:
        """In what form images enter the network, and why; of several inputs in the form and why of each."""
        each = {entry.name: chosen(self.preprocessing, self._graph, entry, array) for entry, array in self._entries(x)}
        if len(each) == 1:
            return next(iter(each.values()))
        return Pixels(
            ", ".join(f"{name}: {pixels.form}" for name, pixels in each.items()),
            ", ".join(f"{name}: {pixels.why}" for name, pixels in each.items()),
        )

    def check_images(self, x: Entering, called: str = "") -> None:
        """Refuse images that the network cannot take, by shape, type or range; ``called`` is its name in messages."""
        for entry, array in self._entries(x):
            form = chosen(self.preprocessing, self._graph, entry, array).form
            try:
                check(array, self.preprocessing, self._graph, entry)
                check_range(array, form)
            except ValueError as error:
                if len(self._graph.inputs) == 1:
                    raise
                raise ValueError(f"{entry.name!r} of {self.name}: {error}") from error
            check_fits(array, self._graph, entry, form, called or self.name)

    def _entries(self, x: Entering) -> list[tuple[Input, np.ndarray]]:
        """Each input with the array that enters there."""
        given = inputs.by_name(inputs.of_network(x, self.input_names, self.name), self.input_names)
        return [(entry, np.asanyarray(given[entry.name])) for entry in self._graph.inputs]

    def grams(self, x: Entering, first: int = 0, report: StepReport | None = None) -> GramBatch:
        """Gram matrices of all layers on one minibatch.

        ``x`` (m, ...) images, or a dict of them by the names of the inputs, in which an ``attention_mask`` (m, tokens)
        says which tokens count; ``first`` the position of the first in the sample, for messages; ``report`` is called
        after each segment with its number from 1 and the positions of the first and last layer done.
        """
        batch = GramBatch.empty(self._names, inputs.count(x), first)
        for positions, arrays in self.activations(x, report):
            batch.fill(arrays, positions)
            del arrays  # before the next segment makes its own
        for position, source in self.repeats.items():
            batch.repeat(position, source)
        return batch

    def parts(
        self, x: Entering, first: int = 0, report: StepReport | None = None
    ) -> Iterator[tuple[GramBatch, list[int]]]:
        """The same, some layers at a time, with their positions, for those who need not keep them all."""
        segments = self.activations(x, report)
        for members in self._groups():
            group = [position for segment in members for position in segment.recorded]
            batch = GramBatch.empty([self._names[position] for position in group], inputs.count(x), first)
            place = {position: row for row, position in enumerate(group)}
            for _ in members:
                positions, arrays = next(segments)
                batch.fill(arrays, [place[position] for position in positions])
                del arrays
            repeated = [position for position, source in self.repeats.items() if source in place]
            rows = [place[self.repeats[position]] for position in repeated]
            yield batch.extended(rows, [self._names[position] for position in repeated]), [*group, *repeated]
        for _ in segments:  # the last report
            pass

    def _groups(self) -> list[list[Segment]]:
        """Segments with at least `PART_LAYERS` layers together: what `parts` gives at a time."""
        groups: list[list[Segment]] = [[]]
        for segment in self._segments:
            if sum(len(member.recorded) for member in groups[-1]) >= PART_LAYERS:
                groups.append([])
            groups[-1].append(segment)
        return groups

    def activations(
        self, x: Entering, report: StepReport | None = None
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Run segment by segment; of each the positions of its layers and their activations, to be used and dropped.

        A layer whose Gram matrix is another's (see `repeats`) is left out.
        """
        values: dict[Key, Any] = {}
        mask = inputs.attention_mask(x)
        for entry, array in self._entries(x):
            check(array, self.preprocessing, self._graph, entry)
            form = chosen(self.preprocessing, self._graph, entry, array).form
            check_fits(array, self._graph, entry, form, self.name)
            values[entry.key] = _as_tensor(pixels(array, form, entry.dtype), entry.dtype)
        for number, segment in enumerate(self._segments, start=1):
            results = segment.function(*(values[key] for key in segment.needs))
            made = dict(zip(segment.outputs, results, strict=True))
            values = {key: made[key] if key in made else values[key] for key in segment.keeps}
            tensors = (made[self._graph.tensors[self._chosen[i]]] for i in segment.recorded)
            arrays = [reduced(_as_array(tensor), self.tokens, mask) for tensor in tensors]
            del made, results
            yield list(segment.recorded), arrays
            del arrays
            if report is not None:
                done = segment.recorded or (0,)
                report(number, done[0] + 1, done[-1] + 1)

    def _cut(self) -> list[Segment]:
        """Cut the calls into segments of at most `SEGMENT_FEATURES` recorded activations, as far as needed."""
        recorded_by_key: dict[Key, list[int]] = {}
        for index, position in enumerate(self._chosen):
            if index not in self.repeats:
                recorded_by_key.setdefault(self._graph.tensors[position], []).append(index)
        last = max(i for i, call in enumerate(self._graph.calls) if any(k in recorded_by_key for k in call.outputs))
        calls = self._graph.calls[: last + 1]
        groups: list[list[Call]] = [[]]
        features = 0
        for call in calls:
            size = sum(self._size(key) for key in call.outputs if key in recorded_by_key)
            if groups[-1] and features + size > SEGMENT_FEATURES:
                groups.append([])
                features = 0
            groups[-1].append(call)
            features += size
        planned = []
        later: set[Key] = set()
        for group in reversed(groups):
            made = {key for call in group for key in call.outputs}
            read = {key for call in group for key in call.inputs}
            recorded = [index for key in made for index in recorded_by_key.get(key, ())]
            keeps = tuple(sorted(later))
            needs = tuple(sorted(read - made))
            outputs = tuple(sorted((made & later) | {self._graph.tensors[self._chosen[i]] for i in recorded}))
            planned.append(Planned(tuple(group), needs, keeps, tuple(sorted(recorded)), outputs))
            later = (later - made) | set(needs)
        return traced(planned[::-1], self._graph.inputs, self.batch_norm)

    def _size(self, key: Key) -> int:
        size = 1
        for side in self._graph.specs[key][0][1:]:
            size *= side or 32
        return size


def _same_tokens(one: Layer, other: Layer) -> bool:
    """Whether a mask of tokens leaves out the same of both, if their numbers are the same but for their order."""
    shapes = {one.shape, other.shape}
    return all(len(shape) != 2 for shape in shapes) or (len(shapes) == 1 and other.kind != "Permute")


def check_batch_norm(mode: str) -> None:
    """Refuse a mode of batch norm that there is not."""
    if mode not in BATCH_NORMS:
        raise ValueError(f"Unknown batch norm mode {mode!r}. Valid: {', '.join(BATCH_NORMS)}.")


def _check_backend() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "A network's activations are taken with Keras' TensorFlow backend, got "
            f"{keras.backend.backend()!r}. Unset KERAS_BACKEND; networks trained with another backend load here."
        )


def _as_tensor(x: np.ndarray, dtype: str) -> Any:
    import tensorflow as tf

    return tf.cast(tf.constant(x), dtype)


def _as_array(tensor: Any) -> np.ndarray:
    """Activations as numpy has them: types that it lacks, such as bfloat16, as float32, which holds them exactly."""
    array = np.asarray(tensor)
    return array.astype(np.float32) if array.dtype.kind == "V" else array
