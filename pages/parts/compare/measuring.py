"""Which measure: a picker above the map, and one cell of it under all of them."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cka_core.base.store import Store
from cka_core.comparing import estimate
from cka_core.measures import registry
from cka_core.measures.registry import MEASURES
from cka_core.results import ranks, views
from cka_core.results.comparison import find
from cka_core.results.spec import Several
from pages.parts import address, hiding
from pages.parts.compare import missing
from pages.parts.compare.which import OnScreen
from pages.parts.glossary import hint

USUAL = "cka"


def picker() -> str:
    """Choose the measure; the hint has what is to be known of the chosen one in a line each."""
    if hiding.hides("lenses"):
        return hiding.kept("measure", MEASURES, USUAL)
    address.read("measure", USUAL, MEASURES.__contains__)
    chosen = MEASURES[st.session_state["measure"]]
    name: str | None = st.selectbox(
        "Measure",
        list(MEASURES),
        index=list(MEASURES).index(chosen.name),
        format_func=lambda name: MEASURES[name].title,
        key="measure",
        width=160,
        help=address.plain(f"Unchanged by {chosen.invariant}.")
        + f"\n\nRange: {address.plain(chosen.range)}.\n\nWhere nothing is shared: {address.plain(chosen.chance)}."
        + f"\n\nMinibatches change {address.plain(chosen.minibatches)}.\n\n{address.plain(chosen.source)}"
        + (f"\n\n{hint('CKA', 'unbiased')}" if chosen.name == USUAL else ""),
    )
    name = name or USUAL
    address.write("measure", name, USUAL)
    return name


def title(measure: str) -> str:
    """What a measure is called; ``measure`` as it stands in a spec or the address."""
    return registry.measure(measure).title


def all_of_them(on: OnScreen, cell: tuple[str, str] | None, store: Store) -> None:
    """The same pair of layers under every measure, with its place among all pairs."""
    if on.spec is None:
        st.caption("Opened from the Library: other measures need its networks. Compare them again.")
        return
    specs = {name: replace(on.spec, measure=name) for name in MEASURES}
    found = {name: result for name, spec in specs.items() if (result := find(spec, store)) is not None}
    lacking = [name for name in specs if name not in found]
    if found:
        shown = chosen_or_example(on, cell)
        if shown is None:
            return
        st.dataframe(
            ranks.under_each(found, *shown),
            hide_index=True,
            column_config={"value": st.column_config.NumberColumn(format="%.3f", help="Their scales differ.")},
        )
        st.caption(
            "Scales differ, so 0.6 of one measure is not 0.6 of another: compare places. None of them says that two "
            "layers compute the same; each says how alike they arrange these images, in one sense of alike."
        )
    if lacking:
        label = "Compute all measures" if len(lacking) == len(MEASURES) else f"Compute {_named(lacking)}"
        n, size = on.spec.sample.n or 0, on.spec.batch_size
        seconds = on.seconds(store) + estimate.measures_seconds(lacking, on.a, on.b, n, size)
        wanted = Several(tuple(specs[name] for name in lacking))
        missing.offer("several", wanted, label, f"{on.title}, all measures", seconds, store, key="measures")
    with st.expander("What each of them is"):
        st.dataframe(ranks.facts(), hide_index=True, row_height=70)


def _named(names: list[str]) -> str:
    return MEASURES[names[0]].title if len(names) == 1 else f"the {len(names)} others"


def chosen_or_example(on: OnScreen, cell: tuple[str, str] | None, help: str | None = None) -> tuple[str, str] | None:
    """The cell that a part is about, named in a line: the chosen one, else an example. None, which is said, where no
    cell has a number."""
    shown = cell or _example(on)
    if shown is None:
        st.caption("No cell of this map has a number.")
        return None
    which = "chosen above" if cell else "an example, as long as none is chosen"
    st.markdown(f"A {address.code(shown[0])} × B {address.code(shown[1])} :small[{which}]", help=help)
    return shown


def _example(on: OnScreen) -> tuple[str, str] | None:
    found = views.example_cell(on.comparison)
    if found is None:
        return None
    comparison = on.comparison
    return views.unique_names(comparison.layers_a)[found[0]], views.unique_names(comparison.layers_b)[found[1]]
