"""The Gram matrices of many layers of a PyTorch model, made on an accelerator while nobody waits for it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cka_core.measures.centring import EASY, LayerGram, finished, removal
from cka_core.networks.torch_gram import (
    dtype_of,
    flat,
    full_precision,
    may_have_outlier,
    multiply_into,
    positions,
    read,
)

if TYPE_CHECKING:
    import torch

QUEUED = 128 << 20
"""Bytes of Gram matrices that wait on an accelerator at a time."""


class GramQueue:
    """The Gram matrices of many layers, made on an accelerator while nobody waits for it.

    `torch_gram` looks at each layer's numbers before it goes on, for which the processor and the accelerator wait for
    each other, layer by layer; and it asks for two dozen small steps, each of which costs the processor more than the
    accelerator. Here a layer is multiplied as it comes, and what follows is done for many of them together. One that
    wants more, because its numbers are very large or small, not finite, or one image is far from all others, is named
    by `finish`, to be made by `torch_gram` when the network runs once more.

    Parameters
    ----------
    triangles : float32 (layers, m(m-1)/2), to be filled
    """

    def __init__(self, triangles: np.ndarray, m: int):
        self.triangles, self.m = triangles, m
        self.made: dict[int, LayerGram] = {}
        self._again: list[int] = []
        self._waiting: dict[tuple[torch.device, torch.dtype], _Waiting] = {}

    def add(self, row: int, x: torch.Tensor) -> None:
        """Take a layer's activations, see `torch_gram`; its triangle will be in ``row``."""
        x = flat(x)
        kind = x.device, dtype_of(x)
        if kind not in self._waiting:
            self._waiting[kind] = _Waiting(self._room(*kind))
        waiting = self._waiting[kind]
        with full_precision(x.device):
            waiting.shifts.append(multiply_into(waiting.k[len(waiting.rows)], x, None))
        waiting.rows.append(row)
        if len(waiting.rows) == len(waiting.k):
            self._look(waiting)

    def finish(self) -> list[int]:
        """Look at all of them; ``made`` has each then, but for those returned."""
        for waiting in self._waiting.values():
            if waiting.rows:
                self._look(waiting)
        return self._again

    def _room(self, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        import torch

        layers = max(1, min(len(self.triangles), QUEUED // (dtype.itemsize * self.m**2)))
        with torch.inference_mode(False):  # the layer may run in it, `finish` does not
            return torch.empty((layers, self.m, self.m), dtype=dtype, device=device)

    def _look(self, waiting: _Waiting) -> None:
        import torch

        rows = waiting.rows
        k = waiting.k[: len(rows)].triu_()
        wide, whole = torch.float64, k.view(len(rows), -1)
        diagonal, right, down = (
            k.diagonal(dim1=1, dim2=2).to(wide, copy=True),
            k.sum(2, dtype=wide),
            k.sum(1, dtype=wide),
        )
        square = torch.linalg.vector_norm(whole, dim=1, dtype=wide).square_()
        remove = removal(diagonal, right + down - diagonal).to(k.dtype)
        k.sub_(remove[:, None]).sub_(remove[:, :, None])
        triangles = whole.index_select(1, positions(self.m, k.device)).to(torch.float32)
        own = torch.linalg.vector_norm(triangles, dim=1, dtype=wide).square_()
        shifts = torch.stack(waiting.shifts).to(wide)
        numbers = torch.cat([diagonal, right, down, torch.stack([square, shifts, own], 1)], 1).cpu().numpy()
        first, last = rows[0], rows[-1] + 1
        if rows == list(range(first, last)):
            torch.from_numpy(self.triangles[first:last]).copy_(triangles)
        else:
            self.triangles[rows] = triangles.cpu().numpy()
        for row, found in zip(rows, numbers, strict=True):
            self._look_at(row, found)
        waiting.rows.clear()
        waiting.shifts.clear()

    def _look_at(self, row: int, found: np.ndarray) -> None:
        diagonal, rows, square = read(found[:-2])
        if not EASY[0] <= float(diagonal.sum()) / self.m <= EASY[1] or may_have_outlier(diagonal):
            self._again.append(row)
            return
        shift_square, own = self.m * float(found[-2]), float(found[-1])
        self.made[row] = finished(self.triangles[row], diagonal, rows, square, shift_square, 0, None, own)


@dataclasses.dataclass
class _Waiting:
    """Layers of one device and type that were multiplied, and not looked at."""

    k: torch.Tensor
    rows: list[int] = dataclasses.field(default_factory=list)
    shifts: list[torch.Tensor] = dataclasses.field(default_factory=list)
