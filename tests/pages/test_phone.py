"""What is told where a page is narrow: nothing stands at the left of anything there."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = Path(__file__).parents[2] / "pages"
SIDE = re.compile(r'(?<!")"[^"\n]*\b(?:at|on|to) the (?:left|right)\b[^"\n]*"')


def test_no_message_names_a_side_that_a_phone_does_not_have():
    assert SIDE.search('st.caption("Choose at the left.")')
    for file in PAGES.rglob("*.py"):
        assert SIDE.findall(file.read_text(encoding="utf-8")) == [], file.name
