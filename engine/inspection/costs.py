"""Parameters and FLOPs of each part of a model, without computing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

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
"""what a member of a stage is called; all others norm what it hands on"""


@dataclass(frozen=True)
class PartCost:
    """A row of the table; ``flops`` are of one tracked frame."""

    name: str
    parameters: int
    flops: int


def model_costs(config: ModelConfig, size: tuple[int, int], *, objects: int, frames: int) -> list[PartCost]:
    """Parameters and FLOPs of every part of a model, for one tracked frame.

    The frame is encoded once, what depends on objects runs for every group of them, and masks are memorised.
    A multiplication and its addition count as 2. Counted are matrix products, convolutions and attention as they
    are computed, padding included; not counted are norms, softmax, activations, resizing and sums. Nothing is
    computed: PyTorch's meta device knows shapes alone.

    Args:
        config: of the model.
        size: (height, width) of the network's input in pixels.
        objects: tracked.
        frames: in long-term memory.
    """
    kernels.install()
    with torch.device("meta"), torch.no_grad():
        run = _TrackedFrame(VOSModel(config).eval())
        masks = torch.empty(-(-objects // config.max_objects), min(objects, config.max_objects) + 1, *size)
        image = torch.empty(1, 3, *size)
        memory = _filled_memory(run.model, image, masks, frames)
        with FlopCounterMode(display=False) as counter:
            watched = _AttentionFlops(config, counter)
            with use({op.name: watched.counted(op) for op in (attention, local_attention)}):
                run(image, masks, memory)
    flops: Counter[str] = Counter()
    for name, module in run.model.named_modules():
        # A module of a block is counted where it has no modules inside, all others as a whole.
        whole = name.count(".") == 0 or name.endswith(".transition")
        if whole or (".blocks." in name and not list(module.children())):
            flops[_part(config, name)] += sum(
                counter.flop_counts.get(f"_TrackedFrame.model.{name}", {}).values()
            )
    flops.update(watched.flops)
    flops[BANKS] = counter.get_total_flops() - flops.total()
    parameters: Counter[str] = Counter()
    for name, parameter in run.model.named_parameters():
        parameters[_part(config, name)] += parameter.numel()
    return [PartCost(part, parameters[part], flops[part]) for part in flops | parameters]


class _TrackedFrame(nn.Module):
    """One frame as a module, for the counter to know the names of what is inside."""

    def __init__(self, model: VOSModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, masks: Tensor, memory: Memory) -> None:
        """Track the frame and memorise its masks."""
        features = self.model.encode(image)
        propagated = self.model.propagate(features, memory)
        self.model.decode(propagated, features)
        self.model.memorize(propagated, self.model.assign_identities(masks))


class _AttentionFlops:
    """FLOPs of the attention operations, which are no modules, by the part of the block that calls them.

    The first call of a block is its long-term attention, the next its short-term one; a shared block calls again.
    """

    def __init__(self, config: ModelConfig, counter: FlopCounterMode) -> None:
        self.flops: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._config, self._counter = config, counter

    def counted(self, operation: Operation) -> Callable[..., Tensor]:
        """The operation by its rule, with its FLOPs added to those of its caller."""

        def run(*args: object) -> Tensor:
            before = self._counter.get_total_flops()
            result = operation.kernels[operation.rule(*args)](*args)
            caller = max(self._counter.mod_tracker.parents, key=len).removeprefix("_TrackedFrame.model.")
            part = _part(self._config, f"{caller}.{('long', 'short')[self._calls[caller] % 2]}")
            self.flops[part] += self._counter.get_total_flops() - before
            self._calls[caller] += 1
            return result

        return run


def _filled_memory(model: VOSModel, image: Tensor, masks: Tensor, frames: int) -> Memory:
    """What every block reads when long-term memory holds so many frames."""
    identities = model.assign_identities(masks)
    one = model.memorize(model.propagate(model.encode(image), identities=identities), identities)
    for stage in one:
        for index, block in enumerate(stage):
            key, value = (x.repeat(1, frames, 1) for x in block.long)
            stage[index] = block._replace(long=block.long._replace(key=key, value=value))
    return one


def _part(config: ModelConfig, name: str) -> str:
    """The row that a parameter, a module or a function of the model belongs to, by its full name."""
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
