"""The paper's claims as cards: the claim, what this atlas shows of it, the figure, the caveat."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cka_core.atlas.result import Atlas
from cka_core.claims import figures as claim_figures
from cka_core.claims.cards import Claim, claims
from pages.parts import address

BADGES: dict[str, tuple[str, Any, str]] = {
    "yes": ("seen here", "green", ":material/check_circle:"),
    "partly": ("partly seen here", "orange", ":material/contrast:"),
    "unclear": ("not clear here", "orange", ":material/help:"),
    "no": ("not seen here", "red", ":material/cancel:"),
    "cannot say": ("cannot be said here", "gray", ":material/block:"),
}


RULES = (
    "A difference is **seen** if its 95 % interval over networks lies on the claim’s side of 0, **not seen** if its "
    "mean does not, and **not clear** in between.  \nGrowth is seen with a rank correlation of at least 0.5 that "
    "chance gives in at most 1 of 20 orders of the architectures.  \nA count of networks or classes is seen if chance "
    "would give as many in at most 1 of 20 cases.  \nA card is **partly** seen if some of its lines are."
)
"""Those of `cka_core.claims.evidence`."""


@st.cache_resource(max_entries=4, show_spinner=False)
def found(folder: str, changed: float, _atlas: Atlas) -> list[tuple[Claim, tuple[Any, str] | None]]:
    """The claims with their figures; they depend on nothing that can be chosen."""
    return [(claim, claim_figures.claim_figure(claim.key, _atlas)) for claim in claims(_atlas)]


def cards(atlas: Atlas, folder: str, changed: float) -> None:
    st.markdown("#### What the paper claims, and what is seen here")
    st.caption(
        "Nguyen, Raghu & Kornblith, “Do Wide and Deep Networks Learn the Same Things?”, ICLR 2021. "
        "Every verdict follows the same rules, whatever the atlas.",
        help=RULES,
    )
    every = found(folder, changed, atlas)
    for start in range(0, len(every), 2):
        for column, (claim, figure) in zip(st.columns(2, gap="medium"), every[start : start + 2], strict=False):
            with column:
                card(claim, figure)


def _seen(claim: Claim) -> str:
    """What is seen, a line a difference with its own verdict in front."""
    lines = []
    for part in claim.parts:
        _, colour, icon = BADGES[part.verdict or "cannot say"]
        lines.append(f"- :{colour}[{icon}] {address.plain(part.text[:1].upper() + part.text[1:])}.")
    return "\n".join(lines) + (f"\n\n{address.plain(claim.more)}" if claim.more else "")


def card(claim: Claim, figure: tuple[Any, str] | None) -> None:
    with st.container(border=True, key=f"claim {claim.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{address.plain(claim.title)}**", width="stretch")
            label, colour, icon = BADGES[claim.holds]
            st.badge(label, color=colour, icon=icon)
        st.markdown(f"*The claim.* {address.plain(claim.claim)}")
        st.markdown(f"*This atlas.* {address.plain(claim.why_not)}\n\n{_seen(claim)}")
        if figure is not None:
            chart, said = figure
            st.plotly_chart(
                chart, width="stretch", key=f"figure {claim.key}", alt=said, config={"displayModeBar": False}
            )
            st.caption(said)
        st.caption(f"Caveat: {address.plain(claim.caveat)}")
