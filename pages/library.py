"""What is kept: networks, activation sets and comparisons, where each came from and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from cka_core.base import deployment, full_disk, words
from cka_core.base.keys import key_of
from cka_core.base.store import Store
from cka_core.library import belongings, inventory, keeping, usage
from cka_core.library.inventory import Row
from pages.parts import address, arriving, naming, visitor
from pages.parts.glossary import hint

ARRAYS = "from any framework an array for each layer, a row for each image: .npz, .npy, .safetensors, .h5."
EXTRACT = "python -m cka_core activations extract NETWORK --samples 768 --out acts.npz"
DAMAGED, TRASH = "Damaged", "Trash"
# Of the columns that differ from table to table, in pixels: name, what it is, how it was made.
WIDTHS = {
    "Networks": (230, 210, 410),
    "Activation sets": (240, 250, 360),
    "Images": (230, 210, 410),
    "Comparisons": (430, 130, 290),
}


def head(store: Store) -> None:
    """How full the store is, and the one place for files from elsewhere."""
    left, right = st.columns([1, 1], gap="medium")
    with left:
        st.title("Library", anchor=False)
        full = usage.budget(store)
        with st.container(key="budget"):
            st.progress(full.share, text=full.text)
        where = f"Kept in {address.plain(store.root)}" if visitor.owns("", store) else None  # no folder for a class
        st.caption(full.rest, help=where)
        visitor.other_device()
    with right:
        if visitor.only_looks():
            st.caption(deployment.ONLY_TO_LOOK_AT)
        else:
            arriving.zone(store)


def answer(place: str, store: Store) -> None:
    """Under a heading, where it was pressed: why it could not be done; what was just removed, and the way back."""
    refused = st.session_state.get("problem")
    if refused and refused[0] == place:
        del st.session_state["problem"]
        st.error(address.plain(refused[1]), icon=":material/error:")
    removed = st.session_state.get("removed")
    if not removed or removed[0] != place:
        return
    _, identifier, name = removed
    if not identifier:
        st.markdown(f"{address.code(name)} is yours no longer. Others made it, too, and it stays for them.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Removed {address.code(name)}.", width="content")
        st.button("Undo", icon=":material/undo:", type="tertiary", on_click=put_back, args=(identifier, place, store))


def put_back(identifier: str, place: str, store: Store) -> None:
    _attempt(lambda: keeping.restore(identifier, store, visitor.here()), place)
    st.session_state.pop("removed", None)


def columns(title: str) -> dict[str, Any]:
    name, what, how = WIDTHS[title]
    return {
        "name": st.column_config.TextColumn("Name", width=name),
        "what it is": st.column_config.TextColumn("What it is", width=what),
        "how it was made": st.column_config.TextColumn("How it was made", width=how),
        "origin": st.column_config.TextColumn("Origin", width=95),
        "made": st.column_config.DatetimeColumn("When", format="D MMM YYYY, HH:mm", width=150),
        "size": st.column_config.NumberColumn("Size", format="%d kB", width=90),
    }


def shelf(title: str, rows: Sequence[Row], empty: str, store: Store) -> None:
    """One table of one kind, and under it what can be done with the row chosen."""
    st.markdown(f"## {title} :gray[:small[{len(rows)}]]")
    if not rows:
        answer(title, store)
        empty = "None." if visitor.only_looks() else empty  # what is advised there cannot be done here
        st.markdown(empty, help=hint("layer", "representation") if "layer" in empty else None)
        return
    # A table that changed is another table: a choice never slides to the row below a removed one.
    event = st.dataframe(
        inventory.table(rows),
        hide_index=True,
        column_config=columns(title),
        on_select="rerun",
        selection_mode="single-row",
        key=f"{title} {key_of([row.key for row in rows])}",
        height="auto" if len(rows) <= 8 else 335,
        alt=f"{title}, newest first",
    )
    answer(title, store)
    chosen = event["selection"]["rows"]
    if not chosen or chosen[0] >= len(rows):
        done = "open or download it" if visitor.only_looks() else "open, download, rename or delete it"
        st.caption(f"Choose a row to {done}.")
        return
    actions(rows[chosen[0]], title, store)


def actions(row: Row, place: str, store: Store) -> None:
    """What can be done with one thing of the table under the heading ``place``."""
    st.markdown(f"{address.code(row.name, 100)}  \n:small[{address.plain(row.what)} · {address.plain(row.how)}]")
    with st.container(horizontal=True):
        if row.address:
            arriving.go("Open" if row.kind == "comparisons" else "Compare with …", row.address, f"open {row.kind}")
        data, ending = _download(row, store)
        st.download_button(
            "Download",
            data,
            "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in row.name) + ending,
            "application/octet-stream",
            key=f"download {row.kind}",
            icon=":material/download:",
            on_click="ignore",
            disabled=not row.whole,
            help=None if row.whole else "Some of it is missing, or it is not known whose it is.",
        )
        if row.fixed:
            st.caption("Comes with CKA Explorer: it stays as it is.")
            return
        if not belongings.is_ones_own(visitor.here(), row.kind, row.key, store):
            return
        if row.kind in keeping.NAMED:
            with st.popover("Rename", icon=":material/edit:"):
                naming.field(row.kind, row.key, store, button="Rename", attempt=lambda rename: _attempt(rename, place))
        st.button(
            "Delete",
            key=f"delete {row.kind}",
            icon=":material/delete:",
            help="It can be put back for 7 days. Comparisons made with it stay.",
            on_click=delete,
            args=(row, place, store),
        )


def delete(row: Row, place: str, store: Store) -> None:
    def remove() -> None:
        identifier = keeping.remove(row.kind, row.key, row.name, store, visitor.here())
        st.session_state["removed"] = place, identifier, row.name

    _attempt(remove, place)


def _attempt(action: Callable[[], object], place: str) -> None:
    """Do something; where it cannot be done, the reason stands under the heading ``place``."""
    try:
        action()
    except ValueError as error:
        st.session_state["problem"] = place, str(error)
    except OSError as error:
        said = full_disk.in_words(error, Store())
        st.session_state["problem"] = place, said or f"The store could not be changed: {error.strerror or error}."


def _download(row: Row, store: Store) -> tuple[Callable[[], bytes], str]:
    if row.file:
        return Path(row.file).read_bytes, Path(row.file).suffix
    return lambda: keeping.download(row.kind, row.key, store), ".keras" if row.kind == "networks" else ".npz"


def damaged(store: Store) -> None:
    """What cannot be used, and what to do about it; nothing where all is well."""
    found = inventory.damaged(store)
    if found:
        st.markdown(f"## {DAMAGED} :gray[:small[{len(found)}]]")
    answer(DAMAGED, store)
    for damage in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            what = f"{address.plain(damage.what)}.  \n:small[{address.plain(damage.advice)}]"
            st.markdown(what, width="stretch")
            if visitor.owns("", store):
                st.button(
                    "Remove", key=f"remove {damage.file}", icon=":material/delete_forever:",
                    on_click=discard, args=(damage.file, store),
                )  # fmt: skip


def discard(file: str, store: Store) -> None:
    def remove() -> None:
        identifier = keeping.discard(file, store, visitor.here())
        if identifier:
            st.session_state["removed"] = DAMAGED, identifier, Path(file).name

    _attempt(remove, DAMAGED)


def trash(store: Store) -> None:
    """What was removed in the last days: put it back, or let it go."""
    found = [one for one in keeping.trash(store) if visitor.owns(one.owned, store)]
    answer(TRASH, store)
    if not found:
        return
    with st.expander(f"{TRASH}, {words.size_text(sum(one.size for one in found))}", icon=":material/delete:"):
        st.caption("Emptied by itself after 7 days.")
        for one in found:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{address.code(one.title)} :small[{words.size_text(one.size)}]", width="stretch")
                st.button("Put back", key=f"put back {one.id}", on_click=put_back, args=(one.id, TRASH, store))
        st.button("Empty the trash", icon=":material/delete_forever:", on_click=empty, args=(store,))


def empty(store: Store) -> None:
    _attempt(lambda: keeping.empty_trash(store, by=visitor.here()), TRASH)
    st.session_state.pop("removed", None)


def screen() -> None:
    address.through_the_app()
    store = Store()
    keeping.expire_trash(store)
    head(store)
    shelf("Networks", inventory.networks(store), "None yet: train one on the page Train.", store)
    sets = f"None yet. Where a network is, write its activations to a file, and drop it above: `{EXTRACT}`, or {ARRAYS}"
    shelf("Activation sets", inventory.activation_sets(store), sets, store)
    photos = "None yet. Drop an npz with images, and labels if there are any, or a zip of pictures, a folder a class."
    shelf("Images", inventory.images(store), photos, store)
    shelf("Comparisons", inventory.comparisons(store), "None yet: make one on the page Compare.", store)
    damaged(store)
    trash(store)


screen()
