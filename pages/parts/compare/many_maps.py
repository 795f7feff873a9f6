"""Several networks at once: a small map for each pair, which opens the pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.results.comparison import find
from cka_core.results.spec import Several
from pages.parts import address, drawn
from pages.parts.compare import missing
from pages.parts.compare.choosing import show
from pages.parts.compare.which import NEEDS_NETWORKS, OnScreen

MOST = 6
LEAST_COLUMNS = 3
"""So that one map alone is not as wide as the page."""
KEY = "networks"


def grid(on: OnScreen, networks: Mapping[str, NetworkInfo], colours: str, store: Store) -> None:
    """Choose up to six networks; every pair is a small map, with the images and the measure of the large one."""
    if on.spec is None:
        st.caption(NEEDS_NETWORKS)
        return
    spec = on.spec
    sets = bool(on.a.activations or on.b.activations)
    known = {**networks, on.a.spec.name: on.a, on.b.spec.name: on.b}  # a link may name others than those listed
    choices = {name: info for name, info in known.items() if bool(info.activations) == sets}
    usual = [name for name in dict.fromkeys((on.a.spec.name, on.b.spec.name)) if name in choices]
    labels = network_words.network_labels(choices)
    address.read(KEY, usual, lambda text: _all_known(text, choices), lambda text: text.split(",")[:MOST])
    here = [name for name in st.session_state[KEY] if name in labels]
    chosen = st.multiselect(
        "Networks", list(labels), default=here, format_func=labels.__getitem__, key=KEY, max_selections=MOST,
        help="The images, minibatches and measure are those of the map above.",
    )  # fmt: skip
    address.write(KEY, ",".join(chosen), ",".join(usual))
    pairs = [(one, other) for place, one in enumerate(chosen) for other in chosen[: place + 1]]
    specs = {(one, other): replace(spec, a=choices[one].spec, b=choices[other].spec) for one, other in pairs}
    titles = dict(zip(chosen, network_words.titles_of([choices[name] for name in chosen]), strict=True))
    lacking = []
    for place, one in enumerate(chosen):
        columns = st.columns(max(len(chosen), LEAST_COLUMNS))
        for column, other in zip(columns, chosen[: place + 1], strict=False):
            result = find(specs[one, other], store)
            name = f"{titles[one]} × {'itself' if one == other else titles[other]}"
            with column:
                if result is None:
                    lacking.append((one, other))
                    st.caption(f"{address.plain(name)}: not compared yet")
                else:
                    st.image(drawn.thumbnail(result, colours), width="stretch")
                st.button(name, key=f"open {one} {other}", type="tertiary", on_click=show, args=(one, other))
    if len(chosen) < 2:
        st.caption("Choose more networks: each is compared with itself and with every other.")
    if lacking:
        seconds = sum(
            estimate.estimate_seconds(choices[one], choices[other], spec.sample.n or 0, spec.batch_size, store)
            for one, other in lacking
        )
        wanted = Several(tuple(specs[pair] for pair in lacking))
        label = f"Compare the {len(lacking)} missing pairs" if len(lacking) > 1 else "Compare the missing pair"
        missing.offer("several", wanted, label, f"{len(chosen)} networks", seconds, store, key="missing pairs")


def _all_known(text: str, networks: Mapping[str, NetworkInfo]) -> bool:
    return all(name in networks for name in text.split(","))
