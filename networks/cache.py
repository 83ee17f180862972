"""Cache of constant tensors, such as sine positions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

import torch

Build = TypeVar("Build", bound=Callable[..., Any])


def cache_table(build: Build) -> Build:
    """Cache the constant tensors that a function returns, as `lru_cache` does; callers must not modify them.

    Not cached while tracing, so exports stay small and no tensor of a tracer leaks into the cache.
    """
    # without inference mode, or tensors cached in tracking could not be used in training
    cached = lru_cache(maxsize=64)(torch.inference_mode(False)(build))

    @wraps(build)
    def table(*args: Any) -> Any:
        return (build if torch.compiler.is_compiling() else cached)(*args)

    table.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
    return cast(Build, table)
