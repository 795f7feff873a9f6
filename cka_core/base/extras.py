"""Packages that come with an extra of this one, and what is said where one of them is not installed."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

EXTRAS = {
    "keras": ("tensorflow", "keras", "h5py"),
    "torch": ("torch",),
    "app": ("streamlit", "plotly", "pandas", "matplotlib", "distributed", "cryptography", "segno"),
}
"""By the name of an extra the packages that it brings; a test holds it to pyproject.toml."""


class NotInstalled(ModuleNotFoundError):
    """A package that an extra brings is missing; the message says how to install it."""


def how_to_install(package: str) -> str:
    """The line that installs a package: by the extra that brings it, or by its own name."""
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    return f'python -m pip install ".[{extra}]"' if extra else f"python -m pip install {package}"


def check(*packages: str) -> None:
    """`NotInstalled`, before any work, where one of these packages of an extra is not there."""
    with told():
        for package in packages:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(name=package)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Inside of it, or of a function it decorates, a package of an extra that is not installed is `NotInstalled`."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if isinstance(error, NotInstalled) or not any(package in packages for packages in EXTRAS.values()):
            raise
        raise NotInstalled(
            f"This needs {package}, which is not installed. In the folder of CKA Explorer: {how_to_install(package)}",
            name=package,
        ) from error
