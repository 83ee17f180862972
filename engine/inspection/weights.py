"""Attention weights out of blocks as they are: a model's computation is neither repeated nor changed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.networks.block import Block, BlockMemory, KeyValue
from aotlab.networks.temporal import TemporalEmbedding
from aotlab.networks.vos_model import VOSModel


class BlockInputs(NamedTuple):
    """What a block was called with; axes as in `Block.forward`."""

    x: Tensor
    size: tuple[int, int]
    memory: BlockMemory
    identity: Tensor | None = None
    temporal: TemporalEmbedding | None = None

    def of_group(self, group: int) -> BlockInputs:
        """The inputs of one group of objects out of a batch."""
        one = slice(group, group + 1)
        memory = BlockMemory(*(KeyValue(key[one], value[one]) for key, value in self.memory))
        return self._replace(x=self.x[one], memory=memory)


@contextmanager
def recorded_inputs(model: VOSModel) -> Iterator[dict[tuple[int, int], BlockInputs]]:
    """Yield the inputs of the model's blocks while the context lasts, by the numbers of stage and block.

    Reference frames, which read themselves, are skipped.
    """
    inputs: dict[tuple[int, int], BlockInputs] = {}
    with ExitStack() as hooks:
        for number, stage in enumerate(model.stages):
            for index, block in enumerate(stage.blocks):

                def record(
                    _: nn.Module, given: tuple, block_index: tuple[int, int] = (number, index)
                ) -> None:
                    """Keep the inputs of a block."""
                    x, size, memory, *rest = given
                    if memory is None:
                        return
                    # Copies, as later frames overwrite the memory; outside inference mode, for gradients by them.
                    with torch.inference_mode(False), torch.no_grad():
                        copies = (KeyValue(key.clone(), value.clone()) for key, value in memory)
                        inputs[block_index] = BlockInputs(x.clone(), size, BlockMemory(*copies), *rest)

                hooks.callback(block.register_forward_pre_hook(record).remove)
        yield inputs


def attention_weights(block: Block, inputs: BlockInputs, queries: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax weights with which a block read its memory, averaged over heads and queries.

    Attention is a weighted sum of values, so its derivative by the values is the weights, whatever the kind of
    attention. It is taken at the input of the layer behind attention, through the block's own computation.

    Args:
        block: in evaluation mode.
        inputs: of batch 1.
        queries: L, the weight of each of the frame's tokens, adding up to 1.

    Returns:
        S and n·L, each adding up to 1: over the tokens of long-term and of short-term memory; the second is empty for
        a block without short-term attention.
    """
    per_channel = channel_weights(block, inputs, queries)
    return per_channel[0].mean(1), per_channel[1].mean(1)


def channel_weights(block: Block, inputs: BlockInputs, queries: Tensor) -> tuple[Tensor, Tensor]:
    """As `attention_weights`, in the head of each channel of the values: S×D and n·L×D."""
    memory = BlockMemory(*(KeyValue(key, value.detach().requires_grad_()) for key, value in inputs.memory))
    values, sums = {"long": memory.long.value, "short": memory.short.value}, dict[str, Tensor]()
    with ExitStack() as hooks, torch.enable_grad():
        for term, reader in block.readers().items():
            hooks.callback(reader.register_forward_pre_hook(_keep_input(sums, term)).remove)
        made = block.short_values()
        if made is not None:
            hooks.callback(made.register_forward_hook(_keep_output(values, "short")).remove)
        block(*inputs._replace(memory=memory))
        weights = []
        for term, value in values.items():
            if term in sums:
                (weight,) = torch.autograd.grad((queries @ sums[term][0]).sum(), value, retain_graph=True)
                weights.append(weight[0])
            else:
                weights.append(value.new_zeros(0, value.shape[2]))
    return weights[0], weights[1]


def _keep_input(into: dict[str, Tensor], name: str) -> Callable[..., None]:
    """A hook that keeps a module's first input."""

    def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        into[name] = given[0]

    return hook


def _keep_output(into: dict[str, Tensor], name: str) -> Callable[..., None]:
    """A hook that keeps a module's output."""

    def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        into[name] = output

    return hook


def token_shares(pixels: np.ndarray, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """The share of H×W bool pixels that lie in each token of a map, row-major: h·w."""
    coordinates = []
    for pixel, length, tokens in zip(np.nonzero(pixels), pixels.shape, size, strict=True):
        # Centres of the corner pixels of frame and map coincide, or the borders do.
        token = pixel * (tokens - 1) / max(length - 1, 1)
        if not align_corners:
            token = (pixel + 0.5) * tokens / length - 0.5
        coordinates.append(np.clip(np.rint(token).astype(int), 0, tokens - 1))
    rows, columns = coordinates
    counts = np.bincount(rows * size[1] + columns, minlength=size[0] * size[1])
    return torch.from_numpy(counts / counts.sum()).float()
