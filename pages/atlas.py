"""The atlas: do wide and deep networks learn the same things? Many networks at a glance, and what explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from cka_core.atlas import grid as atlas_places
from cka_core.atlas import pairs as atlas_pairs_of
from cka_core.atlas import views as atlas_views
from cka_core.atlas.result import Atlas, listed
from cka_core.base.store import Store
from cka_core.results import views
from cka_core.results.colours import COLOURS
from pages.parts import address, hiding, holding, widgets
from pages.parts.atlas import behaviour as atlas_behaviour
from pages.parts.atlas import beyond as atlas_beyond
from pages.parts.atlas import claims as atlas_claims
from pages.parts.atlas import grid as atlas_grid
from pages.parts.atlas import network as atlas_network
from pages.parts.atlas import pairs as atlas_pairs
from pages.parts.atlas import tour as atlas_tour
from pages.parts.glossary import hint

BUILD = "python -m cka_core atlas build STUDY.toml"
TABS = ("One network", "Two networks", "Wide against deep")
BELOW = ("network", "without", "view", "one", "other", "over", "wide", "deep")  # asked of what is below the grid
WITH, WITHOUT = "with", "without"
WORDS = {
    "atlas": "the atlas",
    "network_seed": "the training",
    "layers": "the layers",
    "component": "the first component",
    "colours": "the colours",
    "epoch": "the epoch",
    "network": "the network",
    "without": "the map",
    "one": "network A",
    "other": "network B",
    "over": "the map",
    "wide": "the wide network",
    "deep": "the deep network",
    "view": "the view",
}


@st.cache_resource(max_entries=4, show_spinner=False)
def load(folder: str, changed: float) -> Atlas:
    """An atlas is read once for everybody; ``changed`` makes one that was built again another one."""
    return Atlas.load(folder)


@st.cache_data(max_entries=64, show_spinner=False)
def grid_values(
    folder: str, changed: float, training: int, removed: str, kinds: str, colours: str, _atlas: Atlas
) -> dict[str, Any]:
    return atlas_places.grid_values(_atlas, training, removed, kinds, colours)


def choose(store: Store) -> tuple[Path, list[str]] | None:
    """The folder of the atlas asked for, and the names of all; None where there is none."""
    found = listed(store)
    if not found:
        st.title("Atlas", anchor=False)
        st.info(
            "There is no atlas yet. An atlas is a study of many networks, compared at once: "
            f"write the study in a small file, then  \n`{BUILD}`",
            icon=":material/grid_view:",
        )
        return None
    if len(found) == 1:  # there is no picker, which would say what a link asks for in vain
        st.session_state["atlas"] = next(iter(found))
        address.check("atlas", found.__contains__)
    name = st.session_state.get("atlas") or st.query_params.get("atlas")
    return found.get(name or "", next(iter(found.values()))), list(found)


def switches(atlas: Atlas, names: list[str]) -> tuple[int, str, str, str]:
    """The one line above the grid: seed, layers, first component, colours."""
    with st.container(horizontal=True, vertical_alignment="top", key="switches"):
        if len(names) > 1:
            widgets.choice("Atlas", names, "atlas", width=160)
        trainings = [str(number) for number in range(atlas_places.trainings(atlas))]
        if st.session_state.get("network_seed") not in (None, *trainings):  # another atlas does not have it
            address.forget("network_seed")
        address.read("network_seed", trainings[0], trainings.__contains__)  # bound, it would stand there as "second"
        training = st.segmented_control(
            "Training", trainings, default=st.session_state["network_seed"], required=True, key="network_seed",
            format_func=ordinal, help=hint("seed", after="Networks that differ in it alone should learn the same."),
        )  # fmt: skip
        address.check("layers", views.KINDS.__contains__)
        kinds = st.pills(
            "Layers", list(views.KINDS), default="every layer", required=True, key="layers", bind="query-params",
            help=hint("layer", "representation"),
        )  # fmt: skip
        address.check("component", (WITH, WITHOUT).__contains__)
        component = hiding.kept("component", (WITH, WITHOUT), WITH)
        if not hiding.hides("lenses"):
            component = st.segmented_control(
                "First component", (WITH, WITHOUT), default=WITH, required=True, key="component", bind="query-params",
                help=hint("first component", after="Without it, each map is computed from what is left."),
            )  # fmt: skip
        colours = widgets.choice("Colours", COLOURS, "colours", width=120)
    return int(training), kinds, "component" if component == WITHOUT else "nothing", colours


def ordinal(training: str) -> str:
    return {"0": "first", "1": "second", "2": "third"}.get(training, f"{int(training) + 1}th")


def epoch_asked(shown: list[int]) -> int:
    """The epoch in the address; the last one else. It is read here, since the slider lives in the grid."""
    last = shown[-1] if shown else 0
    address.read("epoch", last, lambda text: text.isdecimal() and int(text) in shown, int)
    if st.session_state["epoch"] not in shown:
        st.session_state["epoch"] = last
    address.write("epoch", str(st.session_state["epoch"]), str(last))
    epoch: int = st.session_state["epoch"]
    return epoch


def network_asked(atlas: Atlas, training: int) -> str:
    """The network in the large view. Another training or another atlas keeps the architecture, where it is there."""
    names = [member.name for member in atlas.members]
    default = atlas_views.example(atlas).name
    address.read("network", default, names.__contains__)
    if st.session_state["network"] not in names:
        st.session_state["network"] = default
    before, st.session_state["training before"] = st.session_state.get("training before", training), training
    if before != training and not holding.went_through_history():  # the browser's Back names the network, too
        own = atlas_pairs_of.seeds_of(atlas, atlas.member(st.session_state["network"]))
        if training < len(own):
            st.session_state["network"] = own[training].name
    name: str = st.session_state["network"]
    address.write_together({"network_seed": (str(training), "0"), "network": (name, default)})
    return name


def open_network(name: str) -> None:
    address.put("network", name)
    if hiding.left(TABS[:1]):
        address.put("view", TABS[0])
        atlas_grid.scroll_down()


def screen() -> None:
    address.through_the_app()
    atlas_grid.arrive(any(key in st.query_params for key in BELOW))
    store = Store()
    found = choose(store)
    if found is None:
        return
    folder, names = found
    changed = (folder / "atlas.json").stat().st_mtime
    try:
        atlas = load(str(folder), changed)
    except ValueError as error:
        if len(names) > 1:
            widgets.choice("Atlas", names, "atlas", width=160)
        st.error(address.plain(str(error)), icon=":material/error:")
        return
    notes = st.container()
    training, kinds, removed, colours = switches(atlas, names)
    try:
        views_of(atlas, folder, changed, training, kinds, removed, colours, store)
    except ValueError as error:  # of an array that cannot be read, which shows when it is first asked for
        st.error(address.plain(str(error)), icon=":material/error:")
    with notes:
        address.show_notes(WORDS, {"network_seed": ordinal})


def views_of(
    atlas: Atlas, folder: Path, changed: float, training: int, kinds: str, removed: str, colours: str, store: Store
) -> None:
    """The grid, and when it is drawn what is below it."""
    shown = atlas_views.epochs(atlas, atlas_places.grid(atlas, training).along, removed)
    epoch, network = epoch_asked(shown), network_asked(atlas, training)
    hidden = hiding.hides("tour")
    maps, tour = (st.container(), None) if hidden else st.columns([2.1, 1], gap="large")
    with maps:
        values = grid_values(str(folder), changed, training, removed, kinds, colours, atlas)
        atlas_grid.small_maps(
            values, network, epoch, "large", on_open=open_network,
            on_epoch=lambda at: address.put("epoch", at),
        )  # fmt: skip
    if tour is not None:
        with tour:
            atlas_tour.panel(atlas)
    if not atlas_grid.is_drawn():
        return  # the grid first: all else keeps the browser busy, and is drawn when it says that the grid is there
    one, two, behaviour = large_tabs()
    if one and one.open:
        with one:
            atlas_network.section(atlas, network, epoch, kinds, colours, store)
    if two and two.open:
        with two:
            atlas_pairs.section(atlas, kinds, colours)
    if behaviour and behaviour.open:
        with behaviour:
            atlas_behaviour.section(atlas, store)
    if not hiding.hides("claims"):
        atlas_claims.cards(atlas, str(folder), changed)
    if not hiding.hides("beyond"):
        atlas_beyond.cards(atlas, str(folder), changed, store)


def large_tabs() -> list[Any]:
    """The tabs below the grid, None for one that the address hides."""
    shown = hiding.left(TABS)
    if st.session_state.get("view") not in (None, *shown):
        del st.session_state["view"]
    opened: dict[str, Any] = {}
    with st.container(key="large"):
        if shown:
            address.check("view", shown.__contains__)
            found = st.tabs(shown, key="view", on_change="rerun", bind="query-params")
            opened = dict(zip(shown, found, strict=True))
    return [opened.get(title) for title in TABS]


screen()
