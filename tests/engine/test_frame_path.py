"""How much of ours an ordinary frame runs through: few functions in few files, so that it can be read at once."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import pytest

from aotlab.engine.tracking.tracker import Tracker
from tests.engine.small_model import build, clip, stripes

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("utils", "configs", "media", "networks", "dataloaders", "evaluation", "engine", "video", "tools")


class Limits(NamedTuple):
    """The most distinct functions, files and nested calls of ours in one frame."""

    functions: int
    files: int
    depth: int


ORDINARY, MEMORY = "ordinary", "memory"
LIMITS = {
    ("aott", ORDINARY): Limits(59, 19, 11),
    ("bundled", MEMORY): Limits(76, 22, 11),
    ("r50_aotl", MEMORY): Limits(65, 20, 11),
    ("r50_deaotl", MEMORY): Limits(66, 20, 11),
    ("msdeaotl", MEMORY): Limits(68, 22, 11),
}
"""by preset and kind of frame; AOTT remembers its reference frame only"""


class CallRecorder:
    """Records the functions of ours that run, without comprehensions and lambdas, and how deep they are nested."""

    def __init__(self) -> None:
        self.functions: set[CodeType] = set()
        self.depth = self.now = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event not in ("call", "return") or not ours(frame.f_code):
            return
        self.now += 1 if event == "call" else -1
        self.depth = max(self.depth, self.now)
        if not frame.f_code.co_name.startswith("<"):
            self.functions.add(frame.f_code)


def ours(code: CodeType) -> bool:
    path = Path(code.co_filename).resolve()
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES


@pytest.mark.parametrize(
    ("preset", "kind"),
    [pytest.param(*case, marks=[pytest.mark.slow] if "r50" in case[0] else []) for case in LIMITS],
)
def test_frame_path_is_short(preset: str, kind: str) -> None:
    """The third frame of a small video, or the first that long-term memory stores after the reference frame."""
    every = 2 if kind == MEMORY else 10
    settings = [] if preset == "aott" else [f"memory.every={every}"]
    if preset == "bundled":
        tracker = Tracker.from_pretrained(overrides=settings)
    else:
        tracker = Tracker(*build(preset, *settings, tiny=False))
    first, second, third = clip(3)
    tracker.step(first, stripes([1, 2]))
    tracker.step(second)
    path, limits = CallRecorder(), LIMITS[preset, kind]
    sys.setprofile(path)
    try:
        tracker.step(third)
    finally:
        sys.setprofile(None)
    assert len(tracker.video.groups[0].memory) == (2 if kind == MEMORY else 1)
    names = sorted(f"{Path(code.co_filename).stem}.{code.co_name}" for code in path.functions)
    assert "tracker.step" in names
    assert len(names) <= limits.functions, names
    assert len({code.co_filename for code in path.functions}) <= limits.files, names
    assert path.depth <= limits.depth, names
