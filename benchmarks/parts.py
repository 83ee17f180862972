"""Where the time of a frame goes: a clock that is put around the verbs of a step for as long as one looks."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch

from aotlab.engine.inspection.costs import BANKS, model_costs
from aotlab.engine.memory import MemoryBank
from aotlab.utils.devices import settle
from benchmarks.timed_tracker import TimedTracker

READ, BEFORE, ENCODE, PROPAGATE = "read frame", "preprocess", "encode", "propagate"
DECODE, MEMORY, AFTER, WRITE = "decode", "memory", "postprocess", "write mask"
PARTS = (READ, BEFORE, ENCODE, PROPAGATE, DECODE, MEMORY, AFTER, WRITE)
"""of a frame, in their order"""
VERBS = {
    "encode": ENCODE, "propagate": PROPAGATE, "decode": DECODE, "assign_identities": MEMORY, "memorize": MEMORY,
}  # fmt: skip
"""methods of the model and the part that each is"""


class PartClock:
    """Seconds by part. Time between parts is preprocessing until the image is encoded, then postprocessing."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.memory_frames = 0
        """in the largest long-term memory that was read"""
        self._device = device
        self._open = [AFTER]
        self._mark = 0.0

    def start(self, part: str = BEFORE) -> None:
        """Begin with a part; what the clock has counted stays."""
        settle(self._device)
        self._open = [part]
        self._mark = time.perf_counter()

    def stop(self) -> None:
        """Give the time since the last border to the part that runs."""
        settle(self._device)
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._mark
        self._mark = now

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose time is a part's."""

        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            """Run the function between two borders."""
            self.stop()
            self._open.append(part)
            try:
                return function(*args, **options)
            finally:
                self.stop()
                self._open.pop()
                if part == ENCODE:
                    self._open[0] = AFTER

        return timed

    @contextmanager
    def watching(self, run: TimedTracker) -> Iterator[None]:
        """Time the verbs of a run's model and its memory; nothing of it stays behind."""
        read = self.around(MEMORY, MemoryBank.read)

        def counted(bank: MemoryBank) -> Any:
            """Read a bank and note how much it holds."""
            self.memory_frames = max(self.memory_frames, len(bank))
            return read(bank)

        model = run.tracker.model
        with ExitStack() as stack:
            for name, part in VERBS.items():
                stack.enter_context(patch.object(model, name, self.around(part, getattr(model, name))))
            stack.enter_context(patch.object(MemoryBank, "read", counted))
            stack.enter_context(patch.object(MemoryBank, "add", self.around(MEMORY, MemoryBank.add)))
            yield


def flops_of(run: TimedTracker, network_size: tuple[int, int], memory_frames: int) -> dict[str, int]:
    """FLOPs of the parts that the model computes, for one frame; memorising counts where its keys are made.

    Args:
        run: whose model it is.
        network_size: (height, width) of the network's input.
        memory_frames: in long-term memory.
    """
    objects = run.setting.objects
    costs = model_costs(run.tracker.model.config, network_size, objects=objects, frames=memory_frames)
    flops: Counter[str] = Counter()
    for cost in costs:
        kinds = {"encoder": ENCODE, "projector": ENCODE, "decoder": DECODE, BANKS: MEMORY}
        flops[kinds.get(cost.name, PROPAGATE)] += cost.flops
    return dict(flops)
