"""The page's tracker, in Node, beside aotlab-runtime; types of the page's code."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aotlab.engine.export.graphs import export_model
from aotlab_runtime import Prompt, Tracker
from tests.engine.small_model import build, clip, stripes

DEMO = Path(__file__).parents[1]
HEIGHT, WIDTH = 120, 160

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (DEMO / "node_modules").is_dir()),
    reason="no Node or no packages (npm ci --prefix demo)",
)


def track_in_node(folder, frames, mask, prompts, output):
    """Return labels T×H×W and a mask of each prompt N×H×W, without the pixels of object 2."""
    description = {"shape": frames.shape[:3], "prompts": prompts}
    output.with_suffix(".json").write_text(json.dumps(description))
    output.with_suffix(".rgb").write_bytes(frames.tobytes())
    output.with_suffix(".mask").write_bytes(mask.astype(np.uint8).tobytes())
    command = ["node", DEMO / "tests" / "track.mjs", folder, output.with_suffix(""), output]
    subprocess.run(command, check=True, timeout=300)
    labels = np.frombuffer(output.read_bytes(), np.uint8).reshape(-1, *mask.shape)
    return labels[: len(frames)], labels[len(frames) :]


def make_prompt(positive=(), negative=(), box=None):
    return {"positive": positive, "negative": negative, "box": box}


def segment(tracker, frame, mask, prompt):
    """Return the mask of a prompt without the pixels of object 2, by aotlab-runtime."""
    points = [*prompt["positive"], *prompt["negative"]]
    labels = [1] * len(prompt["positive"]) + [0] * len(prompt["negative"])
    taken = np.where(mask == 2, 2, 0)
    given = {9: Prompt(points, labels, prompt["box"])}
    return tracker.fresh().step(frame, taken if taken.any() else None, prompts=given).labels == 9


@pytest.mark.slow
def test_masks_equal_runtime(tmp_path):
    memory = ["memory.policy=bounded_fifo", "memory.frames=4", "memory.every=3"]
    model, config = build("aott", "model.prompt_blocks=1", *memory)
    folder = tmp_path / "exported"
    export_model(model, config, folder, video=(HEIGHT, WIDTH))
    frames, mask = clip(20, HEIGHT, WIDTH), stripes([1, 2, 5], HEIGHT, WIDTH)
    prompts = [
        make_prompt(box=[30.5, 20, 60, 70]),
        make_prompt(positive=[[100, 60], [20.25, 30]], negative=[[80, 100]]),
        make_prompt(positive=[[50, 40]], box=[10, 10, 101, 91]),
    ]
    labels, segmented = track_in_node(folder, frames, mask, prompts, tmp_path / "output.bin")
    tracker = Tracker.from_export(folder, threads=1)
    expected = [tracker.step(frames[0], mask).labels, *(tracker.step(frame).labels for frame in frames[1:])]
    assert {1, 2, 5} <= set(np.unique(expected[1:]))
    assert min((np.array(expected) == labels).mean((1, 2))) >= 0.999
    for prompt, found in zip(prompts, segmented, strict=True):
        reference = segment(tracker, frames[0], mask, prompt)
        assert reference.any()
        assert (reference == found).mean() >= 0.999


def test_types():
    result = subprocess.run(
        [DEMO / "node_modules" / ".bin" / "tsc", "--project", DEMO], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout
