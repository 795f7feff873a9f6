"""What the lesson's last two chapters show, from one call each: plain values for the browser, made from an atlas."""

from __future__ import annotations

from typing import Any

from cka_core.atlas.grid import packed, palette
from cka_core.atlas.result import Atlas, bundled
from cka_core.base.store import Store
from cka_core.claims.lesson_figures import paper_figures
from cka_core.claims.lesson_maps import name_the_map
from cka_core.claims.lesson_story import block_story
from cka_core.images.sets import Images, ImagesUnavailable


def fourth(atlas: Atlas, store: Store | None = None) -> dict[str, Any]:
    """ "Name the map": six maps to name, and the story of a block. ValueError where the atlas lacks their networks."""
    return {**name_the_map(atlas), "story": block_story(atlas, _images(atlas, store))}


def fifth(atlas: Atlas, store: Store | None = None) -> dict[str, Any]:
    """ "Read the paper's figures": a step a kind of figure. ValueError where the atlas lacks the networks shown."""
    images = _images(atlas, store)
    names = images.classes if images else [str(number) for number in range(int(atlas.labels.max()) + 1)]
    return {"palette": packed(palette("magma")), "steps": paper_figures(atlas, names)}


def of_the_bundle() -> Atlas:
    """The atlas that the lesson is drawn from."""
    found = bundled()
    if found is None:
        raise ValueError("Expected the atlas that comes with CKA Explorer; it is missing. Install the package again.")
    return found


def _images(atlas: Atlas, store: Store | None) -> Images | None:
    try:
        return atlas.sample.load(store)
    except ImagesUnavailable:
        return None
