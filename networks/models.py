"""The models by the kind of block that a config names."""

from __future__ import annotations

from collections.abc import Callable

import torch

from aotlab.configs.schema import ModelConfig
from aotlab.networks.aost import AOST, PyramidAOT
from aotlab.networks.aot import AOT
from aotlab.networks.deaot import DeAOT
from aotlab.networks.model import VOSModel
from aotlab.networks.msdeaot import MSDeAOT
from aotlab.networks.prompts import PromptNetwork
from aotlab.networks.rmem import RMemAOT, RMemDeAOT
from aotlab.utils.errors import InputError

MODELS: dict[str, Callable[[ModelConfig], VOSModel]] = {
    "lstt": AOT,
    "lstt_recurrent": RMemAOT,
    "gpm": DeAOT,
    "aost": AOST,
    "pyramid": PyramidAOT,
}
"""model by block; DeAOT has further classes for a temporal embedding and for several stages"""


def build_model(config: ModelConfig) -> VOSModel:
    """Return the model of a config with random weights, and its prompt network if it has one.

    Raises:
        InputError: unknown encoder or block, or settings that no paper combines with the block.
    """
    stage, several = config.stages[0], len(config.stages) > 1
    if stage.block not in MODELS:
        raise InputError(f"model.stages.block must be one of {', '.join(MODELS)}, got {stage.block}")
    if several and stage.block not in ("gpm", "pyramid"):
        raise InputError(
            f"model.stages: only gpm and pyramid blocks run in several stages, got {stage.block}"
        )
    if several and stage.block == "gpm" and config.decode_all_blocks:
        raise InputError("model.decode_all_blocks must be false for several stages of gpm blocks, got true")
    if config.scalable != (stage.block == "aost"):
        raise InputError(
            f"model.scalable must be true for aost blocks and false for others, got {stage.block}"
        )
    create = MODELS[stage.block]
    if stage.block == "gpm":
        create = MSDeAOT if several else RMemDeAOT if stage.temporal_slots else DeAOT
    model = create(config)
    model.prompts = PromptNetwork(config) if config.prompt_blocks else None
    # the fastest layout for convolutions; tokens are then views of maps
    return model.to(memory_format=torch.channels_last)
