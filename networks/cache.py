"""Cache of constant tensors, such as sine positions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
T = TypeVar("T")


def cache_table(build: Callable[P, T]) -> Callable[P, T]:
    """Cache the constant tensors that a function returns, as `lru_cache` does; callers must not modify them.

    Graphs compute them when they are loaded: the files are a tenth smaller, and no tensor of a tracer is cached.
    """
    # without inference mode, or tensors cached in tracking could not be used in training
    cached = cast(Callable[P, T], lru_cache(maxsize=64)(torch.inference_mode(False)(build)))

    @wraps(build)
    def table(*args: P.args, **kwargs: P.kwargs) -> T:
        return (build if torch.compiler.is_exporting() else cached)(*args, **kwargs)

    table.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
    return table
