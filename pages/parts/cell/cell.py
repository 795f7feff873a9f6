"""One cell of a map, opened: both layers' Gram matrices, their images, those that make the value, the map without some.

Drawn in the browser (view.js); walking over the map, pointing and ordering stay there. What is sent for all layers at
once goes through a component of its own (holder.js), so that Streamlit sends it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import streamlit as st

from cka_core.base import deployment, words
from cka_core.base.keys import key_of
from cka_core.base.store import Store
from cka_core.comparing import cell as cells
from cka_core.comparing import estimate, kept_grams
from cka_core.comparing.kept_grams import KeptGrams
from cka_core.jobs import submit
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.measures.jackknife import FEW_IMAGES
from cka_core.results import trust, views
from cka_core.results import words as result_words
from cka_core.results.comparison import Comparison
from pages.parts import address, drawn, glossary, hiding, visitor, widgets
from pages.parts.compare import the_map

FOLDER = Path(__file__).parent
KEY = "cell_view"
HTML = '<div class="cell-view" hidden></div><div class="left-out" hidden></div>'
TERMS = ("Gram matrix", "first component", "effective dimension")
ONE_AT_A_TIME = Lock()
"""Leaving images out reads the Gram matrices of all layers: tens of megabytes, for one visitor at a time."""


@lru_cache(maxsize=1)
def script() -> str:
    """A component's script is one module without imports."""
    files = [FOLDER.parent / "learn" / "drawing.js", *(FOLDER / f"{name}.js" for name in SCRIPTS)]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


SCRIPTS = ("kept", "walk", "layers", "left_out", "view")


@lru_cache(maxsize=1)
def holder() -> str:
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("kept", "holder"))


def show(
    comparison: Comparison,
    shown: Comparison,
    networks: tuple[NetworkInfo, NetworkInfo] | None,
    titles: tuple[str, str],
    chosen: tuple[str, str] | None,
    colours: str,
    on_cell: Callable[[str, str], None],
    store: Store,
    *,
    marked: tuple[str, str] | None = None,
    faded: bool = False,
) -> None:
    """Under the map: the ``chosen`` cell (a layer of A, one of B) opened, and the keys that walk over the map.

    ``marked`` is the cell to mark on the map where none is opened. ``shown`` has the layers that the map shows.
    ``networks`` is None where they may not be here. ``on_cell`` is called with layers. ``faded``: the map is about to
    be replaced, and nothing more is offered to be computed.
    """
    if hiding.hides("cell"):
        return
    names = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    at, mark = (
        [own.index(name) for own, name in zip(names, cell, strict=True)] if cell else None for cell in (chosen, marked)
    )
    of = drawn.digest(comparison, titles)
    kept = _find(comparison, networks, at, titles, store, faded)
    name = key_of([of, kept.n, kept.whole, kept.passes]) if kept else ""
    detail, left, problem = None, "", ""
    if kept is not None and at is not None:
        try:
            _hold("first", _first_look(name, of, at, kept, comparison, store))  # on screen at once
            detail = _detail(name, at[0], at[1], kept, store)
            left, problem, maps = _left_out(name, kept, colours, store)
        except (LookupError, ValueError) as error:  # removed from the store meanwhile, or damaged
            st.info(address.plain(str(error)), icon=":material/info:")
            kept = None
        else:
            if maps:
                _hold("left_out", maps)
    _view(
        {
            "of": of, "name": name, "cell": at, "here": kept is not None if at else None, "titles": titles,
            "marked": mark,
            "rows": _positions(comparison.layers_a, shown.layers_a),
            "columns": _positions(comparison.layers_b, shown.layers_b),
            "detail": detail, "left": left, "problem": problem, "runs": _asked().get("count of asking", 0),
            "glossary": {term: glossary.explain(term) for term in TERMS},
        },
        names, on_cell,
    )  # fmt: skip
    if kept is not None and at is not None:  # last, while the cell is on screen already
        try:
            _hold("overview", _overview(name, of, kept, comparison, store))
        except (LookupError, ValueError) as error:
            st.info(address.plain(str(error)), icon=":material/info:")


def _positions(layers: Sequence[Any], shown: Sequence[Any]) -> list[int]:
    """Where the layers that are shown stand among all; everywhere, where they are another network's."""
    left = iter(enumerate(layers))
    found = [next((position for position, layer in left if layer == one), -1) for one in shown]
    return found if -1 not in found else list(range(len(layers)))


def _find(
    comparison: Comparison,
    networks: tuple[NetworkInfo, NetworkInfo] | None,
    at: list[int] | None,
    titles: tuple[str, str],
    store: Store,
    faded: bool,
) -> KeptGrams | None:
    """The Gram matrices of both networks, where a cell is chosen; where there are none, why, and the way to them."""
    if at is None:
        return None
    if networks is None:
        st.caption("Nothing more can be shown of this cell: the networks of this map are not here.")
        return None
    a, b = networks
    kept = kept_grams.find(a.spec, b.spec, comparison, store)
    if not faded and (kept is None or not kept.whole):
        _ask(kept, a, b, comparison, titles, store)
    return kept


def _ask(
    kept: KeptGrams | None,
    a: NetworkInfo,
    b: NetworkInfo,
    comparison: Comparison,
    titles: tuple[str, str],
    store: Store,
) -> None:
    """The one button that has the Gram matrices of a map computed by a worker."""
    wanted = kept_grams.asking(a.spec, b.spec, comparison, store)
    told = comparison.provenance.get("images") or {}
    few = kept is not None and wanted is not None and wanted.sample.n == kept.n
    if wanted is None and kept is None:
        st.caption(
            "This cell cannot be opened: the Gram matrices that the map was made of are not here, and no network is "
            "here that could make them. Import the activation sets again."
        )
    if wanted is None or few:
        return
    if visitor.only_looks():
        if kept is None:
            st.caption(f"The Gram matrices behind this map are not kept. {deployment.ONLY_TO_LOOK_AT}")
        return
    job = submit.status(wanted.key, store)
    if job is not None and widgets.at_work(job):
        widgets.job_progress(wanted.key)
        return
    if job is not None and job.state == submit.FAILED:
        st.error(address.plain(job.error or "No reason is known."), icon=":material/error:")
    count = wanted.sample.n or 0
    seconds = words.seconds_text(estimate.estimate_seconds(a, b, count, wanted.batch_size, store))
    if kept is None:
        part = "" if count == told.get("n") else f", on {count} of the images: of all, they would take too much room"
        st.caption(f"To open this cell, the Gram matrices of both networks are needed once more{part}.")
        label = f"Open this cell (≈ {seconds})"
    else:
        label = f"Look at all {told.get('n'):,} images, not only {kept.n} (≈ {seconds})"
    no_use = visitor.cannot_act_yet()
    if widgets.pressed(label, key="open the cell", icon=":material/grid_on:", disabled=no_use):
        title = network_words.pair_title(a, b)
        if visitor.attempt(lambda: submit.submit("compare", wanted, title, store, visitor.here())):
            st.rerun()


def _first_look(name: str, of: str, at: list[int], kept: KeptGrams, comparison: Comparison, store: Store) -> bytes:
    """The first cell that a visitor opens of a map, without waiting for all layers; the same for the cells after it, so
    that it is sent once."""
    first = st.session_state.get("first look")
    if first is None or first["name"] != name:
        first = st.session_state["first look"] = {"name": name, "at": at}
    return _only(name, first["at"][0], first["at"][1], of, kept, comparison, store)


@st.cache_resource(max_entries=32, show_spinner=False)
def _only(name: str, row: int, column: int, of: str, _kept: KeptGrams, _comparison: Comparison, _store: Store) -> bytes:
    return cells.overview(_kept, _comparison, _store, of, (row, column))


@st.cache_resource(max_entries=4, show_spinner=False)
def _overview(name: str, of: str, _kept: KeptGrams, _comparison: Comparison, _store: Store) -> bytes:
    return cells.overview(_kept, _comparison, _store, of)


@st.cache_data(max_entries=128, show_spinner=False)
def _detail(name: str, row: int, column: int, _kept: KeptGrams, _store: Store) -> dict[str, Any]:
    found = cells.cell(_kept, row, column, _store)
    return {"cell": [row, column], **found, "words": _words(found, _kept.n) + _of_passes(_kept)}


def _of_passes(kept: KeptGrams) -> str:
    """That a map of several passes is of other minibatches, too, than those looked at here."""
    if kept.passes == 1 or not kept.whole:
        return ""
    return f" This is of the first of {kept.passes} passes over the images, the map of all of them."


def _words(found: dict[str, Any], n: int) -> str:
    """What the images that add most amount to, in a few sentences."""
    if found["cka"] is None:
        return "One of the two layers has no CKA on these images."
    count, (n_a, n_b) = len(found["images"]), found["n_eff"]
    text = f"Together these {count} of {n:,} images add {_said(found['together'])} of a CKA of {_said(found['cka'])}. "
    if found["without"] is not None:
        text += f"Without them CKA is {_said(found['without'])}. "
    text += f"Effectively {trust.whole(n_a)} images decide A’s layer, {trust.whole(n_b)} B’s."
    return text + (
        f" Few images decide (under {FEW_IMAGES}): others might give another value."
        if min(n_a, n_b) < FEW_IMAGES
        else ""
    )


def _said(value: float) -> str:
    return result_words.number(value).replace("-", "−")


def _asked() -> dict[str, Any]:
    """Which images are to be left out, of which Gram matrices."""
    asked: dict[str, Any] = st.session_state.setdefault("left out", {})
    return asked


def _left_out(name: str, kept: KeptGrams, colours: str, store: Store) -> tuple[str, str, bytes]:
    """Of the images that the reader wants left out: a name for the maps, what is wrong, and the maps, packed."""
    images = _asked().get("images")
    if images is None or _asked().get("name") != name:  # of another map
        return "", "", b""
    key = key_of([name, images, colours])
    try:
        return key, "", _maps(key, kept, images, colours, store)
    except ValueError as error:
        return "", str(error), b""


@st.cache_resource(max_entries=8, show_spinner=False)
def _maps(key: str, _kept: KeptGrams, _images: list[int] | int, _colours: str, _store: Store) -> bytes:
    from cka_core.atlas.grid import palette  # here, so that the first page does not wait for it

    with ONE_AT_A_TIME:
        left = cells.without(_kept, _images)
    count = len(left.images)
    which = f"the {count} most influential" if isinstance(_images, int) else f"these {count}"
    told = f"Without {which} of {_kept.n:,} images. Influence is an image’s mean share in all layers’ own HSIC."
    told += _of_passes(_kept)
    return cells.packed_left(_kept, left, palette(_colours), _store, {"name": key, "words": told})


def _hold(which: str, packed: bytes) -> None:
    """Send what all runs of the page share to the browser, once."""
    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    st.components.v2.component(f"cell_{which}", js=holder())(data=packed, key=f"cell_{which}")


def _view(data: dict[str, Any], names: tuple[list[str], list[str]], on_cell: Callable[[str, str], None]) -> None:
    def heard(event: str) -> dict[str, Any]:
        found = (st.session_state.get(KEY) or {}).get(event)
        return found if isinstance(found, dict) and found.get("of") == data["of"] else {}

    def moved() -> None:
        cell = the_map.layers_at(heard("move").get("cell"), names)
        if cell is not None:
            on_cell(*cell)

    def leave() -> None:
        asked = heard("leave")
        images: Any = asked.get("images", asked.get("count"))
        if isinstance(images, list) and all(isinstance(image, int) for image in images):
            images = sorted(images)
        elif not isinstance(images, int):
            return
        count = _asked().get("count of asking", 0) + 1
        st.session_state["left out"] = {"name": data["name"], "images": images, "count of asking": count}

    view = st.components.v2.component(
        KEY, html=HTML, js=script(), css=(FOLDER / "cell.css").read_text(encoding="utf-8")
    )
    view(data=data, key=KEY, on_move_change=moved, on_leave_change=leave)
