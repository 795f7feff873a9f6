"""Pages go nowhere: what a user asks for is the one thing that is fetched, and no test here asks for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner

from tests.outgoing import only_loopback as only_loopback
from tests.outgoing import outgoing as outgoing
from tests.outgoing import refused as refused


@pytest.fixture(scope="session", autouse=True)
def components_are_looked_for_once() -> Iterator[None]:
    """Every AppTest begins a Streamlit of its own, which reads what every installed package says of itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", functools.cache(manifest_scanner.scan_component_manifests)
        )
        yield
