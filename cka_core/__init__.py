"""CKA Explorer: do two neural networks learn the same things?

Names are looked up when first used, so that ``import cka_core`` is quick and imports no TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cka_core.base.version import VERSION

if TYPE_CHECKING:
    from cka_core.comparing.arrays import compare_activations
    from cka_core.comparing.engine import compare
    from cka_core.images.sets import load_images
    from cka_core.measures.kernels import cka
    from cka_core.networks.building import build_network
    from cka_core.results.comparison import Comparison

__version__ = VERSION
__all__ = ["Comparison", "build_network", "cka", "compare", "compare_activations", "load_images"]

_HOME = {
    "Comparison": "results.comparison",
    "build_network": "networks.building",
    "cka": "measures.kernels",
    "compare": "comparing.engine",
    "compare_activations": "comparing.arrays",
    "load_images": "images.sets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cka_core' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    return getattr(import_module(f"cka_core.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
