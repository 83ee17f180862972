"""Parameters and FLOPs of each part of a model, on PyTorch's meta device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aotlab.configs.schema import ModelConfig
from aotlab.networks import kernels
from aotlab.networks.attention import attention, local_attention
from aotlab.networks.block import Memory
from aotlab.networks.operations import Operation, use
from aotlab.networks.stage import BLOCKS
from aotlab.networks.vos_model import VOSModel

BANKS = "identity banks"
MEMBERS = {
    "transition": "transition",
    "temporal": "temporal embedding",
    "mask_token": "mask token (unused)",
}
"""names of a stage's members; all others are output norms"""


@dataclass(frozen=True)
class PartCost:
    """Parameters of a part, and its FLOPs on one tracked frame."""

    name: str
    parameters: int
    flops: int


def model_costs(config: ModelConfig, size: tuple[int, int], *, objects: int, frames: int) -> list[PartCost]:
    """Return the parameters and FLOPs of every part of a model for one tracked frame.

    The frame is encoded once, groups of objects are propagated as a batch, and masks are memorised. A multiply-add
    counts as 2. Matrix products, convolutions and attention count with their padding; norms, softmax, activations,
    resizing and sums do not.

    Args:
        size: (height, width) of the network's input in pixels.
        objects: number of tracked objects.
        frames: number of frames in long-term memory.
    """
    kernels.install()
    with torch.device("meta"), torch.no_grad():
        run = _TrackedFrame(VOSModel(config).eval())
        masks = torch.empty(-(-objects // config.max_objects), min(objects, config.max_objects) + 1, *size)
        image = torch.empty(1, 3, *size)
        memory = _filled_memory(run.model, image, masks, frames)
        with FlopCounterMode(display=False) as counter, _counted_attention(config, counter) as attended:
            run(image, masks, memory)
    flops: Counter[str] = Counter()
    for name, module in run.model.named_modules():
        # In blocks, modules without submodules count; elsewhere, whole modules.
        whole = name.count(".") == 0 or name.endswith(".transition")
        if whole or (".blocks." in name and not list(module.children())):
            flops[_part(config, name)] += sum(
                counter.flop_counts.get(f"_TrackedFrame.model.{name}", {}).values()
            )
    flops.update(attended)
    flops[BANKS] = counter.get_total_flops() - flops.total()
    parameters: Counter[str] = Counter()
    for name, parameter in run.model.named_parameters():
        parameters[_part(config, name)] += parameter.numel()
    return [PartCost(part, parameters[part], flops[part]) for part in flops | parameters]


class _TrackedFrame(nn.Module):
    """One frame as a module, so that the counter knows the names of submodules."""

    def __init__(self, model: VOSModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, masks: Tensor, memory: Memory) -> None:
        """Track the frame and memorise its masks."""
        features = self.model.encode(image)
        propagated = self.model.propagate(features, memory)
        self.model.decode(propagated, features)
        self.model.memorize(propagated, self.model.assign_identities(masks))


@contextmanager
def _counted_attention(config: ModelConfig, counter: FlopCounterMode) -> Iterator[Counter[str]]:
    """Yield the FLOPs of attention operations, computed by their fixed rules, by the part of the calling block.

    A block calls long-term attention first, then short-term attention; a shared block calls them again.
    """
    flops, calls = Counter[str](), Counter[str]()

    def run(operation: Operation, *args: object) -> Tensor:
        before = counter.get_total_flops()
        result = operation.kernels[operation.rule(*args)](*args)
        caller = max(counter.mod_tracker.parents, key=len).removeprefix("_TrackedFrame.model.")
        part = _part(config, f"{caller}.{('long', 'short')[calls[caller] % 2]}")
        flops[part] += counter.get_total_flops() - before
        calls[caller] += 1
        return result

    with use({operation.name: partial(run, operation) for operation in (attention, local_attention)}):
        yield flops


def _filled_memory(model: VOSModel, image: Tensor, masks: Tensor, frames: int) -> Memory:
    """Return the memory of every block with ``frames`` frames in long-term memory."""
    identities = model.assign_identities(masks)
    one = model.memorize(model.propagate(model.encode(image), identities=identities), identities)
    for stage in one:
        for index, block in enumerate(stage):
            key, value = (x.repeat(1, frames, 1) for x in block.long)
            stage[index] = block._replace(long=block.long._replace(key=key, value=value))
    return one


def _part(config: ModelConfig, name: str) -> str:
    """Return the part of a parameter, module or function by its full name."""
    top, *inside = name.split(".")
    if top != "stages":
        return top
    stage = f"stage {int(inside[0]) + 1}" if inside else "stages"
    member = inside[1] if len(inside) > 1 else ""
    if member.startswith("identity"):
        return BANKS
    if member != "blocks":
        return f"{stage}: {MEMBERS.get(member, 'output norms')}"
    parts, member = BLOCKS[config.stages[int(inside[0])].block].parts, inside[3] if len(inside) > 3 else ""
    return f"{stage}, block {int(inside[2]) + 1}: {parts.get(member, 'queries, keys, values, gates')}"
