"""How much of ours an ordinary frame runs through: few functions in few files, so that it can be read at once."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType

import numpy as np
import torch

from aotlab.configs.load import load_config
from aotlab.engine.tracker import Tracker
from aotlab.networks.vos_model import VOSModel

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("utils", "configs", "networks", "dataloaders", "evaluation", "engine", "tools")
FUNCTIONS, FILES, DEPTH = 25, 8, 6
"""the most distinct functions, files and nested calls of ours in one frame"""


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
        path = Path(code.co_filename)
        return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES

    @property
    def files(self) -> set[str]:
        return {str(Path(code.co_filename).relative_to(ROOT)) for code in self.functions}

    @property
    def names(self) -> list[str]:
        return sorted(f"{Path(code.co_filename).stem}.{code.co_name}" for code in self.functions)


def record_third_frame() -> CallRecorder:
    config = load_config("aott")
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
    return path


def test_an_ordinary_frame_runs_through_few_functions_and_files():
    path = record_third_frame()
    assert "tracker.step" in path.names
    assert len(path.functions) <= FUNCTIONS, path.names
    assert len(path.files) <= FILES, sorted(path.files)
    assert len(path.deepest) <= DEPTH, path.deepest
