"""What becomes of the tokens of a layer's output (images, tokens, features): flattened, or one vector an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from cka_core.measures.centring import precision

TOKENS = ("flatten", "mean", "first", "last")


def check_tokens(tokens: str) -> None:
    if tokens not in TOKENS:
        raise ValueError(f"Unknown tokens {tokens!r}. Valid: {', '.join(TOKENS)}.")


def reduced(x: Any, tokens: str, mask: Any = None) -> Any:
    """(images, tokens, features) as (images, features) where ``tokens`` says so; any other shape is left as it is.

    Parameters
    ----------
    x : numpy array of numbers or PyTorch tensor, one row an image
    tokens : "flatten" keeps all, "mean" averages, "first" is the class token of many models, "last" the last token
    mask : of x's kind, (images, tokens), 0 for padding, or None
        Respected by outputs with as many tokens: "mean" leaves padding out, "first" and "last" pass over it, "flatten"
        sets it to zero.
    """
    if x.ndim != 3:
        return x
    if mask is not None and tuple(mask.shape) == tuple(x.shape[:2]):
        return _masked(x, tokens, mask != 0)
    if tokens == "mean":
        return x.mean(1, dtype=_sum_type(x))
    return {"flatten": x, "first": x[:, 0], "last": x[:, -1]}[tokens]


def _masked(x: Any, tokens: str, mask: Any) -> Any:
    if isinstance(x, np.ndarray):
        return _masked_array(x, tokens, np.asarray(mask))
    import torch

    if tokens in ("flatten", "mean"):
        kept = x.masked_fill(~mask[:, :, None], 0)
        return kept if tokens == "flatten" else kept.sum(1, dtype=_sum_type(x)) / mask.sum(1).clamp(min=1)[:, None]
    positions = mask.to(torch.uint8)
    at = positions.argmax(1) if tokens == "first" else mask.shape[1] - 1 - positions.flip(1).argmax(1)
    return x[torch.arange(len(x), device=x.device), at]


def _masked_array(x: np.ndarray, tokens: str, mask: np.ndarray) -> np.ndarray:
    if tokens in ("flatten", "mean"):
        kept = np.where(mask[:, :, None], x, 0)
        return (
            kept
            if tokens == "flatten"
            else kept.sum(1, dtype=_sum_type(x)) / mask.sum(1, dtype=_sum_type(x)).clip(1)[:, None]
        )
    at = mask.argmax(1) if tokens == "first" else mask.shape[1] - 1 - mask[:, ::-1].argmax(1)
    return x[np.arange(len(x)), at]


def _sum_type(x: Any) -> Any:
    """As the Gram matrix of these numbers is multiplied."""
    if isinstance(x, np.ndarray):
        return precision(x)
    from cka_core.networks.torch_gram import dtype_of

    return dtype_of(x)
