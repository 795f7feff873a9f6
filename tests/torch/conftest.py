"""One thread: small models gain nothing from more, and lose much where other work keeps the cores busy.

Triton comes before TensorFlow: imported after it, as PyTorch does to compile or export, it ends the process.
"""

from __future__ import annotations

import importlib.util

import torch

torch.set_num_threads(1)
if importlib.util.find_spec("triton") is not None:
    importlib.import_module("triton")
