"""The paper's claims as cards: the claim, the figure that decides with its interval, what else is seen, one caveat."""

from __future__ import annotations

import copy
from typing import Any

import streamlit as st

from cka_core.atlas.result import Atlas
from cka_core.claims import figures as claim_figures
from cka_core.claims.cards import Claim, claims
from cka_core.measures.blocks import RULE
from pages.parts import address, drawn
from pages.parts.atlas import grid as atlas_grid
from pages.parts.glossary import hint

BADGES: dict[str, tuple[str, Any, str]] = {
    "yes": ("seen here", "green", ":material/check_circle:"),
    "unclear": ("not clear here", "orange", ":material/help:"),
    "no": ("not seen here", "red", ":material/cancel:"),
    "not tested": ("not tested here", "gray", ":material/block:"),
    "cannot say": ("cannot be said here", "gray", ":material/block:"),
}


RULES = f"""
**A block.** {RULE} The sentence was fixed before any further network was trained; it was made on the eleven networks
of the first bundled study, and those trained later are its test.

**One figure decides** each claim, the first; the others are shown beside it.

**One observation** is an architecture, the mean of its seeds. Where one architecture alone has what is asked, its seeds
count instead.

**A difference** is *not seen* only if its whole 95 % interval lies below the smallest effect that would matter, stated
beforehand: 2 points of accuracy for deleting a residual block, 0.5 points from block to block for a linear probe, 0.1
for CKA. Else it is *seen* if the interval lies on the claim’s side of 0, and *not clear* otherwise.

**Growth** is *seen* if chance gives as large a rank correlation in at most 1 of 20 orders of the architectures (all
orders are gone through), and *not seen* only if the upper end of its 95 % interval is under 0.3. With fewer than four
depths at one width, or widths at one depth, it is *not tested*.

**Wide and deep networks** differ if at most 1 of 20 ways to deal them into two groups gives as large a difference.

How often these rules err, simulated, is in `docs/study.md`.
"""
"""Those of `cka_core.claims.evidence`, in words."""


@st.cache_resource(max_entries=4, show_spinner=False)
def found(folder: str, changed: float, _atlas: Atlas) -> list[tuple[Claim, tuple[Any, str] | None]]:
    """The claims with their figures; they depend on nothing that can be chosen."""
    return [(claim, claim_figures.claim_figure(claim.key, _atlas)) for claim in claims(_atlas)]


def cards(atlas: Atlas, folder: str, changed: float) -> None:
    every = found(folder, changed, atlas)
    st.markdown("## What the paper claims, and what is seen here")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "Nguyen, Raghu & Kornblith, “Do Wide and Deep Networks Learn the Same Things?”, ICLR 2021. "
            f"{address.plain(every[0][0].around)}",
            width="stretch",
        )
        with st.popover("How is this decided?", icon=":material/gavel:"):
            st.markdown(RULES, help=hint("block", "linear probe"))
    for start in range(0, len(every), 2):
        for column, (claim, figure) in zip(st.columns(2, gap="medium"), every[start : start + 2], strict=False):
            with column:
                card(claim, figure)


def _line(verdict: str | None, text: str) -> str:
    _, colour, icon = BADGES[verdict or "cannot say"]
    return f"- :{colour}[{icon}] {address.plain(text[:1].upper() + text[1:])}."


def _seen(claim: Claim) -> str:
    """What is seen, a line a difference with its own verdict in front; the first decides."""
    lines = [_line(part.verdict, part.text) for part in claim.parts]
    return "\n".join(lines) + (f"\n\n{address.plain(claim.more)}" if claim.more else "")


def chart(figure: Any, key: str, said: str) -> None:
    """A figure of `claims.figures`, which is changed: in words that can be read, with room for them on a phone.
    ``said`` is what it shows."""
    figure = claim_figures.for_a_phone(figure) if atlas_grid.is_narrow() else figure
    st.plotly_chart(
        drawn.readable(figure), width="stretch", key=f"figure {key}", alt=said, config={"displayModeBar": False}
    )


def card(claim: Claim, figure: tuple[Any, str] | None) -> None:
    with st.container(border=True, key=f"claim {claim.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{address.plain(claim.title)}**", width="stretch")
            label, colour, icon = BADGES[claim.holds]
            st.badge(label, color=colour, icon=icon)
        st.markdown(f"*The claim.* {address.plain(claim.claim)}")
        if claim.primary is not None:
            st.markdown(f"### {address.plain(claim.primary.figure)}", help="The figure that decides this card.")
            st.caption(address.plain(claim.primary.reach))
        st.markdown(f"*This atlas.* {address.plain(claim.why_not)}\n\n{_seen(claim)}")
        if claim.after is not None:
            label, colour, icon = BADGES[claim.after.holds]
            st.markdown(
                f"*Networks trained after the rule for a block was fixed ({claim.after.networks}), alone:* "
                f":{colour}[{icon} {label}]. {address.plain(claim.after.text)}"
            )
        if figure is not None:
            chart(copy.deepcopy(figure[0]), claim.key, figure[1])
            st.caption(figure[1])
        if claim.caveat:
            st.caption(f"Caveat: {address.plain(claim.caveat)}")
