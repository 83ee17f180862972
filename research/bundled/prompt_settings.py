"""Settings of the training of prompts, and their recipe file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from aotlab.configs.load import build_config, parse_yaml
from aotlab.configs.settings import Settings, Text
from aotlab.configs.training import Count, CountOrZero, CropEdge, Fraction, NonNegative, Positive, Seed
from aotlab.utils.files import read_text

DEFAULT_RECIPE = Path(__file__).parent / "recipes" / "prompts.yaml"


class PromptSource(Settings):
    """A set of images with masks below the data folder."""

    path: Text
    """Parent folder of JPEGImages and Annotations."""
    folder: Text = ""
    """Subfolder with the images of the set; empty: the subfolders listed in ``videos``."""
    videos: Text = ""
    """File with the names of subfolders, one per line."""
    held_out: list[Text] = Field(default_factory=list)
    """Listed names that are kept for validation."""
    weight: float = 1.0
    """Sampling weight of the set, multiplied by the square root of its number of images."""
    parts: float = 0.0
    """Probability of treating touching objects as one."""


class PromptTraining(Settings):
    """Training of the prompt network."""

    sources: list[PromptSource] = Field(default_factory=list)
    """Sets of images to sample from."""
    steps: Count = 2000
    """Steps of the optimizer."""
    batch: Count = 8
    """Objects per step."""
    size: CropEdge = 193
    """Side of a sample in pixels, 16k+1."""
    blocks: Count = 2
    """Blocks of a new prompt network."""
    lr: Positive = 4e-4
    """Learning rate of everything except the encoder."""
    encoder_lr: NonNegative = 1e-4
    """Learning rate of the encoder's second half; its first half is frozen."""
    encoder_from: CountOrZero = 225
    """First step that trains the encoder."""
    decay: Fraction = 0.4
    """Fraction of the steps, the last ones, in which the rate falls linearly to 2 %."""
    weight_decay: NonNegative = 0.03
    """Weight decay of AdamW."""
    hardest_from: CountOrZero = 2500
    """Step at which the cross-entropy reaches the hardest fifth of the pixels; at step 0, it averages all."""
    third_round: Fraction = 0.35
    """Probability that a step has a third round of prompts."""
    ema: Fraction = 0.9985
    """Decay of the averaged weights."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """float32, bfloat16, or auto: bfloat16 if it is faster on this machine."""
    seed: Seed = 0
    """Random seed."""


def load_prompt_training(path: Path = DEFAULT_RECIPE, overrides: Sequence[str] = ()) -> PromptTraining:
    """Read a recipe file, with ``key=value`` overrides."""
    tree = parse_yaml(read_text(path, "give a recipe"), str(path))
    return build_config(tree, str(path), PromptTraining, overrides=overrides)
