"""``networks``: what can be compared by name."""

from __future__ import annotations

from cka_core.base import words
from cka_core.cli.options import StoreOption, opened


def networks(store: StoreOption = None) -> None:
    """List the networks that can be compared by name."""
    from cka_core.library import catalogue

    for name, info in catalogue.networks(opened(store)).items():
        accuracy = "" if info.test_accuracy is None else f", test accuracy {info.test_accuracy:.3f}"
        print(
            f"{name}\n    {info.title}, {info.parameters:,} parameters, {words.counted(len(info.layers), 'layer')}, "
            f"{info.subtitle}{accuracy}"
        )
