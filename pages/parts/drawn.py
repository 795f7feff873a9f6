"""Figures drawn once for everybody who asks for the same picture.

To make one costs more than all else on a page. What is returned is shared by all sessions: never change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import streamlit as st

from cka_core.measures.chance import BestMatchChance
from cka_core.results import figures, thumbnails, trust
from cka_core.results.comparison import Comparison

LIGHT_INK = "#6f7285"
"""Of a chart's words in the light theme: 4.7 : 1 on white, where WCAG 2 asks for 4.5; Streamlit's own grey has 3.7. On
the dark theme's ground it has 3.9, for a page whose theme changes while it stands."""
MOST = 64
"""Pictures kept, the last used ones; one of 175 x 515 layers takes half a megabyte."""


def digest(comparison: Comparison, titles: tuple[str, str]) -> str:
    """What a picture is made of: the numbers, the layers, and what the networks are called."""
    seen = hashlib.sha256(comparison.matrix.tobytes())
    seen.update(repr((titles, comparison.layers_a, comparison.layers_b, comparison.reasons_a)).encode())
    seen.update(repr((comparison.reasons_b, comparison.provenance.get("measure"))).encode())
    if comparison.jackknife is not None:
        seen.update(comparison.jackknife.errors.tobytes())
    return seen.hexdigest()[:32]


def heatmap(comparison: Comparison, of: str, beside: Mapping[str, Comparison] | None = None, **how: Any) -> Any:
    """`figures.heatmap`; ``of`` is the `digest` of what is drawn, which the maps ``beside`` are looked at for, too."""
    seen = hashlib.sha256(of.encode())
    for word, other in (beside or {}).items():
        seen.update(f"{word} {digest(other, ('', ''))}".encode())
    return _heatmap(seen.hexdigest(), how, _ink(), comparison, beside or {})


def best_match_curve(
    comparison: Comparison,
    titles: tuple[str, str],
    by_chance: BestMatchChance | None = None,
    *,
    of_chance: str = "",
    narrow: bool = False,
) -> Any:
    """`figures.best_match_curve`; ``of_chance`` tells one ``by_chance`` from another."""
    told = of_chance if by_chance else ""
    return _best_match_curve(digest(comparison, titles), titles, told, narrow, _ink(), comparison, by_chance)


def readable(figure: Any) -> Any:
    """The figure, with words that can be read in this theme. It is changed: copy one that others are shown before."""
    return _inked(figure, _ink())


def _ink() -> str | None:
    """None for Streamlit's own."""
    return LIGHT_INK if st.context.theme.type == "light" else None


def _inked(figure: Any, ink: str | None) -> Any:
    if ink is not None:
        words = {"tickfont": {"color": ink}, "title": {"font": {"color": ink}}}
        figure.update_layout(font={"color": ink}).update_xaxes(words).update_yaxes(words)
        figure.update_coloraxes(colorbar=words).update_traces(colorbar=words, selector={"type": "heatmap"})
    return figure


@st.cache_resource(max_entries=MOST, show_spinner=False)
def _heatmap(
    of: str, how: dict[str, Any], ink: str | None, _comparison: Comparison, _beside: Mapping[str, Comparison]
) -> Any:
    beside = {word: trust.values(other) for word, other in _beside.items()}
    return _inked(figures.heatmap(_comparison, beside=beside, **how), ink)


@st.cache_resource(max_entries=MOST, show_spinner=False)
def _best_match_curve(
    of: str,
    titles: tuple[str, str],
    of_chance: str,
    narrow: bool,
    ink: str | None,
    _comparison: Comparison,
    _by_chance: BestMatchChance | None,
) -> Any:
    return _inked(figures.best_match_curve(_comparison, titles=titles, by_chance=_by_chance, narrow=narrow), ink)


def thumbnail(comparison: Comparison, colours: str) -> bytes:
    """`thumbnails.png`."""
    return _thumbnail(digest(comparison, ("", "")), colours, comparison)


@st.cache_resource(max_entries=4 * MOST, show_spinner=False)
def _thumbnail(of: str, colours: str, _comparison: Comparison) -> bytes:
    return thumbnails.png(_comparison, colours)
