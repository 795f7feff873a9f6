"""Which comparison is on screen: the one asked for, the last one while it is not there yet, or one of the Library."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict

import streamlit as st

from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.jobs import submit
from cka_core.library import catalogue, inventory
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures import registry
from cka_core.results.comparison import MEASURE, CompareSpec, Comparison, find
from pages.parts import address, visitor

LABELS = {submit.FAILED: "Try again", submit.STOPPED: "Resume", submit.INTERRUPTED: "Resume"}
"""What the button says after a job that came to no end."""
NEEDS_NETWORKS = "Opened from the Library: this needs its networks. Compare them again."
"""Where something is to be computed with a comparison of which `OnScreen.spec` is None."""


@dataclasses.dataclass(frozen=True)
class OnScreen:
    """A comparison and its networks. ``spec`` asks for it; None where the networks may not be here. ``faded``: it only
    stays until another one is there."""

    comparison: Comparison
    a: NetworkInfo
    b: NetworkInfo
    spec: CompareSpec | None
    faded: bool = False

    @property
    def titles(self) -> tuple[str, str]:
        return network_words.titles(self.a, self.b)

    @property
    def title(self) -> str:
        return f"{self.titles[0]} × {'itself' if self.comparison.is_self else self.titles[1]}"

    @property
    def is_cka(self) -> bool:
        """Whether it is unbiased CKA, of which blocks and intervals are known."""
        return (self.comparison.provenance.get("measure") or MEASURE) == MEASURE

    def seconds(self, store: Store) -> float:
        """How long the same comparison would take again."""
        assert self.spec is not None
        return self.spec.passes * estimate.estimate_seconds(
            self.a, self.b, self.spec.sample.n or 0, self.spec.batch_size, store
        )


def last_shown(store: Store) -> OnScreen | None:
    """The map that was on screen before another comparison was asked for; it stays until that one is there."""
    if "shown" not in st.session_state:
        return None
    spec = CompareSpec.from_json(st.session_state["shown"])
    comparison = find(spec, store)
    try:
        a, b = catalogue.find(spec.a.name, store), catalogue.find(spec.b.name, store)
    except ValueError:  # deleted or renamed since
        return None
    return OnScreen(comparison, a, b, spec, faded=True) if comparison is not None else None


def opened(spec: CompareSpec, store: Store) -> OnScreen | None:
    """A comparison that the Library opened by its key, since its networks are not here; until something is chosen."""
    key = st.query_params.get("result")
    if key is None:
        return None
    chosen = st.session_state.setdefault(f"chosen when {key} was opened", asdict(spec))
    found = inventory.opened(key, store) if chosen == asdict(spec) else None
    if found is None:
        if chosen == asdict(spec):
            st.session_state["result that is not here"] = key, chosen
        del st.query_params["result"]
        st.session_state.pop(f"chosen when {key} was opened")
        return None
    return OnScreen(*found, None)


def not_here(spec: CompareSpec) -> str:
    """That a link asked for a result that is not here; until something is chosen. "" else."""
    key, chosen = st.session_state.get("result that is not here", ("", None))
    if chosen != asdict(spec):
        st.session_state.pop("result that is not here", None)
        return ""
    return f"The link asks for the result {address.code(key)}, which is not here. What is chosen is shown instead."


def why_no_map(spec: CompareSpec, title: str, refused: bool, job: submit.JobStatus | None, below: bool) -> str:
    """Where what was asked for is not there: what to do for it. ``below``: the last map stands below."""
    old = " Below, the last map." if below else ""
    if refused:
        return f"{title} cannot be compared: the reason stands in the form.{old}"
    if job is not None and job.state in (submit.QUEUED, submit.RUNNING):
        return "" if below else "The map appears here as soon as it is done."
    by = "" if spec.measure == MEASURE else f" by {registry.measure(spec.measure).title}"
    asked = f"{title} with {spec.sample.n:,} images is not compared yet{by}"
    if visitor.only_looks():
        return f"{asked}, and nothing can be computed here.{old}"
    press = LABELS.get(job.state if job else "", "Compare")
    return f"{asked}: press {press}.{old}"
