"""The drop zone of the Library: what somebody brings in, and what became of it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from cka_core.base import full_disk, words
from cka_core.base.progress import Progress, Report
from cka_core.base.store import Store
from cka_core.library import catalogue, incoming, inventory, raw_activations
from cka_core.training.recipe import trainable
from pages.parts import address, visitor, widgets

COMPARE, TRAIN = "pages/compare.py", "pages/train.py"
ICONS = {COMPARE: ":material/grid_on:", TRAIN: ":material/model_training:"}
HELP = (
    "A Keras network (.keras). Images: an npz with images, labels if there are any, and class_names, or a zip of "
    "pictures with a folder a class. Activations that any framework wrote (.npz, .npy, .safetensors, .h5, or a zip of "
    ".npy: an array for each layer, a row for each image; ids of the images, one a line, in a text file dropped with "
    "it). An activation set or a result that CKA Explorer wrote (.npz). Each is read in a process of its own, and no "
    "code in it is run."
)
Outcome = tuple[str, str, str, str]
"""Kind and key of what was brought in, why it was not taken, and what the file was called."""


def zone(store: Store) -> None:
    """Drop files; then, what became of each."""
    turn = st.session_state.setdefault("file number", 0)
    files = st.file_uploader(
        "Bring in a network, images, activations or a result",
        key=f"file {turn}",
        accept_multiple_files=True,
        max_upload_size=visitor.largest_upload(),
        disabled=visitor.cannot_act_yet(),
        help=HELP,
    )
    if files:
        bar = st.progress(0.0, text="Checking the file")
        st.session_state["brought in"] = _all_taken(files, store, bar)
        st.session_state["file number"] = turn + 1  # an empty drop zone
        st.rerun()
    outcomes: list[Outcome] = st.session_state.get("brought in", [])
    for outcome in outcomes:
        _tell(outcome, store)
    _next(outcomes)


def _all_taken(files: list[UploadedFile], store: Store, bar: st.delta_generator.DeltaGenerator) -> list[Outcome]:
    texts = {Path(file.name).stem: file for file in files if file.name.lower().endswith(".txt")}
    others = [file for file in files if not file.name.lower().endswith(".txt")]
    outcomes = []
    for file in others:
        told = f"Checking {address.plain(file.name)}, {words.size_text(file.size)}"

        def report(now: Progress, told: str = told) -> None:
            bar.progress(now.fraction, text=f"{told}: {address.plain(now.detail)}")

        outcomes.append((*_taken(file, _ids_of(file.name, texts, len(others)), store, report), file.name))
    lonely = "A text file has the ids of the images of activations: drop it together with their file."
    return outcomes or [("", "", lonely, file.name) for file in files]


def _ids_of(name: str, texts: dict[str, UploadedFile], files: int) -> bytes | None:
    """The text file with the ids that belongs to a file: of its name, or the only one beside the only file."""
    stem = name.partition(".")[0]
    named = [texts[text] for text in texts if text.partition(".")[0] == stem]
    alone = list(texts.values()) if files == 1 and len(texts) == 1 else []
    found = named or alone
    return found[0].getvalue() if found else None


def _taken(file: UploadedFile, ids: bytes | None, store: Store, report: Report) -> tuple[str, str, str]:
    """Kind and key of what was brought in, or why it was not taken. It is read in another process."""
    try:
        return *incoming.take(file, file.name, store, report, by=visitor.here(), ids=ids), ""
    except ValueError as error:
        return "", "", str(error)
    except OSError as error:
        return "", "", full_disk.in_words(error, store) or f"The file could not be kept: {error.strerror or error}."


def _tell(outcome: Outcome, store: Store) -> None:
    kind, key, problem, _ = outcome
    if problem:
        st.error(address.plain(problem), icon=":material/error:")
    elif kind == "activations":
        st.success(f"{address.code(key)} is in the library.{_of_arrays(key, store)}", icon=":material/check:")
        _doubt(key, store)
    elif kind == "networks":
        st.success(f"{address.code(key)} is in the library.{_takes(key, store)}", icon=":material/check:")
    elif kind == "images":
        st.success(f"{address.code(key)} is in the library.{_holds(key, store)}", icon=":material/check:")
    else:
        st.success("The comparison is in the library.", icon=":material/check:")


def _of_arrays(name: str, store: Store) -> str:
    found = catalogue.sets(store).get(name)
    if found is None or not found.sample.assumed:
        return ""
    ids = "Its images are known by their ids." if found.sample.ids else "The order of its images is assumed."
    layers = words.counted(len(found.layers), "layer")
    return f"  \n:small[Taken as activations: {layers}, {found.sample.n:,} images. {ids}]"


def _doubt(name: str, store: Store) -> None:
    """Say how arrays that may be images become an image set."""
    found = catalogue.sets(store).get(name)
    array = raw_activations.may_be_images(found) if found is not None else ""
    if array:
        st.info(
            f"If {address.code(array)} in {address.code(name)} are images: rename it to `images`, and the classes to "
            "`labels` if there are any, leave the others out, and drop the file again. Then it is an image set.",
            icon=":material/image:",
        )


def _takes(name: str, store: Store) -> str:
    info = catalogue.networks(store).get(name)
    return f"  \n:small[{words.counted(len(info.layers), 'layer')}, {info.subtitle}]" if info is not None else ""


def _holds(name: str, store: Store) -> str:
    row = next((row for row in inventory.images(store) if row.key == name), None)
    return f"  \n:small[{address.plain(row.what)} · {address.plain(row.how)}]" if row is not None else ""


def _next(outcomes: list[Outcome]) -> None:
    """The way on to the map."""
    here = [(kind, key) for kind, key, problem, _ in outcomes if not problem]
    sides = [key for kind, key in here if kind in ("activations", "networks")]
    images = [key for kind, key in here if kind == "images"]
    to = dict(zip("ab", sides, strict=False)) | ({"images": images[0]} if images else {})
    if to:
        with st.container(horizontal=True):
            label = "Compare them" if len(sides) == 2 else "Compare it" if sides else "Compare networks on them"
            go(label, to, "compare what was brought in")
            if not sides and images[0] in trainable():
                go("Train a network on them", {"set": images[0]}, "train on what was brought in", TRAIN)
    elif here:
        go("Open it", {"result": here[0][1]}, "open what was brought in")


def go(label: str, to: dict[str, str], key: str, page: str = COMPARE) -> None:
    """A button that opens the Compare page, or another, on something."""
    if widgets.pressed(label, key=key, icon=ICONS[page]):
        st.session_state.pop("brought in", None)
        st.switch_page(page, query_params=to)
