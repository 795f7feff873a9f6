"""One thread: small models gain nothing from more, and lose much where other work keeps the cores busy."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
