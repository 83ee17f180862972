"""Trackers and models on a simulated CUDA device: shapes and devices without values.

Every operation whose arguments lie on different devices fails, and so does one that needs a tensor's value on the host.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)

from aotlab.configs.schema import Config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from aotlab.networks.model import VOSModel
from aotlab_testing.small_model import draw_texture

CUDA = torch.device("cuda", 0)
NEEDS_HOST = (DataDependentOutputException, DynamicOutputShapeException)
"""Errors of operations that need a tensor's value on the host."""


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Simulate a CUDA device inside the block, with tensors without values; clear cached constants before and after."""
    forget_constants()
    try:
        with (
            FakeTensorMode() as mode,
            patch("aotlab.engine.tracking.tracker.pick_device", torch.device),
            patch("torch.nn.Module.to", _cast),
            patch("aotlab.networks.fast.optimize.deepcopy", lambda model: deepcopy(model, {id(mode): mode})),
            patch("torch.cuda.amp.common.amp_definitely_not_available", return_value=False),
            patch("torch.cuda.is_bf16_supported", return_value=True),
            patch("torch.cuda.current_stream"),
            patch("torch.cuda.Event"),
            patch("torch.Tensor.pin_memory", lambda tensor: tensor),
        ):
            yield mode
    finally:
        forget_constants()


def forget_constants() -> None:
    """Clear the caches of functions, which hold constants per device and type."""
    modules = [module for name, module in sys.modules.items() if name.startswith("aotlab.")]
    for function in [value for module in modules for value in vars(module).values()]:
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def build_on_cuda(config: Config) -> VOSModel:
    """Build a model whose weights are on the device; call it inside `fake_cuda`."""
    with unset_fake_temporarily(), torch.device("meta"):
        model = build_model(config.model)
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(_like(weight), weight.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _like(buffer)
    return model


def _cast(module: nn.Module, device: Any = None, dtype: torch.dtype | None = None, **options: Any) -> nn.Module:
    """Replace `Module.to`, which cannot move fake weights: change their type only, as they are on the device."""
    for part in module.modules():
        for store in (part._parameters, part._buffers):
            for name, value in store.items():
                if value is not None and dtype is not None and value.is_floating_point():
                    cast = value.detach().to(dtype)
                    store[name] = nn.Parameter(cast, False) if store is part._parameters else cast
    return module


def _like(tensor: torch.Tensor) -> torch.Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA, memory_format=layout)


def tracker_on_cuda(config: Config, **options: Any) -> Tracker:
    """Build a tracker with a model of `build_on_cuda`."""
    return Tracker(build_on_cuda(config), config, device=str(CUDA), **options)


class FakeEvent:
    """The event of a copy to the host."""

    def __init__(self, events: list[str], frame: int) -> None:
        self.events, self.frame = events, frame

    def record(self, stream: Any) -> None:
        pass

    def synchronize(self) -> None:
        self.events.append(f"waited for {self.frame}")


def record_transfers(config: Config, run: Callable[[Tracker, np.ndarray], object], monkeypatch: Any) -> list[str]:
    """Run a tracker on three frames; return the order in which frames were sent and their results waited for.

    Copies that block fail.
    """
    events: list[str] = []
    with fake_cuda():
        tracker = tracker_on_cuda(config)
        pin, to = torch.Tensor.pin_memory, torch.Tensor.to
        event = cast(Any, torch.cuda.Event)
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: events.append("sent") or pin(x))
        monkeypatch.setattr(torch.Tensor, "numpy", lambda x: np.zeros(x.shape, np.int16))
        event.side_effect = lambda: FakeEvent(events, events.count("sent"))

        def copy(tensor: torch.Tensor, *args: Any, non_blocking: bool = False, **options: Any) -> torch.Tensor:
            if (CUDA in args and tensor.dtype == torch.uint8) or "cpu" in args:
                assert non_blocking
            return to(tensor, *args, non_blocking=non_blocking, **options)

        monkeypatch.setattr(torch.Tensor, "to", copy)
        run(tracker, draw_texture(3))
    return events
