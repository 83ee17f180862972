"""AOST: Scalable Video Object Segmentation with Identification Mechanism (Yang et al.; TPAMI 2024).

One set of weights runs with any number of blocks: the decoder has an input layer per depth. Identities also scale keys.
`PyramidAOT` uses the same block at several scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.attention import Attention, LocalAttention, Size
from aotlab.networks.decoders import ConvDecoder, FPNDecoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import (
    ConvGN,
    FeedForward,
    SelfAttention,
    init_xavier,
    map_to_tokens,
    tokens_to_map,
)
from aotlab.networks.model import (
    BlockMemory,
    Features,
    KeyValue,
    Memory,
    PropagatedFrame,
    VOSModel,
    batch_size,
)
from aotlab.networks.multiscale import ENCODER_MAPS, MultiScaleModel, Stage, Transition
from aotlab.networks.positions import sine_position
from aotlab.utils.errors import InputError


class AOSTBlock(nn.Module):
    """LSTT block whose identities scale each head's keys by 1 + tanh of a gain, and are added to the values."""

    def __init__(self, dim: int, config: StageConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, config.self_heads or config.heads, config.self_stride)
        self.key_value, self.id_key_value = nn.Linear(dim, 2 * dim), nn.Linear(dim, config.heads + dim)
        self.long_attention, self.long_projection = Attention(config.heads), nn.Linear(dim, dim)
        self.short_attention = LocalAttention(dim, config.heads, config.window)
        self.short_projection = nn.Linear(dim, dim)
        self.feedforward = FeedForward(dim, config.feedforward)
        self.drop_path = StochasticDepth(config.drop_path, mode="row")
        init_xavier(self)

    def forward(
        self, x: Tensor, size: Size, memory: BlockMemory | None, identities: Tensor | None
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame; arguments as `aotlab.networks.aot.LSTTBlock.forward`.

        Returns:
            B×L×C, and the frame's key and value before its identities are known.
        """
        x = x + self.drop_path(self.self_attention(self.norm1(x), sine_position(size, x)))
        state = KeyValue(*self.key_value(self.norm2(x)).chunk(2, dim=2))
        long, short = self.memorize(state, identities) if memory is None else memory
        x = x + self.long_projection(self.long_attention(state.key, long.key, long.value))
        x = x + self.short_projection(self.short_attention(state.key, short.key, short.value, size))
        return x + self.drop_path(self.feedforward(self.norm3(x), size)), state

    def memorize(self, state: KeyValue, identities: Tensor | None) -> BlockMemory:
        """Return the frame's memory: the identity embedding B×L×C scales keys and is added to values."""
        assert identities is not None
        gain, added = self.id_key_value(identities).tensor_split([self.heads], dim=2)  # B×L×heads, B×L×C
        key = state.key.unflatten(2, (self.heads, -1)) * (1 + gain.tanh()).unsqueeze(3)
        memory = KeyValue(key.flatten(2), state.value + added)
        return BlockMemory(memory, memory)


class ScalableDecoder(FPNDecoder):
    """FPN decoder with an input layer per depth."""

    def __init__(
        self, inputs: Sequence[int], shortcuts: Sequence[int], outputs: int, *, dim: int, align_corners: bool
    ) -> None:
        """``inputs``: channels of the embeddings at each depth; the rest as `FPNDecoder`."""
        super().__init__(inputs[0], shortcuts, outputs, dim=dim, align_corners=align_corners)
        self.conv_in = nn.ModuleList(ConvGN(channels, dim, 1) for channels in inputs)
        init_xavier(self.conv_in)

    def forward(self, x: Tensor, f4: Tensor, f8: Tensor, f16: Tensor, depth: int = 1) -> Tensor:
        """Decode the embeddings of ``depth`` blocks; the rest as `FPNDecoder.forward`."""
        return self.refine(F.relu(self.conv_in[depth - 1](x)), f4, f8, f16)  # type: ignore[index]


class AOST(VOSModel):
    """AOT of which the first ``depth`` blocks may be used.

    With ``shared`` one block is applied several times, each time with its own memory, and only the last output is
    decoded; otherwise the frame's tokens and the outputs of all blocks are.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stage, dim = config.stages[0], config.dim
        self.depth, self.shared = config.depths[0], stage.shared
        self.identity_bank = IdentityBank(config, dim, stage.stride, stage.identity_stride)
        self.identity_norm = nn.LayerNorm(dim)
        blocks = 1 if stage.shared else stage.depth
        self.blocks = nn.ModuleList(AOSTBlock(dim, stage) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(blocks))
        inputs = [(2 + index) * dim if config.decode_all_blocks else dim for index in range(stage.depth)]
        self.decoder = ScalableDecoder(
            inputs, self.channels[:3], config.max_objects + 1, dim=dim, align_corners=config.align_corners
        )

    def at_depth(self, depth: int) -> AOST:
        """Return this model with only its first ``depth`` blocks in use; weights are shared.

        Raises:
            InputError: more than its trained depth.
        """
        model = copy(self)
        try:
            model.config = replace(self.config, depth=depth)
        except ValueError as error:
            raise InputError(str(error)) from error
        model.depth = depth
        return model

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Masks B×(m+1)×H×W to [B×L×C]."""
        return [self.identity_norm(self.identity_bank(masks))]

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the blocks in use on the frame's tokens; see `VOSModel.propagate`."""
        x = features.projected.expand(batch_size(memory, identities), -1, -1, -1)
        size = (x.shape[2], x.shape[3])
        embeddings, states, tokens = [x], [], map_to_tokens(x)
        for index in range(self.depth):
            block = self.blocks[0 if self.shared else index]
            tokens, state = block(tokens, size, memory and memory[0][index], identities and identities[0])
            states.append(state)
            if not self.shared:
                embeddings.append(tokens_to_map(self.norms[index](tokens), size))
            elif index < self.depth - 1:  # as published, only the last output of a shared block is normed
                embeddings.append(tokens_to_map(tokens, size))
            else:
                embeddings.append(tokens_to_map(self.norms[0](tokens), size))
        return PropagatedFrame([embeddings], [states])

    def memorize(self, propagated: PropagatedFrame, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return the frame's memory of each block in use; see `VOSModel.memorize`."""
        states = enumerate(propagated.states[0])
        blocks = self.blocks
        return [[blocks[0 if self.shared else i].memorize(state, identities[0]) for i, state in states]]  # type: ignore[operator]

    def decode(self, propagated: PropagatedFrame, features: Features, depth: int | None = None) -> Tensor:
        """Return logits B×(M+1)×H/4×W/4.

        ``depth``: decode what fewer blocks gave than were computed (training); None: all of these.
        """
        depth = depth or self.depth
        embeddings = propagated.embeddings[0][: 1 + depth]
        used = embeddings if self.config.decode_all_blocks else embeddings[-1:]
        return self.decoder(torch.cat(used, dim=1), features.f4, features.f8, features.f16, depth)


class PyramidBlock(AOSTBlock):
    """AOST block with a norm of its output."""

    def __init__(self, dim: int, config: StageConfig) -> None:
        super().__init__(dim, config)
        self.output_norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, size: Size, memory: BlockMemory | None, identities: Tensor | None
    ) -> tuple[Tensor, KeyValue]:
        """Run `AOSTBlock.forward` and normalise its output."""
        x, state = super().forward(x, size, memory, identities)
        return self.output_norm(x), state


class PyramidAOT(MultiScaleModel):
    """Multi-scale AOT (pyramid AOT): stages of AOST's block from stride 16 to 8; the last only refines."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        stages: list[Stage] = []
        embeddings = 0  # channels of all embeddings of the stage before
        for number, settings in enumerate(config.stages):
            dim = settings.dim or config.dim
            shortcut = self.channels[ENCODER_MAPS[settings.stride]]
            transition = bank = None
            if number:
                transition = Transition(
                    embeddings, shortcut, dim, branches=1, align_corners=config.align_corners
                )
            if settings.depth:
                bank = IdentityBank(config, dim, settings.stride, settings.identity_stride)
            keep_input = config.decode_all_blocks and settings.depth > 0
            outputs = max(settings.depth, 1)
            stages.append(
                Stage(
                    stride=settings.stride,
                    transition=transition,
                    blocks=[PyramidBlock(dim, settings) for _ in range(settings.depth)],
                    norms=[nn.Identity() for _ in range(outputs)],
                    identity_bank=bank,
                    identity_norm=nn.LayerNorm(dim) if settings.depth else None,
                    memory_stride=settings.memory_stride,
                    keep_input=keep_input,
                )
            )
            embeddings = (keep_input + outputs) * dim
        self.stages = nn.ModuleList(stages)
        self.decoder = ConvDecoder(embeddings, config.dim // 2, config.max_objects + 1)
