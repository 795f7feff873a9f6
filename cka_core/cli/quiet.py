"""TensorFlow's own lines, which are no part of what a command says."""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import shutil
import sys
import tempfile
from importlib.machinery import ModuleSpec
from typing import IO, Any

SETTING = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's: whoever set it wants to hear as much as it says."""


def of_tensorflow() -> None:
    """Let TensorFlow say nothing but what ends it, unless its setting asks for more."""
    if SETTING not in os.environ:
        os.environ[SETTING] = "3"
        sys.meta_path.insert(0, _Quietly())


class _Quietly(importlib.abc.MetaPathFinder):
    """Imports TensorFlow, whose libraries speak before they read their setting: of instructions and drivers of this
    machine, straight to the process's standard error. It is kept for an import that fails."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module
            loader.exec_module = lambda module: _held_back(execute, module)
        return spec


def _held_back(execute: Any, module: Any) -> None:
    """Import a module, and pass on what was written to standard error meanwhile only where that fails."""
    sys.stderr.flush()
    with _somewhere() as said, os.fdopen(os.dup(2), "wb") as terminal:
        os.dup2(said.fileno(), 2)
        try:
            execute(module)
        except Exception:
            said.seek(0)
            shutil.copyfileobj(said, terminal)
            raise
        finally:
            os.dup2(terminal.fileno(), 2)


def _somewhere() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no disk to write to
        return open(os.devnull, "r+b")
