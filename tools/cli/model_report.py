"""Parameters, FLOPs, time and memory of a model by part, as text."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from aotlab.configs.schema import Config
from aotlab.engine.recurrence import encode_frame, memorize_reference
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from aotlab.networks.model import VOSModel
from aotlab.networks.preprocess import network_size
from aotlab.utils.devices import synchronize
from aotlab.utils.tables import TableFormat, format_rows

FRAME_SIZE = (480, 854)
"""(height, width) of the frame whose FLOPs are counted."""
REPEATS = 10
"""Number of timed runs of each step, after one that is not."""


class StepCost(NamedTuple):
    """Measured cost of a step of a frame."""

    milliseconds: float
    """Median."""
    megabytes: float
    """Largest size of its tensors in use at a time, beside weights and inputs, without buffers of kernels."""


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, on any device."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.peak, self._storages = 0, 0, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = {storage._cdata for storage in _list_storages((args, kwargs))}
        for storage in _list_storages(result):
            key, size = storage._cdata, storage.nbytes()
            if key not in inputs and key not in self._storages:
                self._storages.add(key)
                self.used += size
                self.peak = max(self.peak, self.used)
                weakref.finalize(storage, self._free, key, size)
        return result

    def _free(self, key: int, size: int) -> None:
        self._storages.discard(key)
        self.used -= size


def _list_storages(values: Any) -> list[torch.UntypedStorage]:
    """Return the memory of the tensors in nested containers."""
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def describe_model(
    config: Config,
    size: tuple[int, int] = FRAME_SIZE,
    costs: Mapping[str, StepCost] | None = None,
    style: TableFormat = "text",
) -> tuple[str, str]:
    """Return the title of a model, and a table of its parameters by part and the cost of each step of a frame.

    Args:
        size: (height, width) of the frame.
        costs: `measure_steps`; None: FLOPs only.
    """
    height, width = network_size(size, config.input, align_corners=config.model.align_corners)
    with torch.device("meta"):
        model = build_model(config.model).eval()
        flops = count_flops(list_steps(model, height, width))
    parameters = {
        part: sum(weight.numel() for weight in module.parameters()) for part, module in model.named_children()
    }
    rows = [["part", "M parameters", "GFLOP", *["ms", "MB"] * (costs is not None)]]
    for part, count in parameters.items():
        rows += [[part, f"{count / 1e6:.2f}"]] * bool(count)
    rows.append(["all parts", f"{sum(parameters.values()) / 1e6:.2f}"])
    for step, count in flops.items():
        rows.append([step, "", f"{count / 1e9:.2f}"])
        if costs is not None:
            milliseconds, megabytes = costs[step]
            rows[-1] += [f"{milliseconds:.1f}", f"{megabytes:.0f}"]
    rows.append(["one frame", "", f"{sum(flops.values()) / 1e9:.2f}"])
    if costs is not None:
        total = sum(cost.milliseconds for cost in costs.values())
        largest = max(cost.megabytes for cost in costs.values())
        rows[-1] += [f"{total:.1f}", f"{largest:.0f}"]
    blocks = " + ".join(str(stage.depth) for stage in config.model.stages)
    title = (
        f"{config.name}: {config.model.method}, encoder {config.model.encoder}, blocks {blocks}, "
        f"memory {config.memory.policy}\n"
        f"one frame: {width}x{height} in the network, one object, one frame in long-term memory"
    )
    return title, format_rows([[*row, *[""] * (len(rows[0]) - len(row))] for row in rows], style)


@torch.no_grad()
def list_steps(model: VOSModel, height: int, width: int, **factory: Any) -> dict[str, Callable[[], Any]]:
    """Return the steps of a frame in the network's size by name, with one object and one frame in memory.

    ``factory``: arguments of `torch.zeros` for the inputs, such as the device.
    """
    image, masks = torch.zeros(1, 3, height, width, **factory), torch.zeros(1, 2, height, width, **factory)
    features = encode_frame(model, image, (height, width))
    memory, _ = memorize_reference(model, features, masks)
    propagated = model.propagate(features, memory)
    return {
        "encode": lambda: encode_frame(model, image, (height, width)),
        "propagate": lambda: model.propagate(features, memory),
        "decode": lambda: model.decode(propagated, features),
        "memorize": lambda: model.memorize(propagated, model.assign_identities(masks)),
    }


@torch.no_grad()
def count_flops(steps: Mapping[str, Callable[[], Any]]) -> dict[str, int]:
    """Return the FLOPs of each step. A multiply-add counts as 2; matrix products and convolutions count."""
    flops = {}
    for step, compute in steps.items():
        with FlopCounterMode(display=False) as counter:
            compute()
        flops[step] = counter.get_total_flops()
    return flops


@torch.inference_mode()
def measure_steps(config: Config, size: tuple[int, int], device: str) -> dict[str, StepCost]:
    """Measure the steps of `list_steps` as a tracker runs them, with random weights."""
    height, width = network_size(size, config.input, align_corners=config.model.align_corners)
    tracker, costs = Tracker(build_model(config.model), config, device=device), {}
    with tracker.autocast():
        for step, compute in list_steps(tracker.model, height, width, device=tracker.device).items():
            with PeakMemory() as memory:
                compute()
            synchronize(tracker.device)
            seconds = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                compute()
                synchronize(tracker.device)
                seconds.append(time.perf_counter() - start)
            costs[step] = StepCost(1000 * statistics.median(seconds), memory.peak / 1e6)
    return costs
