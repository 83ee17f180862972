"""A machine with too little memory: the sequence that needs more fails by name, and the others are done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = """
import json, resource, sys
from pathlib import Path
from aotlab.dataloaders.benchmarks.sequences import Video
from aotlab.engine.evaluation.evaluator import RunOptions, evaluate
from aotlab.engine.tracker import Tracker

root = Path(sys.argv[1])
videos = []
for name in ("before", "large", "after"):
    frames = tuple(sorted((root / name).glob("*.jpg")))
    videos.append(Video(name, frames, {0: root / name / "mask.png"}))
tracker = Tracker.from_checkpoint(overrides=["input.max_long_edge=null"])
evaluate(tracker, videos[:1], root / "warm", RunOptions(progress=False))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
report = evaluate(tracker, videos, root / "out", RunOptions(progress=False))
print(json.dumps([report.finished, report.failures]))
"""


def draw(folder, width, height):
    folder.mkdir()
    for index in range(2):
        Image.new("RGB", (width, height), (90, 90, 10 * index)).save(folder / f"{index:05}.jpg")
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2, : width // 2] = 1
    Image.fromarray(mask).save(folder / "mask.png")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory need Linux")
def test_a_sequence_that_needs_more_memory_than_there_is_fails_by_name_and_the_rest_is_done(tmp_path):
    draw(tmp_path / "before", 64, 48)
    draw(tmp_path / "large", 4000, 3000)
    draw(tmp_path / "after", 64, 48)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    finished, failures = json.loads(done.stdout.splitlines()[-1])
    assert finished == ["before", "after"]
    assert list(failures) == ["large"]
    assert "out of memory" in failures["large"]
    assert "input.max_long_edge" in failures["large"]
