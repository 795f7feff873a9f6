"""Pages go nowhere: what a user asks for is the one thing that is fetched, and no test here asks for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner import script_runner

from tests.outgoing import only_loopback as only_loopback
from tests.outgoing import outgoing as outgoing
from tests.outgoing import refused as refused


@pytest.fixture(scope="session", autouse=True)
def only_the_page_takes_time() -> Iterator[None]:
    """Every AppTest begins a Streamlit of its own, which reads what every installed package says of itself. And after
    each run Streamlit clears Keras' session where Keras is loaded, which searches all memory: other tests of this
    process load it, the server never does (tests/browser/test_library.py)."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        patch.setattr(script_runner, "_clean_problem_modules", lambda: None)
        yield
