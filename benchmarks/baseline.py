"""The baseline: parts of the frame path as the published code runs them without its CUDA extension.

Each part computes the same as the one it replaces, except for rounding, and can be switched on separately, so that its
share of the difference can be measured. The package does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial, wraps
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.engine.inputs import Size
from aotlab.engine.memory import MemoryBank
from aotlab.engine.prediction import Prediction
from aotlab.engine.recurrence import Seen
from aotlab.engine.tracker import Tracker
from aotlab.networks.block import BlockMemory, KeyValue
from aotlab.networks.encoders import FrozenNormConv2d
from aotlab.networks.kernels import SETS
from aotlab.networks.kernels.convolutions import FoldedConv2d, follow
from aotlab.networks.operations import use
from aotlab.networks.positions import RelativePosition
from aotlab.networks.stage import BLOCKS
from aotlab.networks.swin import SwinBase
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.environment import (
    MMAP_MAX,
    MMAP_THRESHOLD,
    TOP_PAD,
    TRIM_THRESHOLD,
    keep_freed_memory,
    set_malloc,
)

USUAL = {MMAP_MAX: 2**16, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26, TOP_PAD: 2**17}
"""values that glibc's malloc adapts to in a program with large blocks"""
Switch = Callable[[Tracker], AbstractContextManager[Any]]
"""Makes a tracker run one part as published for as long as the context lasts."""


@contextmanager
def as_published(tracker: Tracker, names: Iterable[str]) -> Iterator[None]:
    """Run the named parts of `PARTS` as published while the context lasts."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(PARTS[name](tracker))
        yield


@contextmanager
def training_as_published(model: VOSModel) -> Iterator[None]:
    """Train ``model`` as the published code does while the context lasts."""
    choices = {**SETS["plain"], "local_attention": unfolded_local_attention}
    with use(choices), _norms_apart(model.encoder):
        yield


def unfolded_local_attention(
    query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int], position: RelativePosition
) -> Tensor:
    """Compute `local_attention` with a copy of the window's keys for every query.

    With relative positions in the values (AOT) these are copied as well; without (DeAOT) the weights of the window
    go into a full matrix over all tokens, as in the published code.
    """
    heads, area, dim = position.weight.shape
    window, frames = int(area**0.5), key.shape[1] // query.shape[1]
    # In the order of the keys in memory, as published: else their product takes nearly twice as long.
    queries = query.mT.contiguous().unflatten(1, (heads, dim))
    keys = _windows(key, size, frames, heads, window)
    # A product and a sum are quicker here than einsum, which copies the keys once more.
    logits = ((queries * dim**-0.5)[:, None, :, :, None] * keys).sum(3)
    relative = torch.einsum("hac,bhcl->bhal", position.weight, queries) + position.bias[:, :, None]
    tokens = torch.arange(1.0, 1 + query.shape[1], device=query.device).view(1, 1, *size)
    tokens = F.unfold(tokens, window, padding=window // 2)[0].long()  # window²×L, 0 outside the map
    logits = (logits + relative[:, None]).masked_fill(tokens == 0, float("-inf"))
    weights = logits.transpose(1, 2).flatten(2, 3).softmax(2).unflatten(2, (frames, area)).transpose(1, 2)
    if position.value is None:
        return _spread(weights, tokens, value, heads)
    values = _windows(value, size, frames, heads, window)
    result = (weights[:, :, :, None] * values).sum((1, 4))
    result = result + torch.einsum("bhal,hca->bhcl", weights.sum(1), position.value)
    return result.flatten(1, 2).mT


def _spread(weights: Tensor, tokens_seen: Tensor, value: Tensor, heads: int) -> Tensor:
    """Values B×(n·L)×D under weights B×n×heads×window²×L of the tokens seen window²×L, by a full matrix: B×L×D."""
    batch, frames, _, _, tokens = weights.shape
    matrix = weights.new_zeros(batch, frames, heads, tokens, tokens + 1)
    matrix.scatter_(4, tokens_seen.mT.expand(batch, frames, heads, -1, -1), weights.mT)
    values = value.unflatten(1, (frames, -1)).unflatten(3, (heads, -1)).transpose(2, 3)
    return (matrix[..., 1:] @ values).sum(1).transpose(1, 2).flatten(2)


def _windows(x: Tensor, size: tuple[int, int], frames: int, heads: int, window: int) -> Tensor:
    """Tokens B×(n·L)×C to what every token sees around it: B×n×heads×(C/heads)×window²×L."""
    maps = x.unflatten(1, (frames, -1)).flatten(0, 1).mT.unflatten(2, size)
    copies = F.unfold(maps, window, padding=window // 2)
    return copies.unflatten(0, (-1, frames)).unflatten(2, (heads, -1, window**2))


def _local_attention(tracker: Tracker) -> AbstractContextManager[Any]:
    """Keys of short-term attention, and values of AOT's, are unfolded: a window for every query."""
    return use({"local_attention": unfolded_local_attention})


def _global_attention(tracker: Tracker) -> AbstractContextManager[Any]:
    """Long-term and self-attention as two products of whole matrices with the softmax between them."""
    return use({"attention": "plain"})


def _products(tracker: Tracker) -> AbstractContextManager[Any]:
    """Matrix products are PyTorch's own, never convolutions."""
    return use({name: choice for name, choice in SETS["plain"].items() if "attention" not in name})


def _norms(tracker: Tracker) -> AbstractContextManager[Any]:
    """Run the frozen batch norms of the encoder as separate operations."""
    return _norms_apart(_network(tracker).encoder)


@contextmanager
def _norms_apart(encoder: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for module in [] if isinstance(encoder, SwinBase) else encoder.modules():
            if isinstance(module, nn.Conv2d):
                stack.enter_context(patch.object(module, "forward", partial(_then_normed, module)))
        yield


def _then_normed(conv: nn.Conv2d, x: Tensor, residual: Tensor | None = None) -> Tensor:
    """Run a convolution B×C×H×W to B×C'×H'×W' without its norm, then the norm, then what follows.

    A norm that is folded into kernel and bias only shifts, which takes as long: without gradients the published norm is
    one pass as well.
    """
    convolved = F.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)  # type: ignore[arg-type]
    if isinstance(conv, FrozenNormConv2d):
        return conv.norm(convolved)
    if conv.bias is None:
        return convolved
    ones = torch.ones_like(conv.bias)
    normed = F.batch_norm(convolved, torch.zeros_like(ones), ones, ones, conv.bias, eps=0.0)
    return follow(normed, conv.activation, residual) if isinstance(conv, FoldedConv2d) else normed


def _groups(tracker: Tracker) -> AbstractContextManager[Any]:
    """Groups of objects run one after another, each with its own memory; all share the encoded image.

    It holds for a whole video, as each group keeps its memory.
    """
    return patch.object(tracker, "one_group_at_a_time", True)


@contextmanager
def _memory(tracker: Tracker) -> Iterator[None]:
    """Long-term memory is copied whole for every frame that it stores.

    The two branches of gated propagation are joined again for every frame that reads them.
    """
    # With gradients a bank concatenates; inference mode still holds, so none are recorded.
    branches = {BLOCKS[stage.block].branches for stage in tracker.config.model.stages}
    read = MemoryBank.read

    def joining(bank: MemoryBank) -> list[list[BlockMemory]]:
        """Read a bank, with values joined from their halves."""
        return [
            [BlockMemory(*(_concatenated(branches) for branches in block)) for block in stage]
            for stage in read(bank)
        ]

    with ExitStack() as stack:
        for name in ("add", "add_reference"):
            stack.enter_context(
                patch.object(MemoryBank, name, torch.enable_grad()(getattr(MemoryBank, name)))
            )
        if max(branches) > 1:
            stack.enter_context(patch.object(MemoryBank, "read", joining))
        yield


def _concatenated(branches: KeyValue) -> KeyValue:
    """Keys as they are, values as a copy made of their two halves."""
    return KeyValue(branches.key, torch.cat(branches.value.chunk(2, 2), 2))


def _planes(tracker: Tracker) -> AbstractContextManager[Any]:
    """Masks have a plane for each identity of the bank, and all planes are convolved."""
    identities = tracker.model.config.max_objects + 1 + tracker.model.config.ignore_plane
    assign = tracker.model.assign_identities

    def with_all_planes(masks: Tensor) -> list[Tensor]:
        """Return the identity embeddings of masks B×(m+1)×H×W."""
        return assign(F.pad(masks, (0, 0, 0, 0, 0, identities - masks.shape[1])))

    return patch.object(tracker.model, "assign_identities", with_all_planes)


def _network(tracker: Tracker) -> VOSModel:
    """Return the tracker's model, which must not be an exported one."""
    assert isinstance(tracker.model, VOSModel)
    return tracker.model


def _argmax(tracker: Tracker) -> AbstractContextManager[Any]:
    """Labels are the argmax of the softmax instead of the index of the largest logit."""
    label = tracker.label

    def by_probability(seen: Sequence[Seen], size: Size) -> tuple[Tensor, Tensor]:
        """Logits, and channels by argmax. The fast path's maximum runs as well, which takes a thousandth of a frame."""
        logits, _ = label(seen, size)
        return logits, logits.softmax(0).argmax(0)

    return patch.object(tracker, "label", by_probability)


def _sync(tracker: Tracker) -> AbstractContextManager[Any]:
    """A step ends when the frame's labels are on the host."""
    step = tracker.step

    @wraps(step)
    def waiting(frame: np.ndarray, mask: np.ndarray | None = None, **options: Any) -> Prediction:
        """Track a frame and fetch its labels."""
        prediction = step(frame, mask, **options)
        _ = prediction.labels
        return prediction

    return patch.object(tracker, "step", waiting)


@contextmanager
def _layout(tracker: Tracker) -> Iterator[None]:
    """Maps have one channel after the other in memory, so tokens and maps are copies of each other."""
    model = _network(tracker)
    weights = {weight: weight.data for weight in model.parameters() if weight.dim() == 4}
    for weight, data in weights.items():
        weight.data = data.clone(memory_format=torch.contiguous_format)
    encode = model.encode
    with patch.object(model, "encode", lambda image: encode(image.contiguous())):
        yield
    for weight, data in weights.items():
        weight.data = data


@contextmanager
def _allocator(tracker: Tracker) -> Iterator[None]:
    """Freed memory returns to the system."""
    set_malloc(USUAL)
    yield
    keep_freed_memory()


PARTS: dict[str, Switch] = {
    "local_attention": _local_attention,
    "global_attention": _global_attention,
    "products": _products,
    "norms": _norms,
    "groups": _groups,
    "memory": _memory,
    "planes": _planes,
    "argmax": _argmax,
    "sync": _sync,
    "layout": _layout,
    "allocator": _allocator,
}
"""parts by name"""
