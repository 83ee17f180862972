"""Attention weights of blocks, taken from their own computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.networks.block import Block, BlockMemory, KeyValue, TemporalEmbedding
from aotlab.networks.vos_model import VOSModel


class BlockInputs(NamedTuple):
    """Inputs of a block; axes as in `Block.forward`."""

    x: Tensor
    size: tuple[int, int]
    memory: BlockMemory
    identity: Tensor | None = None
    temporal: TemporalEmbedding | None = None

    def of_group(self, group: int) -> BlockInputs:
        """Select one group of objects."""
        one = slice(group, group + 1)
        memory = BlockMemory(*(KeyValue(key[one], value[one]) for key, value in self.memory))
        return self._replace(x=self.x[one], memory=memory)


@contextmanager
def recorded_inputs(model: VOSModel) -> Iterator[dict[tuple[int, int], BlockInputs]]:
    """Yield the inputs of the model's blocks by stage and block, in float32; enter it between frames.

    Reference frames, which read themselves, are skipped.
    """
    inputs: dict[tuple[int, int], BlockInputs] = {}
    with ExitStack() as hooks:
        for number, stage in enumerate(model.stages):
            calls = count()

            def record(
                _: nn.Module, given: tuple, number: int = number, calls: Iterator[int] = calls
            ) -> None:
                """Keep the inputs of a block."""
                index = next(calls) % model.stages[number].depth  # a shared block is called at every depth
                x, size, memory, *rest = given
                if memory is None:
                    return
                # Copies, as later frames overwrite the memory; outside inference mode, for gradients by them.
                with torch.inference_mode(False), torch.no_grad():
                    copies = (KeyValue(*(tensor.clone().float() for tensor in kv)) for kv in memory)
                    inputs[number, index] = BlockInputs(x.clone().float(), size, BlockMemory(*copies), *rest)

            for block in stage.blocks:
                hooks.callback(block.register_forward_pre_hook(record).remove)
        yield inputs


def attention_weights(block: Block, inputs: BlockInputs, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Return the softmax weights with which a block read its memory, averaged over queries.

    Attention is a weighted sum of values, so its derivative by the values is the weights for any kind of attention. It
    is taken at the input of the layer after attention, through the block's own computation.

    Args:
        block: block in evaluation mode.
        inputs: its inputs, with batch size 1.
        queries: weights of the frame's tokens, L, which sum to 1.

    Returns:
        Weights of each channel's head over the tokens of long-term memory, S×D, and of short-term memory, n·L×D, each
        summing to 1 over the tokens; the second is empty without short-term attention.
    """
    memory = BlockMemory(*(KeyValue(key, value.detach().requires_grad_()) for key, value in inputs.memory))
    values, sums = {"long": memory.long.value, "short": memory.short.value}, dict[str, Tensor]()
    with ExitStack() as hooks, torch.enable_grad():
        for term, reader in block.readers().items():
            hook = reader.register_forward_pre_hook(lambda _, given, term=term: sums.update({term: given[0]}))
            hooks.callback(hook.remove)
        made = block.short_values()
        if made is not None:
            hook = made.register_forward_hook(lambda _, __, output: values.update(short=output))
            hooks.callback(hook.remove)
        block(*inputs._replace(memory=memory))
        weights = []
        for term, value in values.items():
            if term in sums:
                (weight,) = torch.autograd.grad((queries @ sums[term][0]).sum(), value, retain_graph=True)
                weights.append(weight[0])
            else:
                weights.append(value.new_zeros(0, value.shape[2]))
    return weights[0], weights[1]


def token_shares(pixels: np.ndarray, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """Return the share of H×W bool pixels in each token of a map, row-major: h·w."""
    coordinates = []
    for pixel, length, tokens in zip(np.nonzero(pixels), pixels.shape, size, strict=True):
        # Either the centres of corner pixels coincide, or the borders.
        token = pixel * (tokens - 1) / max(length - 1, 1)
        if not align_corners:
            token = (pixel + 0.5) * tokens / length - 0.5
        coordinates.append(np.clip(np.rint(token).astype(int), 0, tokens - 1))
    rows, columns = coordinates
    counts = np.bincount(rows * size[1] + columns, minlength=size[0] * size[1])
    return torch.from_numpy(counts / counts.sum()).float()
