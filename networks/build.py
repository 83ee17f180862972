"""Models of configs: the class that a config names, with random weights."""

from __future__ import annotations

import torch

from aotlab.configs.schema import ModelConfig
from aotlab.networks.aost import AOST
from aotlab.networks.aot import AOT
from aotlab.networks.deaot import DeAOT
from aotlab.networks.model import VOSModel
from aotlab.networks.msdeaot import MSDeAOT
from aotlab.networks.paot import PyramidAOT
from aotlab.networks.prompts import PromptNetwork
from aotlab.networks.rmem import RMemAOT, RMemDeAOT
from aotlab.utils.errors import InputError

BLOCKS = ("lstt", "lstt_recurrent", "gpm", "aost", "pyramid")


def build_model(config: ModelConfig) -> VOSModel:
    """Return the model of a config with random weights, and its prompt network if it has one.

    Raises:
        InputError: unknown encoder or block, or settings that the model of the block does not have.
    """
    require_supported(config)
    model = create_model(config)
    model.prompts = PromptNetwork(config) if config.prompt_blocks else None
    # the fastest layout for convolutions; tokens are then views of maps
    return model.to(memory_format=torch.channels_last)


def create_model(config: ModelConfig) -> VOSModel:
    """Return the model of the config's block, without a prompt network."""
    block = config.stages[0].block
    if block == "lstt":
        return AOT(config)
    if block == "lstt_recurrent":
        return RMemAOT(config)
    if block == "aost":
        return AOST(config)
    if block == "pyramid":
        return PyramidAOT(config)
    if len(config.stages) > 1:
        return MSDeAOT(config)
    return RMemDeAOT(config) if config.stages[0].temporal_slots else DeAOT(config)


def require_supported(config: ModelConfig) -> None:
    """Raise `InputError` for an unknown block, or settings that its model would ignore."""
    block, several = config.stages[0].block, len(config.stages) > 1
    if block not in BLOCKS:
        raise InputError(f"model.stages.block must be one of {', '.join(BLOCKS)}, got {block}")
    if several and block not in ("gpm", "pyramid"):
        raise InputError(f"model.stages: only gpm and pyramid blocks run in several stages, got {block}")
    if config.scalable != (block == "aost"):
        raise InputError(f"model.scalable must be true for aost blocks and false for others, got {block}")
    if block in ("lstt", "lstt_recurrent") and not config.decode_all_blocks:
        raise InputError(f"model.decode_all_blocks must be true for {block} blocks, got false")
    if block == "gpm" and config.decode_all_blocks:
        raise InputError("model.decode_all_blocks must be false for gpm blocks, got true")
    for stage in config.stages:
        if stage.temporal_slots and (several or block not in ("lstt_recurrent", "gpm")):
            raise InputError(
                "model.stages.temporal_slots: only lstt_recurrent and a single stage of gpm blocks have a temporal "
                f"embedding, got {stage.temporal_slots}; set it to 0"
            )
        if stage.memory_stride > 1 and not several:
            raise InputError(
                f"model.stages.memory_stride must be 1 in models of one stage, got {stage.memory_stride}"
            )
        if block != "pyramid" and (stage.self_heads is not None or stage.self_stride > 1):
            raise InputError(
                "model.stages: only pyramid blocks have self_heads and self_stride; leave them out of "
                f"{block} blocks"
            )
