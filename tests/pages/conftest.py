"""Pages go nowhere: what a user asks for is the one thing that is fetched, and no test here asks for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import script_runner
from streamlit.testing.v1 import AppTest, app_test

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


@pytest.fixture(scope="session", autouse=True)
def every_run_is_of_the_page_before() -> Iterator[None]:
    """In Streamlit 1.65, the last for Python 3.10, AppTest takes every run for the first one of another page, where
    widgets lose what they hold. In a browser it is the same page, and so it is here in later versions."""
    if hasattr(AppTest.from_string(""), "_finished_page_script_hash"):
        yield
        return
    run = AppTest._run

    def on_its_page(self: Any, *given: Any, **more: Any) -> AppTest:
        page, asked = getattr(self, "_finished_page", ""), self._page_hash
        managers: list[PagesManager] = []

        class There(PagesManager):
            def __init__(self, *given: Any, **more: Any):
                PagesManager.uses_pages_directory = None  # as AppTest begins each run
                super().__init__(*given, **more)
                self.set_current_page_script_hash(page)
                managers.append(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app_test, "PagesManager", There)
            patch.setattr(self, "_page_hash", asked or page)
            done = run(self, *given, **more)
        self._finished_page = managers[0].current_page_script_hash
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AppTest, "_run", on_its_page)
        yield
