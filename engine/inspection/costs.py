"""What a model costs: parameters and FLOPs of each of its parts, without computing anything."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from inspect import unwrap
from types import FrameType

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aotlab.configs.schema import ModelConfig
from aotlab.networks.attention import global_attention, local_attention
from aotlab.networks.vos_model import StageMemory, VOSModel

BANKS = "identity banks"
SELF, LONG, SHORT = "self-attention", "long-term attention", "short-term attention"
KINDS = {
    "self_attention": SELF, "feedforward": "feed-forward", "long": LONG, "long_projection": LONG,
    "short": SHORT, "short_projection": SHORT, "position_key": SHORT, "position_value": SHORT,
    "short_key": SHORT, "short_value": SHORT, "short_norm": SHORT,
}  # fmt: skip
"""what a member of a block does; all others make what these read"""
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
    with torch.device("meta"), torch.no_grad():
        run = _TrackedFrame(VOSModel(config).eval())
        masks = torch.empty(-(-objects // config.max_objects), min(objects, config.max_objects) + 1, *size)
        image = torch.empty(1, 3, *size)
        memory = _filled_memory(run.model, image, masks, frames)
        with FlopCounterMode(display=False) as counter:
            attention = _AttentionFlops(counter, run.model)
            attention.watch(run, image, masks, memory)
    flops: Counter[str] = Counter()
    for name, module in run.model.named_modules():
        # A module of a block is counted where it has no modules inside, all others as a whole.
        whole = name.count(".") == 0 or name.endswith(".transition")
        if whole or (".blocks." in name and not list(module.children())):
            flops[_part(name)] += sum(counter.flop_counts.get(f"_TrackedFrame.model.{name}", {}).values())
    flops.update(attention.flops)
    flops[BANKS] = counter.get_total_flops() - flops.total()
    parameters: Counter[str] = Counter()
    for name, parameter in run.model.named_parameters():
        parameters[_part(name)] += parameter.numel()
    return [PartCost(part, parameters[part], flops[part]) for part in flops | parameters]


class _TrackedFrame(nn.Module):
    """One frame as a module, for the counter to know the names of what is inside."""

    def __init__(self, model: VOSModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, masks: Tensor, memory: StageMemory) -> None:
        """Track the frame and memorise its masks."""
        features = self.model.encode(image)
        propagated = self.model.propagate(features, memory)
        self.model.decode(propagated, features)
        self.model.memorize(propagated, self.model.assign_identities(masks))


class _AttentionFlops:
    """FLOPs of the attention functions, which are no modules, by the part of the block that calls them.

    What a block calls first is its long-term attention, what it calls next its short-term one.
    """

    def __init__(self, counter: FlopCounterMode, model: VOSModel) -> None:
        self.flops: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._counter, self._before = counter, 0
        self._names = {module: name for name, module in model.named_modules()}
        self._functions = (global_attention.__code__, unwrap(local_attention).__code__)

    def watch(self, run: nn.Module, *inputs: object) -> None:
        """Run a module and count."""
        others = sys.getprofile()
        sys.setprofile(self._on_event)
        try:
            run(*inputs)
        finally:
            sys.setprofile(others)

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        if frame.f_code not in self._functions or event not in ("call", "return"):
            return
        total = self._counter.get_total_flops()
        if event == "return" and frame.f_back is not None:
            caller = self._caller(frame.f_back)
            self.flops[_part(f"{caller}.{('long', 'short')[self._calls[caller]]}")] += total - self._before
            self._calls[caller] += 1
        self._before = total

    def _caller(self, frame: FrameType | None) -> str:
        """The name of the module whose method called."""
        while frame is not None:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and module in self._names:
                return self._names[module]
            frame = frame.f_back
        raise LookupError("attention was called by no module")


def _filled_memory(model: VOSModel, image: Tensor, masks: Tensor, frames: int) -> StageMemory:
    """What every block reads when long-term memory holds so many frames."""
    identities = model.assign_identities(masks)
    one = model.memorize(model.propagate(model.encode(image), identities=identities), identities)
    for stage in one:
        for index, block in enumerate(stage):
            key, value = (x.repeat(1, frames, 1) for x in block.long)
            stage[index] = block._replace(long=block.long._replace(key=key, value=value))
    return one


def _part(name: str) -> str:
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
    what = inside[3] if len(inside) > 3 else ""
    return f"{stage}, block {int(inside[2]) + 1}: {KINDS.get(what, 'queries, keys, values, gates')}"
