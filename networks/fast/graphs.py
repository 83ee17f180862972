"""Replay of recorded functions: a frame's work as a few CUDA graphs, and a stand-in on CPUs for tests."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar
from weakref import ref

import torch
from torch import Tensor

from aotlab.networks.fast.recording import OperationCheck, Recording, copy_tensors, flatten, restore
from aotlab.networks.model import VOSModel

log = logging.getLogger(__name__)
Result = TypeVar("Result")
MAX_GRAPHS = 32
"""Largest number of graphs of a model; the least recently used is dropped first."""


def run_recorded(function: Callable[..., Result], model: VOSModel, *arguments: Any) -> Result:
    """Return ``function(model, *arguments)``, replayed from a graph if the model has `Graphs`.

    The function depends on nothing else and changes nothing. Arguments and result are tensors and numbers, in tuples
    and lists.
    """
    graphs: Graphs | None = getattr(model, "graphs", None)
    return function(model, *arguments) if graphs is None else graphs.run(function, model, *arguments)


def attach_graphs(model: VOSModel, setting: str, device: torch.device) -> None:
    """Let `run_recorded` replay the work of a model, for a value of ``compute.graphs``; only CUDA has graphs."""
    if setting == "on" and device.type != "cuda":
        log.warning("compute.graphs: device %s has no graphs", device.type)
    elif setting == "on":
        model.graphs = CudaGraphs(device)  # type: ignore[assignment]  # not a module


class Graphs(ABC):
    """Recordings of a model's functions, for one stream; threads take turns."""

    lock = threading.Lock()  # PyTorch captures one graph at a time in a process

    def __init__(self, device: torch.device) -> None:
        self.device, self.failed = device, False
        self.recordings: dict[Hashable, Recording] = {}
        """By function, model and description of the arguments, least recently used first."""
        self._buffers: dict[int, Tensor] = {}
        """Memory of static inputs by position, which all recordings share, as one runs at a time."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.device,)  # copies and pickles are empty

    @abstractmethod
    def record(self, run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        """Return the static result of a function, and the function that overwrites it."""

    def use_side_stream(self) -> AbstractContextManager[Any]:
        """Return the context of warm-up and recording."""
        return nullcontext()

    def can_run(self) -> bool:
        """Return whether calls on the current stream are replayed."""
        return not self.failed

    @torch.inference_mode()
    def run(self, function: Callable[..., Result], model: VOSModel, *arguments: Any) -> Result:
        """Return ``function(model, *arguments)``, recorded on the first call of its kind; a failure ends recording."""
        with self.lock:
            if self.can_run():
                try:
                    return self._replay(function, model, arguments)
                except (RuntimeError, TypeError) as error:
                    self.fall_back(error)
        return function(model, *arguments)

    def fall_back(self, error: Exception) -> None:
        """Run everything without graphs from now on."""
        log.warning("compute.graphs is off: %s", str(error).partition("\n")[0])
        self.failed = True
        self.recordings.clear()
        self._buffers.clear()

    def _replay(self, function: Callable[..., Any], model: VOSModel, arguments: tuple[Any, ...]) -> Any:
        tensors: list[Tensor] = []
        key = (function, ref(model), flatten(arguments, tensors))
        recording = self.recordings.pop(key, None)
        if recording is None:
            inputs = [self._make_static(position, x) for position, x in enumerate(tensors)]
            torch._foreach_copy_(inputs, tensors)
            with self.use_side_stream():
                run = partial(function, model, *restore(arguments, iter(inputs)))
                run()  # warm-up, which also fills the caches of constant tensors
                with OperationCheck() as check:
                    run()
                recording = Recording(inputs, *self.record(run), check.constants)
        self.recordings[key] = recording
        if len(self.recordings) > MAX_GRAPHS:
            del self.recordings[next(iter(self.recordings))]
        torch._foreach_copy_(recording.inputs, tensors)
        recording.replay()
        return copy_tensors(recording.result)

    def _make_static(self, position: int, x: Tensor) -> Tensor:
        """Return a tensor like ``x``, in a buffer as large as its storage: memory with more frames fits into it."""
        size = -(-x.untyped_storage().nbytes() // 16) * 16
        if position not in self._buffers or len(self._buffers[position]) < size:
            self._buffers[position] = torch.empty(size, dtype=torch.uint8, device=x.device)
        return self._buffers[position].view(x.dtype).as_strided(x.shape, x.stride())


class EagerGraphs(Graphs):
    """Stand-in on any device: a replay calls the function again, and overwrites the result as a CUDA graph does."""

    def record(self, run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        result = copy_tensors(run())
        outputs: list[Tensor] = []
        flatten(result, outputs)

        def replay() -> None:
            new: list[Tensor] = []
            flatten(copy_tensors(run()), new)
            torch._foreach_copy_(outputs, new)

        return result, replay


class CudaGraphs(Graphs):
    """CUDA graphs with one memory pool; calls on another stream than the first are not replayed."""

    _streams: tuple[torch.cuda.Stream, torch.cuda.Stream] | None = None  # of callers, of warm-up and capture
    _pool: Any = None

    def record(self, run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # thread_local: meanwhile other threads copy frames and labels
        with torch.cuda.graph(graph, self._pool, torch.cuda.current_stream(), capture_error_mode="thread_local"):
            result = run()
        return result, graph.replay

    @contextmanager
    def use_side_stream(self) -> Iterator[None]:
        assert self._streams
        caller, side = self._streams
        side.wait_stream(caller)
        try:
            with torch.cuda.stream(side):  # also restores the stream after a failed capture
                yield
        finally:
            caller.wait_stream(side)

    def can_run(self) -> bool:
        stream = torch.cuda.current_stream(self.device)
        if self._streams is None:
            self._streams = stream, torch.cuda.Stream(self.device)
            self._pool = torch.cuda.graph_pool_handle()
        return super().can_run() and stream == self._streams[0]
