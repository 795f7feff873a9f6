"""The project keeps its own rules: imports run one way, what the documents say is true, what is pinned is what is asked for."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cka_core

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CORE = sorted((ROOT / "cka_core").glob("*.py"))
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
