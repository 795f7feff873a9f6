"""The field that gives something a name: in the Library for what is kept, on the Train page for a new network."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from cka_core.base.store import Store
from cka_core.library import keeping
from pages.parts import visitor


def field(kind: str, name: str, store: Store, *, button: str, attempt: Callable[[Callable[[], None]], object]) -> None:
    """A name and its button. ``attempt`` renames, or says why it cannot be done; then the page is drawn anew."""
    with st.form(f"rename {kind} {name}", border=False):
        new = st.text_input(
            "New name",
            name,
            key=f"new name of {kind} {name}",
            help="Letters, digits, - _ and . Comparisons made with it stay its own.",
        )
        if st.form_submit_button(button) and new.strip() != name:
            if attempt(lambda: keeping.rename(name, new.strip(), store, visitor.here())) is not False:
                st.rerun()
