"""Base class of all models: encoder and stateless methods, and the types that pass between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor, nn
from typing_extensions import Self

from aotlab.configs.schema import ModelConfig
from aotlab.networks.attention import Size, split_heads
from aotlab.networks.encoders import build_encoder


class Features(NamedTuple):
    """An encoded image."""

    f4: Tensor
    """B×C4×H/4×W/4, the encoder's map at stride 4"""
    f8: Tensor
    """B×C8×H/8×W/8"""
    f16: Tensor
    """B×C16×H/16×W/16"""
    projected: Tensor
    """B×C×H/16×W/16, the encoder's last map, projected to the model's width C

    The last map is f16, except for MobileNetV2, which computes a fourth map of 1280 channels.
    """


class KeyValue(NamedTuple):
    """Keys and values of T frames of L tokens each, oldest first; T = 1 for a single frame."""

    key: Tensor
    """B×(T·L)×C"""
    value: Tensor
    """B×(T·L)×D"""


class BlockMemory(NamedTuple):
    """Memory of one block: all that it reads, or one frame's contribution (T = 1)."""

    long: KeyValue
    """keys and values of all frames in long-term memory"""
    short: KeyValue
    """keys and values of the last frame, or of the last few"""


Memory = Sequence[BlockMemory]
"""memory of each block, in the order in which blocks run"""


class PropagatedFrame(NamedTuple):
    """A frame after propagation."""

    embeddings: list[Tensor]
    """maps B×C×h×w for the decoder"""
    states: list[Any]
    """state of each block, read by `memorize` and `compare` of the same model

    A NamedTuple of tensors with the field ``key``, such as `aotlab.networks.aot.LSTTState`. Exported models have dicts.
    """
    sizes: list[Size]
    """(h, w) of each block's map in tokens"""


class VOSModel(nn.Module):
    """Base of all models: encoder and projection. Everything from the past is an argument.

    Axes: B batch (clips in training, groups of objects in tracking), M identities of a group, H×W pixels, h×w tokens
    or pixels of a map, L = h·w tokens.
    """

    decoder: nn.Module
    optimized = False
    """whether it is a copy for tracking by `aotlab.networks.fast.optimize`, whose weights are fused"""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        self.projector = nn.Conv2d(self.encoder.channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)
        self.prompts: nn.Module | None = None
        """network that turns clicks and boxes into masks (`aotlab.networks.prompts`); trackers run it"""

    @property
    def heads(self) -> int:
        """Heads of long-term attention in the first block."""
        return self.config.stages[0].heads

    def at_depth(self, depth: int) -> Self:
        """Return this model with its first ``depth`` blocks in use; weights are shared.

        Raises:
            InputError: the model is not scalable (`AOST` is), or has fewer blocks.
        """
        model = copy(self)
        model.config = replace(self.config, depth=depth)
        return model

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image B×3×H×W in the precision of the weights, once for all groups of objects."""
        f4, f8, f16, last = self.encoder(image.to(self.projector.weight.dtype))
        return Features(f4, f8, f16, self.projector(last))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the identity embedding of masks (E in AOT).

        Args:
            masks: B×(m+1)×H×W, one-hot or soft, background first, m ≤ M; the plane to ignore may follow M.

        Returns:
            B×L×C of each stage with blocks.
        """
        raise NotImplementedError

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Carry identities from memory to a frame, or to a reference frame from its own ``id_embeddings``.

        Args:
            features: of batch B, or 1 shared by all groups.
            memory: memory that each block reads; None on a reference frame.
            id_embeddings: of the reference frame, from `assign_identities`; None on all other frames.
        """
        raise NotImplementedError

    def memorize(self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]) -> list[BlockMemory]:
        """Return this frame's memory of each block; its values carry ``id_embeddings``."""
        raise NotImplementedError

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×h×w of background and identities, at the stride of the decoder."""
        raise NotImplementedError

    def compare(self, propagated: PropagatedFrame, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first block's queries and long-term keys as its attention compares them, for memory policies.

        Args:
            key: B×(T·L)×C of its long-term memory.

        Returns:
            Queries B×heads×L×c and keys B×heads×(T·L)×c.
        """
        query = propagated.states[0].key  # queries and keys of a frame are one projection
        return split_heads(query, self.heads), split_heads(key, self.heads)


def expand_frame(
    features: Features, memory: Memory | None, id_embeddings: Sequence[Tensor] | None
) -> tuple[Tensor, Size]:
    """Repeat a frame, which is encoded once, for every group of objects.

    Returns:
        The projected map B×C×h×w, with the B of the memory or else of the identity embeddings, and its (h, w).
    """
    if memory is not None:
        groups = len(memory[0].long.key)
    else:
        assert id_embeddings is not None
        groups = len(id_embeddings[0])
    x = features.projected.expand(groups, -1, -1, -1)
    return x, (x.shape[2], x.shape[3])


def run_blocks(
    blocks: Iterable[Callable[..., tuple[Any, Any]]],
    x: Any,
    size: Size,
    memory: Memory | None,
    id_embedding: Tensor | None,
) -> tuple[list[Any], list[Any]]:
    """Run blocks one after another.

    Args:
        blocks: from ``(x, size, memory, id_embedding)`` to the next x and the block's state.
        x: tokens B×L×C, or both branches of `aotlab.networks.deaot.GPMBlock`.
        size: (h, w) of the map, L = h·w.
        memory: memory of each block; None on a reference frame.
        id_embedding: B×L×C, of the reference frame; None on all other frames.

    Returns:
        Output and state of each block.
    """
    outputs, states = [], []
    for index, block in enumerate(blocks):
        x, state = block(x, size, None if memory is None else memory[index], id_embedding)
        outputs.append(x)
        states.append(state)
    return outputs, states
