"""A recipe that trains within a test, its data, and its logs."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.configs.schema import Config
from aotlab.engine.training import trainer
from aotlab.engine.training.record import RunRecord
from aotlab.engine.training.saved_states import list_saved_states
from aotlab.engine.training.trainer import train
from aotlab.utils.distributed import Distributed
from aotlab_testing.drawn_clips import write_list
from aotlab_testing.in_memory import write_videos
from aotlab_testing.small_model import TINY_STAGE, register_tiny_encoder

WITHOUT_DROP_PATH = "model.stages.0.drop_path=0"
"""Override that removes randomness, so that another order of sums changes losses by rounding only."""
ALONE = Distributed(torch.device("cpu"))


def draw_sets(root: Path, frames: int = 3) -> Path:
    """Write two drawn videos to ``root/drawn``, and one for validation to ``root/held``; return the root."""
    write_videos(root / "drawn", "one", "two", frames=frames, size=(80, 96))
    write_list(root / "drawn" / "ImageSets" / "val.txt", ["one"])
    write_videos(root / "held", "three", frames=frames, size=(80, 96), start=2)
    return root


def phase(name="video", **options):
    return {"name": name, "steps": 2, "batch": 1, "clip_length": 3, "crop": 65, "short_edge": 72, "merge": 0.5,
            "lr": 4e-4, "sources": [{"path": "drawn", "max_gap": 1}], **options}  # fmt: skip


def steady_phase(**options):
    """Return a phase that does not amplify rounding, with small steps and true masks in memory."""
    return phase(**{"batch": 2, "lr": 3e-5, "feed_predictions_after": 1.0, **options})


def write_recipe(folder: Path, data: Path, output: str, *phases: dict) -> Path:
    """Write the YAML file of a run whose output is ``folder/output``, and register its encoder; return its path."""
    register_tiny_encoder()
    settings = {
        "base": "aott",
        "name": "tiny",
        "model": {"encoder": "tiny", "dim": 32, "stages": [{**TINY_STAGE, "drop_path": 0.5}]},
        "data": {"root": str(data), "workers": 0},
        "train": {"output": str(folder / output), "log_every": 1, "image_every": 0, "phases": list(phases)},
    }  # fmt: skip
    file = folder / f"{output}.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    return file


def tiny_recipe(folder: Path, data: Path, output: str, *phases: dict, overrides=()) -> Config:
    return load_config(str(write_recipe(folder, data, output, *phases)), overrides)


def run_recipe(config: Config, *, restart: bool = False) -> RunRecord:
    return train(config, ALONE, restart=restart)


def list_states(config: Config) -> list[Path]:
    """Return the saved states of a run, the newest first."""
    return list_saved_states(Path(config.train.output))


def before_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Call ``act`` before a training step; steps are counted from 1 over all phases and runs."""
    original, numbers = trainer.train_step, count(1)

    def train_step(*args: object) -> object:
        if next(numbers) == number:
            act()
        return original(*args)

    monkeypatch.setattr(trainer, "train_step", train_step)


def read_log(folder: Path | str) -> list[dict]:
    """Return the lines of a log that have a loss."""
    with open(f"{folder}/log.jsonl") as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if "loss" in line]


def log_lines(config: Config) -> list[dict]:
    """Return the steps that a run logged."""
    return read_log(config.train.output)


def assert_same_steps(found: list[dict], expected: list[dict]) -> None:
    """Compare the steps of two logs up to the rounding of float32 sums in another order."""
    for step, other in zip(found, expected, strict=True):
        assert step["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert step["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-3)
