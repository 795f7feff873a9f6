"""How sure a network's blocks are: the interval of each fall, and what is found on one half of the images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from cka_core.atlas.result import Atlas, Member
from cka_core.base.progress import Progress, Report, silent
from cka_core.base.store import Store
from cka_core.library import catalogue
from cka_core.measures.block_falls import HALVED, Batches, on_halves, with_intervals
from cka_core.measures.grams import GramBatch
from cka_core.measures.hsic import minibatches
from cka_core.networks.layers import hidden
from cka_core.studies.steps import stored_grams


def measured(member: Member, batches: Batches) -> Member:
    """The network with what its Gram matrices in the end say of its blocks; as it is, if a minibatch is too small."""
    if any(batch.m < HALVED for batch in batches()):
        return member
    layers = hidden(member.layers)
    final = dataclasses.replace(member.final, blocks=with_intervals(member.final.blocks, batches, layers))
    halves = on_halves(batches, layers)
    return dataclasses.replace(member, snapshots=(*member.snapshots[:-1], final), halves=halves)


def measure(atlas: Atlas, store: Store, report: Report = silent) -> Atlas:
    """An atlas with the same of each of its networks that the library has, by name and weights; the others stay as
    they are. Their Gram matrices are left in the store (`steps.forget`)."""
    study, here, members = atlas.study, catalogue.networks(store), []
    parts = range(len(minibatches(atlas.facts["images"]["n"], study.batch_size)))
    for done, member in enumerate(atlas.members):
        report(Progress("measuring", done, len(atlas.members), member.name))
        if member.name in here and here[member.name].spec.weights == member.weights:
            index = study.names.index(member.name)

            def batches(index: int = index) -> Iterator[GramBatch]:
                return (stored_grams(study, index, at, store) for at in parts)

            member = measured(member, batches)
        members.append(member)
    return atlas.with_members(members)
