"""The claims of Nguyen, Raghu & Kornblith 2021, arXiv 2010.15327, and what an atlas shows of them, in words.

How far a claim holds is decided by rules that are the same for every atlas: they stand in `evidence`, what each claim
is tested by in `growth` and `findings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from cka_core.atlas.blocks import was_there
from cka_core.atlas.numbers import seed_groups
from cka_core.atlas.result import Atlas
from cka_core.atlas.study import FITTED
from cka_core.base.words import count_text, counted
from cka_core.claims.evidence import Evidence, Numbers, Part, percent
from cka_core.claims.findings import different_errors, first_component, outside_and_inside, probes_and_deletion
from cka_core.claims.growth import block_structure


@dataclasses.dataclass(frozen=True)
class After:
    """A claim held against the ``networks`` trained after the rule was fixed alone: its verdict and why, in words."""

    networks: int
    holds: str
    text: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper and what an atlas shows of it.

    ``claim`` is the claim in one sentence, ``shows`` what is seen here, or why it cannot be said, ``caveat`` what to
    know before believing it, ``around`` what everything here rests on. ``parts`` are the differences that ``shows``
    tells, each with its own verdict, between ``why_not`` and ``more``; the first decides. ``numbers`` are the figures
    by name, shares of 1 (None for one that is not known). ``holds`` is "yes", "unclear", "no" or "cannot say".
    ``after`` is the same of the networks trained after the rule for a block was fixed; None where there are none, or no
    others.
    """

    key: str
    title: str
    claim: str
    shows: str
    caveat: str
    numbers: Numbers
    holds: str
    around: str
    parts: tuple[Part, ...] = ()
    why_not: str = ""
    more: str = ""
    after: After | None = None

    @property
    def primary(self) -> Part | None:
        """The part that decides; None where it is not known."""
        return self.parts[0] if self.parts and self.parts[0].figure else None


def claims(atlas: Atlas) -> tuple[Claim, ...]:
    """The paper's claims and what the atlas's studied networks show of each, in the order of `CLAIMS`."""
    atlas = atlas.studied
    around, after = setting(atlas), trained_after(atlas)
    found = []
    for key, (title, claim, gather) in CLAIMS.items():
        seen = gather(atlas)
        caveat = " ".join(filter(None, (seen.caveat, seen.missing)))
        parts = tuple(part for part in seen.parts if part.text)
        later = None if after is None else _after(gather(after), len(after.members))
        found.append(
            Claim(
                key, title, claim, seen.text, caveat, seen.figures, seen.verdict, around, parts, seen.why_not,
                seen.more, later,
            )
        )  # fmt: skip
    return tuple(found)


def trained_after(atlas: Atlas) -> Atlas | None:
    """The atlas of the networks trained after the rule was fixed; None where there are none, or no others."""
    later = [member.name for member in atlas.members if not was_there(member.weights)]
    return atlas.only(later) if 0 < len(later) < len(atlas.members) else None


def _after(seen: Evidence, networks: int) -> After:
    with_blocks = seen.numbers.get("with_blocks")
    told = "" if not with_blocks else f"{with_blocks} of {counted(networks, 'network')} have a block."
    first = next((part for part in seen.parts if part.text), None)
    if first is not None and first.figure:
        why = f"{first.figure} ({first.reach})."
    else:
        why = seen.why_not or (f"{first.text}." if first else "")
    return After(networks, seen.verdict, " ".join(filter(None, (told, f"{why[:1].upper()}{why[1:]}"))))


def setting(atlas: Atlas) -> str:
    """What everything here rests on: how many networks, how large, how many images and seeds, and which not fitted."""
    members, groups = atlas.members, seed_groups(atlas)
    sizes, images = [member.parameters for member in members], [member.train_images for member in members]
    seeds, epochs = [len(group) for group in groups], [int(member.recipe["epochs"]) for member in members]
    of = " of CIFAR-10's 50,000" if max(images) < 50_000 and atlas.sample.images.startswith("cifar10") else ""
    text = (
        f"Seen in {counted(len(members), 'network')} of {_range(sizes, count_text)} parameters, trained on "
        f"{_range(images, '{:,}'.format)}{of} images for {_range(epochs)} epoch{'' if max(epochs) == 1 else 's'}, "
        f"{_range(seeds)} seed{'' if max(seeds) == 1 else 's'} each."
    )
    missed = []
    for group in groups:
        missing = sum(not member.fitted for member in group)
        if missing:
            missed.append(group[0].title + ("" if missing == len(group) else f" ({missing} of {len(group)} seeds)"))
    if not missed:
        return text
    return f"{text} Not fitted (less than {percent(FITTED)} of the training images right): {', '.join(missed)}."


def _range(values: Iterable[int], show: Callable[[int], str] = str) -> str:
    low, high = (show(pick(values)) for pick in (min, max))
    return low if low == high else f"{low} to {high}"


CLAIMS: dict[str, tuple[str, str, Callable[[Atlas], Evidence]]] = {
    "block-structure": (
        "Large networks have blocks",
        "In networks that are deep or wide for their training set, a long range of layers becomes nearly the same.",
        block_structure,
    ),
    "first-component": (
        "A block is one direction carried on",
        "Layers in a block share a dominant first principal component; without it the block largely goes.",
        first_component,
    ),
    "probes-and-deletion": (
        "Inside a block, layers add little",
        "Inside a block linear probes stop rising, and layers can be deleted at little cost.",
        probes_and_deletion,
    ),
    "outside-and-inside": (
        "Each network has blocks of its own",
        "Layers outside blocks are alike across seeds and architectures; a block is like no other network's.",
        outside_and_inside,
    ),
    "errors": (
        "Wide and deep make different errors",
        "Wide and deep networks of the same accuracy get different classes and different images wrong.",
        different_errors,
    ),
}
"""Each claim's key, its title, the claim in one sentence, and what gathers the evidence."""
