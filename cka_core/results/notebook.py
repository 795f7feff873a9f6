"""A comparison as a notebook shows it: the map as a picture inside the cell, and what it rests on in one line."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from cka_core.results import trust, words

if TYPE_CHECKING:
    from cka_core.results.comparison import Comparison

WIDTH, DPI = 6.5, 110
"""Inches, and dots an inch."""


def html_of(comparison: Comparison) -> str:
    """HTML that needs no network and no script; without matplotlib the words alone."""
    told = [html.escape(words.facts(comparison), quote=False)]
    told += [html.escape(text, quote=False) for text in (*trust.misleading(comparison), *comparison.warnings)]
    below = "".join(f'<div style="font-size:85%">{line}</div>' for line in told)
    title = html.escape(repr(comparison))
    try:
        from cka_core.results import paper

        picture = base64.b64encode(paper.paper_figure(comparison, width=WIDTH, dpi=DPI)).decode()
    except ImportError:
        return f"<div>{title}</div>{below}"
    return f'<div><img alt="{title}" src="data:image/png;base64,{picture}"/>{below}</div>'
