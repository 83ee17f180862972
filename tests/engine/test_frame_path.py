"""How much of ours an ordinary frame runs through: few functions in few files, so that it can be read at once."""

import sys
from pathlib import Path

import pytest

from aotlab.configs.files import ROOT
from aotlab.engine.tracking.tracker import Tracker
from tests.engine.small_model import build, clip, stripes

PACKAGES = ("utils", "configs", "media", "networks", "dataloaders", "evaluation", "engine", "video", "tools")
LIMITS = {
    "aott": (59, 19, 11),
    "bundled": (76, 22, 11),
    "r50_aotl": (65, 20, 11),
    "r50_deaotl": (66, 20, 11),
    "msdeaotl": (68, 22, 11),
}
"""the most distinct functions, files and nested calls of ours in one frame, by preset"""


class CallRecorder:
    """Records the functions of ours that run, without comprehensions and lambdas, and how deep they are nested."""

    def __init__(self):
        self.functions, self.depth, self.now = set(), 0, 0

    def __call__(self, frame, event, _):
        path = Path(frame.f_code.co_filename).resolve()
        ours = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES
        if event not in ("call", "return") or not ours:
            return
        self.now += 1 if event == "call" else -1
        self.depth = max(self.depth, self.now)
        if not frame.f_code.co_name.startswith("<"):
            self.functions.add(frame.f_code)


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=[pytest.mark.slow] if "r50" in name else []) for name in LIMITS]
)
def test_frame_path_is_short(preset):
    """The first frame that long-term memory stores after the reference frame, which AOTT never does."""
    settings = [] if preset == "aott" else ["memory.every=2"]
    if preset == "bundled":
        tracker = Tracker.from_pretrained(overrides=settings)
    else:
        tracker = Tracker(*build(preset, *settings, tiny=False))
    first, second, third = clip(3)
    tracker.step(first, stripes([1, 2]))
    tracker.step(second)
    path = CallRecorder()
    sys.setprofile(path)
    try:
        tracker.step(third)
    finally:
        sys.setprofile(None)
    assert len(tracker.video.groups[0].memory) == (1 if preset == "aott" else 2)
    names = sorted(f"{Path(code.co_filename).stem}.{code.co_name}" for code in path.functions)
    assert "tracker.step" in names
    found = (len(names), len({code.co_filename for code in path.functions}), path.depth)
    assert all(count <= limit for count, limit in zip(found, LIMITS[preset], strict=True)), (found, names)
