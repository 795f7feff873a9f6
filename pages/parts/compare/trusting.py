"""Above the map: what it rests on, in one line, and the intervals of a result that was kept without them."""

from __future__ import annotations

import streamlit as st

from cka_core.base.picture_shapes import is_picture
from cka_core.base.store import Store
from cka_core.images.sets import image_sets
from cka_core.results import trust
from cka_core.results import words as result_words
from cka_core.results.comparison import Comparison
from pages.parts import address
from pages.parts.compare import missing
from pages.parts.compare.which import OnScreen


def line(comparison: Comparison, store: Store, *, faded: bool = False) -> None:
    """One line; red is only what would mislead a reader who passes it over. The hint has a sentence for each part."""
    facts = trust.line(comparison)
    parts = [f":red[**{address.plain(fact.text)}**]" if fact.misleads else address.plain(fact.text) for fact in facts]
    hints = [f"**{address.plain(fact.text)}:** {address.plain(fact.hint)}" for fact in facts]
    images = image_sets(store).get(str((comparison.provenance.get("images") or {}).get("images")))
    what = "pixels" if images is None or is_picture(images.shape) else "inputs"
    pixels = result_words.pixels(comparison.provenance, what)
    if pixels:
        parts.append(address.plain(pixels))
        hints.append(address.plain(" ".join(result_words.pixels_because(comparison.provenance, what))))
    text, hint = ("Still showing: " if faded else "") + " · ".join(parts), "\n\n".join(filter(None, hints))
    if any(fact.misleads for fact in facts):  # in a caption, which is faint, red is too faint to be read
        st.markdown(f":small[{text}]", help=hint)
    else:
        st.caption(text, help=hint)


def intervals(on: OnScreen, store: Store) -> None:
    """Where a result has no intervals and could have: the button that makes them."""
    if on.spec is None or on.faded or not trust.could_have_intervals(on.comparison):
        return
    missing.offer("compare", on.spec, "Compute the intervals", on.title, on.seconds(store), store, key="intervals")
