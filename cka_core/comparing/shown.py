"""Which images both networks are shown, where activation sets have a say in it."""

from __future__ import annotations

import dataclasses
from typing import Any

from cka_core.base.progress import Progress, Report
from cka_core.base.store import Store
from cka_core.comparing.sources import check_made_so
from cka_core.images.sets import Images, image_sets
from cka_core.results import activation_sets
from cka_core.results.activation_sets import ActivationSet, Sample, shared_sample
from cka_core.results.comparison import CompareSpec
from cka_core.results.samples import drawn_text


def images_shown(
    spec: CompareSpec, sets: dict[str, ActivationSet], store: Store, report: Report
) -> tuple[Sample, Images | None]:
    """Which images are compared on, and the images themselves if a network is to see them.

    Activation sets were made from certain images in certain minibatches: anything else is refused.
    """
    sample = _images_of_sets(spec, sets, store) if sets else None
    if sample is not None and {spec.a.source, spec.b.source} == {"activations"}:
        return sample, None
    if sample is not None and not (sample.images or sample.digest or sample.assumed):
        raise ValueError(
            f"{_names(sets)} was made from {sample}: no network can be shown the same images. Compare it with another "
            "activation set of them."
        )
    if not spec.sample.images:
        raise ValueError(
            f"{_names(sets)} was made from {sample}. Say which these are, for the network: --images, --split, "
            "--samples, --seed."
        )
    report(Progress("loading images", 0, 1, f"loading {spec.sample.images}"))
    images = spec.sample.load(store)
    asked = Sample.of(spec.sample, images)
    if sample is not None and not (sample.is_sure_to_be(asked) or sample.may_be(asked)):
        raise ValueError(
            f"{_names(sets)} was made from other images than asked for, and refuses the comparison. Made from: "
            f"{sample}. Asked for: {asked}. Leave the images to the set, or make it again with these."
        )
    return asked, images


def _images_of_sets(spec: CompareSpec, sets: dict[str, ActivationSet], store: Store) -> Sample:
    """The images that the sets share; a ValueError where they share none, or they were made otherwise than asked."""
    for found in sets.values():
        check_made_so(found, spec.preprocessing, spec.batch_norm)
    sample, batch_size = shared_sample(sets.values())
    names = _names(sets)
    if batch_size != spec.batch_size:
        raise ValueError(
            f"{names} was made in minibatches of {batch_size} images, asked for are {spec.batch_size}. Compare with "
            f"batch size {batch_size}, or make it again with --batch-size {spec.batch_size}."
        )
    asked = spec.sample
    known = image_sets(store).get(asked.images)
    if asked.n is None and known is not None and asked.split in known.sizes:
        asked = dataclasses.replace(asked, n=known.sizes[asked.split])
    if {spec.a.source, spec.b.source} == {"activations"} and asked != sample.spec:
        raise ValueError(
            f"{names} was made from other images than asked for, and refuses the comparison. Made from: {sample}. "
            f"Asked for: {drawn_text(asked)}. Leave the images to the set, or make it again with these."
        )
    return sample


def assumed(spec: CompareSpec, sets: dict[str, ActivationSet], sample: Sample) -> list[str]:
    """What a comparison takes for granted about the order of images; nothing where files or digests say it."""
    found = {side.weights: sets[side.weights] for side in (spec.a, spec.b) if side.weights in sets}
    if len(found) == 2:
        one, other = found.values()
        told = [activation_sets.assumption(one, other.sample, other.name)]
    elif spec.a.identity == spec.b.identity:
        told = []
    else:
        named = [side.name for side in (spec.a, spec.b) if side.source != "activations"]
        whose = f"the images of {named[0]}"
        told = [activation_sets.assumption(one, sample, whose, both_files=False) for one in found.values()]
    return [sentence for sentence in told if sentence]


def _names(sets: dict[str, ActivationSet]) -> str:
    return " and ".join(found.name for found in sets.values())


def described(sample: Sample) -> dict[str, Any]:
    """A sample in a provenance: of unknown images only what is known."""
    fields = sample.to_json()
    if sample.images:
        del fields["label"]
        return fields
    return {key: fields[key] for key in ("n", "digest", "ids") if key in fields} | {"images": sample.label}
