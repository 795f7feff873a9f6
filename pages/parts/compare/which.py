"""Which comparison is on screen when the one that was asked for is not there yet, or came from the Library."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from cka_core.base.store import Store
from cka_core.library import catalogue, inventory
from cka_core.library.catalogue import NetworkInfo
from cka_core.results.comparison import CompareSpec, Comparison, find


def last_shown(store: Store) -> tuple[Comparison, NetworkInfo, NetworkInfo] | None:
    """The map that was on screen before another comparison was asked for; it stays until that one is there."""
    if "shown" not in st.session_state:
        return None
    spec = CompareSpec.from_json(st.session_state["shown"])
    comparison = find(spec, store)
    try:
        networks = catalogue.find(spec.a.name, store), catalogue.find(spec.b.name, store)
    except ValueError:  # deleted or renamed since
        return None
    return (comparison, *networks) if comparison is not None else None


def opened(spec: CompareSpec, store: Store) -> tuple[Comparison, NetworkInfo, NetworkInfo] | None:
    """A comparison that the Library opened by its key, since its networks are not here; until something is chosen."""
    key = st.query_params.get("result")
    if key is None:
        return None
    chosen = st.session_state.setdefault(f"chosen when {key} was opened", asdict(spec))
    found = inventory.opened(key, store) if chosen == asdict(spec) else None
    if found is None:
        del st.query_params["result"]
        st.session_state.pop(f"chosen when {key} was opened")
    return found
