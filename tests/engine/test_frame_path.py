"""How much of ours an ordinary frame runs through: few functions in few files, so that it can be read at once."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.engine.tracker import Tracker
from aotlab.networks.vos_model import VOSModel

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("utils", "configs", "media", "masks", "networks", "dataloaders", "evaluation", "engine", "tools")

LEAVES = ("networks/kernels/", "networks/operations.py", "networks/primitives.py")
"""files that stand in for PyTorch's own operations, and count as these do: not at all"""


class Limits(NamedTuple):
    """The most distinct functions, files and nested calls of ours in one frame."""

    functions: int
    files: int
    depth: int


ORDINARY, MEMORY = "ordinary", "memory"
LIMITS = {
    ("aott", ORDINARY): Limits(27, 12, 7),
    ("r50_aotl", ORDINARY): Limits(27, 12, 7),
    ("r50_aotl", MEMORY): Limits(33, 13, 7),
    ("r50_deaotl", ORDINARY): Limits(27, 11, 7),
    ("r50_deaotl", MEMORY): Limits(33, 12, 7),
    ("msdeaotl", ORDINARY): Limits(32, 12, 7),
    ("msdeaotl", MEMORY): Limits(38, 13, 7),
}
"""by preset and kind of frame; AOTT remembers its reference frame alone"""


class CallRecorder:
    """Records the functions of ours that run, comprehensions and lambdas included."""

    def __init__(self) -> None:
        self.functions: set[CodeType] = set()
        self.deepest: list[str] = []
        self._stack: list[CodeType] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not self._ours(code):
            return
        if event == "return":
            self._stack.pop()
            return
        self._stack.append(code)
        self.functions.add(code)
        if len(self._stack) > len(self.deepest):
            self.deepest = [entry.co_name for entry in self._stack]

    @staticmethod
    def _ours(code: CodeType) -> bool:
        path = Path(code.co_filename).resolve()
        if not path.is_relative_to(ROOT) or path.relative_to(ROOT).as_posix().startswith(LEAVES):
            return False
        return path.relative_to(ROOT).parts[0] in PACKAGES

    @property
    def files(self) -> set[str]:
        return {str(Path(code.co_filename).relative_to(ROOT)) for code in self.functions}

    @property
    def names(self) -> list[str]:
        return sorted(f"{Path(code.co_filename).stem}.{code.co_name}" for code in self.functions)


def recorded(preset: str, kind: str) -> CallRecorder:
    """The third frame of a small video, or the first that long-term memory takes in behind the reference frame."""
    every = 2 if kind == MEMORY else 10
    config = load_config(preset, [] if preset == "aott" else [f"memory.every={every}"])
    torch.manual_seed(0)
    tracker = Tracker(VOSModel(config.model), config)
    frames = np.random.default_rng(0).integers(0, 256, (3, 33, 49, 3), dtype=np.uint8)
    mask = np.zeros((33, 49), np.uint8)
    mask[5:20, 10:30] = 1
    tracker.step(frames[0], mask)
    tracker.step(frames[1])
    path = CallRecorder()
    sys.setprofile(path)
    try:
        tracker.step(frames[2])
    finally:
        sys.setprofile(None)
    assert len(tracker.banks[0]) == (2 if kind == MEMORY else 1)
    return path


@pytest.mark.parametrize(("preset", "kind"), LIMITS, ids=" ".join)
def test_a_frame_runs_through_few_functions_and_files(preset: str, kind: str) -> None:
    path, limits = recorded(preset, kind), LIMITS[preset, kind]
    assert "tracker.step" in path.names
    assert len(path.functions) <= limits.functions, path.names
    assert len(path.files) <= limits.files, sorted(path.files)
    assert len(path.deepest) <= limits.depth, path.deepest
