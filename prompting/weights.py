"""Files of prompt networks: safetensors with the settings inside."""

from __future__ import annotations

from pathlib import Path

from aotlab.configs.files import BUNDLED_PROMPTS
from aotlab.configs.load import build_config, parse_yaml, to_yaml
from aotlab.networks.weights.checkpoints import read_checkpoint, require_finite, write_weights
from aotlab.prompting.config import PromptConfig
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab.utils.errors import InputError, require
from aotlab.utils.text import shorten

METADATA_KEY = "prompts"
"""Key of the settings in the metadata of a file."""


def save_prompt_network(path: Path, network: PromptNetwork, *, half: bool = False, card: str | None = None) -> None:
    """Write weights, settings and the JSON of a model card as one file; ``half`` stores 16-bit floats."""
    write_weights(path, network, {METADATA_KEY: to_yaml(network.config)}, half=half, card=card)


def is_prompt_network(path: Path) -> bool:
    """Return whether a checkpoint holds a prompt network; raises `InputError` if it cannot be read."""
    return METADATA_KEY in read_checkpoint(path, weights=False)[1]


def load_prompt_network(path: Path = BUNDLED_PROMPTS) -> PromptNetwork:
    """Return the prompt network of a file, in evaluation mode, float32.

    Raises:
        InputError: missing or damaged file, or not a prompt network.
    """
    state, metadata = read_checkpoint(path)
    remedy = "give a file like pretrain_models/prompts.safetensors"
    require(METADATA_KEY in metadata, "not a prompt network", subject=path, remedy=remedy)
    settings = parse_yaml(metadata[METADATA_KEY], f"{path}: settings in the file")
    network = PromptNetwork(build_config(settings, str(path), PromptConfig))
    require_finite(state, path)
    try:
        network.load_state_dict({key: tensor.float() for key, tensor in state.items()})
    except RuntimeError as error:
        problem = f"does not fit its settings ({shorten(str(error).split(chr(10), 1)[-1].strip(), 120)})"
        raise InputError(problem, subject=path, remedy="download or train it again") from error
    return network.eval()
