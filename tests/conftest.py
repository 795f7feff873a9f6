"""Every test has a store of its own and never touches the user's."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cka_core.base.store import Store


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setenv("CKA_STORE", str(tmp_path / "store"))
    return Store(tmp_path / "store")
