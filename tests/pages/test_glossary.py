"""Whatever a page says in the field's own words, it explains on that page, in the glossary's sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import glossary
from tests.pages.test_learn import TERMS

APP = Path(__file__).parents[2] / "app.py"


def elements(block: Any) -> Iterator[Any]:
    for child in block.children.values():
        yield child
        if hasattr(child, "children"):
            yield from elements(child)


def words_and_hints(page: AppTest) -> tuple[str, str]:
    """What is read on a page, and what its hints say."""
    words, hints = [], []
    for one in [*elements(page.main), *elements(page.sidebar)]:
        words += [text for name in ("value", "label") if isinstance(text := getattr(one, name, None), str)]
        told = getattr(getattr(one, "proto", None), "help", "")
        hints += [told] if isinstance(told, str) else []
    return "\n".join(words), "\n".join(hints)


@pytest.mark.parametrize("name", ["compare", "train", "atlas", "library"])
def test_a_page_explains_the_terms_it_uses(name):
    page = AppTest.from_file(APP, default_timeout=60)
    page.session_state["atlas_grid"] = {"drawn": True}
    page.run().switch_page(f"pages/{name}.py").run()
    assert not page.exception, page.exception
    words, hints = words_and_hints(page)
    used = {term for term in TERMS if re.search(rf"(?i)\b{re.escape(term)}s?\b", words)}
    assert used
    assert {term for term in used if glossary.explain(term) not in hints} == set()


def test_several_terms_make_one_hint():
    told = glossary.hint("layer", "seed", after="One training each.")
    assert told == (
        f"**Layer:** {glossary.explain('layer')}\n\n**Seed:** {glossary.explain('seed')}\n\nOne training each."
    )
