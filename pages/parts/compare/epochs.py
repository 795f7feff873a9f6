"""Where a network kept its weights along its training: which epoch of it, and its map at all of them."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cka_core.base.store import Store
from cka_core.library import catalogue, siblings
from cka_core.library.catalogue import NetworkInfo
from cka_core.results.comparison import CompareSpec, find
from cka_core.results.spec import Several
from pages.parts import address, holding
from pages.parts.compare import missing

END = "end"


def slider(side: str, info: NetworkInfo, store: Store) -> None:
    """Under the picker of a network: the epoch, where it kept some. ``side`` is "a" or "b"."""
    kept = siblings.kept_epochs(info, store)
    if not kept:
        return
    name, _, epoch = info.spec.name.partition("@")
    key = f"epoch of {side}"
    holding.put(key, epoch or END)

    def moved() -> None:
        chosen = st.session_state[key]
        address.put(side, name if chosen == END else f"{name}@{chosen}")

    on_change = holding.on_choice(key, moved)
    st.select_slider(f"Epoch of {side.upper()}", [*map(str, kept), END], key=key, on_change=on_change)


def all_of_them(spec: CompareSpec, a: NetworkInfo, b: NetworkInfo, seconds: float, store: Store) -> None:
    """Offer the maps at every kept epoch that are not there, so that the slider shows each at once.

    A network compared with itself is so at every epoch. ``seconds`` is what one of them takes.
    """
    wanted = []
    for side, info in {"a": a, "b": b}.items():
        for epoch in siblings.kept_epochs(info, store):
            at = catalogue.by_name(f"{info.spec.name.partition('@')[0]}@{epoch}", store).spec
            itself = a.spec == b.spec
            wanted.append(
                replace(spec, a=at if itself or side == "a" else spec.a, b=at if itself or side == "b" else spec.b)
            )
    lacking = [one for one in dict.fromkeys(wanted) if find(one, store) is None]
    if lacking:
        title = f"{a.title} × {b.title}, every kept epoch"
        label = f"Compare {len(lacking)} kept epochs"
        missing.offer("several", Several(tuple(lacking)), label, title, seconds * len(lacking), store, key="epochs")
