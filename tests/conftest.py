"""Every test has a store of its own. The pure ones need neither TensorFlow nor a browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cka_core.base.store import Store

PURE = ("base", "measures", "atlas", "claims", "results/test_comparison.py", "results/test_figures.py",
        "results/test_views.py", "test_house.py")  # fmt: skip
"""Folders and files whose tests `make test-pure` runs."""


LONG = (
    "browser/test_train", "training/test_fit", "studies/test_build", "jobs/test_submit", "browser/test_compare",
    "jobs/test_cluster", "browser/test_learn", "networks/test_every_layer", "browser", "jobs", "training", "studies",
    "test_cli", "test_bundle", "test_installed", "test_project", "pages",
)  # fmt: skip
"""Files and folders in the order of how long their tests take: these go first, so that none is left over at the end."""


def inside_tests(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


def pytest_itemcollected(item: pytest.Item) -> None:  # before pytest leaves out what has not the mark that is asked for
    if inside_tests(item).startswith(PURE):
        item.add_marker(pytest.mark.pure)


@pytest.hookimpl(trylast=True)  # after pytest has put those that share a browser together
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        return next((turn for turn, name in enumerate(LONG) if inside_tests(item).startswith(name)), len(LONG))

    items.sort(key=turn)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.option.markexpr == "pure" and {"tensorflow", "playwright.sync_api"} & sys.modules.keys():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nA pure test brought TensorFlow or a browser in.", file=sys.stderr)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setenv("CKA_STORE", str(tmp_path / "store"))
    return Store(tmp_path / "store")
