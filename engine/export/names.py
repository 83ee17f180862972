"""Names of the inputs and outputs of graphs: conversion between nested results and tables by name.

``long_key_0_1`` is the key of long-term memory of stage 0, block 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from aotlab.configs.schema import ModelConfig
from aotlab.networks.block import BlockMemory, KeyValue, Memory, Unlabelled
from aotlab.networks.stage import BLOCKS
from aotlab.networks.vos_model import Features

Tensors = Mapping[str, Tensor]


def map_sizes(config: ModelConfig, size: Sequence[int]) -> list[tuple[int, int]]:
    """Return (height, width) in tokens of each stage's map for an input of (height, width) pixels."""
    return [(-(-size[0] // stage.stride), -(-size[1] // stage.stride)) for stage in config.stages]


def features_of(given: Tensors) -> Features:
    """Return the maps that a graph reads; None for the others."""
    return Features(*(given.get(name) for name in Features._fields))  # type: ignore[arg-type]


def named_identities(identities: Sequence[Tensor]) -> dict[str, Tensor]:
    """Name the identity embeddings of stages with blocks: ``identities_0``."""
    return {f"identities_{stage}": x for stage, x in enumerate(identities) if x.numel()}


def identities_of(config: ModelConfig, given: Tensors) -> list[Tensor]:
    """Return one embedding per stage; B×0×0 for a stage without blocks."""
    empty = given["identities_0"][:, :0, :0]
    return [given.get(f"identities_{stage}", empty) for stage in range(len(config.stages))]


def named_current(current: Sequence[Sequence[Unlabelled]]) -> dict[str, Tensor]:
    """Name a frame's unlabelled memory by stage and block: ``key_0_0`` and the block's other fields."""
    return {
        f"{part}_{stage}_{block}": tensor
        for stage, blocks in enumerate(current)
        for block, parts in enumerate(blocks)
        for part, tensor in parts._asdict().items()
        if tensor is not None
    }


def current_of(config: ModelConfig, given: Tensors) -> list[list[Unlabelled]]:
    """Invert `named_current`."""
    current: list[list[Unlabelled]] = []
    for number, stage in enumerate(config.stages):
        kind = BLOCKS[stage.block].unlabelled
        names = [
            [f"{part}_{number}_{block}" for part in kind._fields] for block in range(config.depths[number])
        ]
        current.append([kind(*map(given.get, parts)) for parts in names])
    return current


def named_memory(memory: Memory) -> dict[str, Tensor]:
    """Name the memory of blocks: ``long_key_0_0``, ``long_value_0_0``, ``short_key_0_0``, ``short_value_0_0``."""
    tensors = {}
    for kind in BlockMemory._fields:
        pairs = [[getattr(block, kind) for block in blocks] for blocks in memory]
        tensors.update({f"{kind}_{name}": tensor for name, tensor in named_current(pairs).items()})
    return tensors


def memory_of(config: ModelConfig, given: Tensors) -> list[list[BlockMemory]]:
    """Invert `named_memory`."""

    def pair(kind: str, stage: int, block: int) -> KeyValue:
        return KeyValue(*(given[f"{kind}_{part}_{stage}_{block}"] for part in KeyValue._fields))

    return [
        [
            BlockMemory(*(pair(kind, number, block) for kind in BlockMemory._fields))
            for block in range(config.depths[number])
        ]
        for number, stage in enumerate(config.stages)
    ]


def named_embeddings(embeddings: Sequence[Tensor]) -> dict[str, Tensor]:
    """Name the maps to decode in order: ``embedding_0``."""
    return {f"embedding_{index}": tensor for index, tensor in enumerate(embeddings)}


def embeddings_of(given: Tensors) -> list[Tensor]:
    """Invert `named_embeddings`."""
    count = sum(name.startswith("embedding_") for name in given)
    return [given[f"embedding_{index}"] for index in range(count)]
