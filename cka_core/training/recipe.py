"""A training in plain values: the recipe, and the two presets it starts from.

"paper" is Nguyen, Raghu & Kornblith (2021, arXiv 2010.15327), appendix: SGD with momentum 0.9, cosine decay, L2 1e-4,
flip and pad-crop, batch 128 (the starting rate is higher here, since trainings are much shorter than their 300 epochs).
"notebook" is the original notebook: Adam, ImageNet start, batch 256, 10 epochs, every training image, last epoch kept.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from cka_core.base.keys import LATER, key_of, plain
from cka_core.base.records import LARGEST_WHOLE
from cka_core.base.store import Store
from cka_core.images.sets import ImageSet, held_by, image_set, image_sets
from cka_core.networks.architectures import APPLICATIONS, architecture
from cka_core.networks.fitting import DoesNotFit, plan

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "constant")
STARTS = ("random", "imagenet", "file")
FRACTIONS = (1.0, 0.5, 0.25, 0.0625)
"""Of the training images, as in the paper's section on training set size; any share above 0 is understood."""

LARGEST_BATCH = 4096
INPUT, CLASSES = (32, 32, 3), 10
"""What the networks that are trained here take, and how many classes they tell apart."""
FEWEST_IMAGES = 10
"""One a class."""


def why_not(found: ImageSet) -> str:
    """Why networks cannot be trained on an image set here, or ""."""
    if not found.classes:
        return f"{found.name} has no labels: there is nothing to learn. Bring it in with labels."
    if len(found.classes) > CLASSES:
        return f"{found.name} has {len(found.classes)} classes, and networks trained here tell {CLASSES} apart."
    if found.dtype != "uint8":
        return f"{found.name} is {found.dtype}, and networks are trained here on pixels from 0 to 255 (uint8)."
    if not {"train", "test"} <= set(found.sizes):
        return f"{found.name} has too few images to train on some and test on others."
    try:
        plan(found.shape, INPUT, "A network trained here")
    except DoesNotFit as error:
        return str(error)
    return ""


def check_trainable(found: ImageSet) -> None:
    """A ValueError where networks cannot be trained on an image set."""
    if problem := why_not(found):
        raise ValueError(problem)


def fit_words(name: str, store: Store | None = None, *, held: str = "") -> str:
    """What is done to the images of a set before networks are trained on them here: "resized from …", or "" where they
    are as they have to be."""
    return plan(image_set(name, store, held=held).shape, INPUT).words


def trainable(store: Store | None = None) -> list[str]:
    """The image sets that networks can be trained on, one's own first."""
    return [name for name, found in image_sets(store).items() if not why_not(found)]


def minibatches(images: int, batch_size: int) -> int:
    """How many minibatches an epoch of ``images`` has; the last may be smaller."""
    return math.ceil(images / batch_size)


@dataclasses.dataclass(frozen=True)
class TrainSpec:
    """A training in plain values.

    Attributes
    ----------
    architecture, images : names of `networks.architecture` and `images.IMAGE_SETS`
    fraction : share of the training images used, drawn balanced over the classes, the same ones for every seed
    epochs, batch_size, optimizer ("sgd" with momentum 0.9, or "adam"), learning_rate
    schedule : "cosine" decays the learning rate to 0 over all steps, "constant" keeps it
    l2 : adds l2 * sum(w**2) over all convolution and dense kernels to the loss
    augment : flip and pad-crop
    held_out : share of these images kept back to choose the best epoch; with 0 the last epoch is kept
    seed : of weights, held-out images, order and augmentation
    start : "random", "imagenet" or "file" (then ``start_digest`` is the SHA-256 of the weights file)
    epoch_images : what counts as an epoch, in images; 0 for all that are trained on. Fewer, and an epoch goes on where
        the one before left off, so that networks with unlike numbers of images have the same number of updates, the
        same learning rates along them and the same epochs
    keep_every : keep the weights after every so many epochs, to watch representations form; 0 keeps none
    held : of images of one's own, see `images.sets.SampleSpec`
    mixed_precision, xla, force_cpu : see `devices.get_strategy`
    deterministic : the same digits each time on the same machine, at some cost in speed
    """

    architecture: str
    images: str = "cifar10-mini"
    fraction: float = 1.0
    epochs: int = 40
    batch_size: int = 128
    seed: int = 0
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    schedule: str = "cosine"
    l2: float = 1e-4
    augment: bool = True
    held_out: float = 0.1
    start: str = "random"
    start_digest: str = ""
    keep_every: int = 0
    mixed_precision: bool = False
    xla: bool = False
    force_cpu: bool = False
    deterministic: bool = False
    epoch_images: int = dataclasses.field(default=0, metadata=LATER)
    held: str = dataclasses.field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        _check_types(self)
        architecture(self.architecture)
        if not self.held:
            object.__setattr__(self, "held", held_by(self.images))
        check_trainable(image_set(self.images, held=self.held))
        for name, value, valid in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("start", self.start, STARTS),
        ):
            if value not in valid:
                raise ValueError(f"Unknown {name} {value!r}. Valid: {', '.join(valid)}.")
        if self.start == "imagenet" and self.architecture not in APPLICATIONS:
            raise ValueError(
                f"There are no ImageNet weights for {self.architecture}, only for {', '.join(APPLICATIONS)}. "
                'Start with "random" weights, or from a file.'
            )
        for holds, expected, got in (
            (1 <= self.epochs <= 10_000, "at least 1 epoch, at most 10,000", self.epochs),
            (1 <= self.batch_size <= LARGEST_BATCH, f"a batch size from 1 to {LARGEST_BATCH:,}", self.batch_size),
            (0 <= self.seed <= LARGEST_WHOLE, f"a seed from 0 to {LARGEST_WHOLE:,}", self.seed),
            (0 < self.fraction <= 1, "0 < fraction <= 1", self.fraction),
            (0 <= self.held_out < 1, "0 <= held_out < 1", self.held_out),
            (0 < self.learning_rate < math.inf, "learning_rate > 0", self.learning_rate),
            (0 <= self.l2 < math.inf, "l2 >= 0", self.l2),
        ):
            if not holds:
                raise ValueError(f"Expected {expected}, got {got}.")
        if not 0 <= self.keep_every <= self.epochs:
            raise ValueError(
                f"Expected weights to be kept every 1 to {self.epochs} epochs, or never (0), got {self.keep_every}."
            )
        if not 0 <= self.epoch_images <= self.chosen_images:
            raise ValueError(
                f"Expected an epoch of 1 to {self.chosen_images:,} images, as many as are trained on, or 0 for all of "
                f"them, got {self.epoch_images}."
            )
        if self.training_images < FEWEST_IMAGES:
            of = image_set(self.images, held=self.held).sizes["train"]
            raise ValueError(
                f"Expected at least {FEWEST_IMAGES} images to train on, got {self.training_images}: fraction "
                f"{self.fraction:g} of the {of:,} training images of {self.images}, {self.held_out:g} of them held out."
            )
        if (self.start == "file") != bool(self.start_digest):
            raise ValueError('Expected start_digest, the SHA-256 of a weights file, with start "file" and only there.')

    @property
    def key(self) -> str:
        values = plain(self)
        held = values.pop("held", "")
        return key_of(values | ({"images": held} if held else {}))

    @property
    def training_images(self) -> int:
        """How many images an epoch trains on."""
        return self.epoch_images or self.chosen_images

    @property
    def updates(self) -> int:
        """How often the whole training changes the weights: once a minibatch."""
        return self.epochs * minibatches(self.training_images, self.batch_size)

    @property
    def epochs_kept(self) -> range:
        """The epochs before the last after which the weights are kept."""
        return range(self.keep_every, self.epochs, self.keep_every) if self.keep_every else range(0)

    @property
    def chosen_images(self) -> int:
        """How many images are trained on."""
        chosen = round(image_set(self.images, held=self.held).sizes["train"] * self.fraction)
        return chosen - round(chosen * self.held_out)

    @property
    def default_name(self) -> str:
        """ARCHITECTURE-IMAGES-sSEED, with the share of the images where it is not all of them."""
        share = "" if self.fraction == 1 else f"-{self.fraction:g}"
        return f"{self.architecture}-{self.images}{share}-s{self.seed}"

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainSpec:
        return cls(**values)


USUAL_RATES = {"sgd": 0.05, "adam": 1e-3}
"""Learning rates that each optimizer usually learns well with."""

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "notebook": {
        "epochs": 10, "batch_size": 256, "optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant", "l2": 0.0,
        "augment": False, "held_out": 0.0, "start": "imagenet",
    },
}  # fmt: skip
"""What each preset changes of `TrainSpec`'s defaults."""
FORMER_PRESETS = {"seed": "notebook"}
"""What presets were called before, which commands that were written down then still say."""


def preset_values(preset: str, name: str) -> dict[str, Any]:
    """Every value of a recipe for an architecture, by the names of `TrainSpec`'s fields."""
    fields = {field.name: field.default for field in dataclasses.fields(TrainSpec)}
    values = fields | PRESETS[preset]
    if values["start"] == "imagenet" and name not in APPLICATIONS:
        values["start"] = "random"  # there are none for it
    return {key: value for key, value in values.items() if key not in ("architecture", "seed", "start_digest")}


KINDS: dict[str, tuple[type, str]] = {
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (bool, "true or false"),
}


def _check_types(spec: TrainSpec) -> None:
    """ValueError unless every value is of its field's type. A whole number where any will do becomes a float, so that
    1 and 1.0 are one recipe."""
    for field in dataclasses.fields(spec):
        value, (kind, words) = getattr(spec, field.name), KINDS[str(field.type)]
        if kind is float and type(value) is int:
            object.__setattr__(spec, field.name, float(value))
        elif type(value) is not kind:
            raise ValueError(f"Expected {field.name} to be {words}, got {value!r}.")


class TrainingFailed(ValueError):
    """The training cannot go on as specified; the message says why and what to change."""


class Diverged(TrainingFailed):
    """The loss or the weights are not numbers any more; ``lower_rate`` is a learning rate to start again with."""

    def __init__(self, spec: TrainSpec, when: str, rate: float):
        self.lower_rate = float(f"{min(spec.learning_rate / 5, USUAL_RATES[spec.optimizer]):.2g}")
        began = "" if spec.schedule == "constant" else f" (it began with {spec.learning_rate:.3g})"
        super().__init__(
            f"The loss is not finite in {when}, at learning rate {rate:.3g}{began}. Start again with a lower one, such "
            f"as {self.lower_rate:g}: --learning-rate {self.lower_rate:g}."
        )


SLOW_MOMENTUM = 0.99
"""Of batch norm's moving averages in the networks of `keras.applications`."""

REMAINS = {"random": 0.05, "imagenet": 1e-6, "file": 1e-6}
"""Share of its starting averages that batch norm may still hold at the end, by `TrainSpec.start`. Variances learned on
pixels up to 255 are 65,000 times those of pixels up to 1, so that a small rest of them still drowns everything."""


def batch_norm_momentum(spec: TrainSpec, images: int) -> float | None:
    """The momentum of batch norm's moving averages where the network's own is too slow; None where it is not.

    At inference batch norm takes its moving averages. With momentum 0.99 they need 300 minibatches to leave where they
    began, 1,400 to leave ImageNet's; a shorter training of ``images`` images an epoch would be measured with averages
    that are not its own. Learning does not use them, so it stays the same: they only follow fast enough to arrive
    halfway through.
    """
    steps = spec.epochs * minibatches(images, spec.batch_size)
    remains = REMAINS[spec.start]
    if spec.architecture not in APPLICATIONS or SLOW_MOMENTUM**steps <= remains:
        return None
    return round(min(SLOW_MOMENTUM, remains ** (2 / steps)), 4)


def about_batch_norm(spec: TrainSpec, images: int) -> str:
    """The same in words; empty where the network's own momentum stays."""
    momentum = batch_norm_momentum(spec, images)
    if momentum is None:
        return ""
    steps = spec.epochs * minibatches(images, spec.batch_size)
    return (
        f"Only {steps:,} minibatches in all: batch norm's moving averages follow with momentum {momentum:g} instead of "
        f"{SLOW_MOMENTUM:g}, or held-out and test images would be measured with averages from before the training. "
        "What is learned stays the same."
    )
