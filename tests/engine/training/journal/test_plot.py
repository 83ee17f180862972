"""The plot of a training log."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.training.journal.plot import draw_curves


def training(phase, step, **values):
    return {"phase": phase, "step": step, "loss": 2 / step, "lr": 1e-4, "time": 10.0 * step, **values}


def scored(phase, step, value):
    return {"phase": phase, "step": step, "J&F": value, "J": value - 2, "F": value + 2}


LOGS = {
    "two phases with scores": [
        *[training("pre", step, iou=step / 50) for step in range(1, 41)], scored("pre", 40, 60.0),
        *[training("main", step) for step in range(1, 41)], scored("main", 40, 70.0),
    ],
    "a single line": [training("video", 1)],
    "values of other kinds": [training("video", 1, loss=None, iou="x", lr=[1]), training("video", 2, loss=10**400)],
    "nothing but scores": [scored("video", 5, 50.0)],
    "nothing but events": [{"event": "saved"}, {"event": "stopped", "phase": "video", "step": 0}],
    "nothing": [],
}  # fmt: skip


def draw(tmp_path, lines):
    """H×W×3 pixels of the plot of a log."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curves(log, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        return np.array(image.convert("RGB"))


@pytest.mark.parametrize("name", LOGS)
def test_any_log_can_be_drawn(tmp_path, name):
    assert draw(tmp_path, LOGS[name]).shape == (800, 1200, 3)


def test_a_falling_loss_falls_in_the_plot(tmp_path):
    image = draw(tmp_path, [training("video", step, loss=10.0 - step) for step in range(1, 10)])
    blue = (image[:400, :600] == (0x1F, 0x77, 0xB4)).all(-1)
    early, late = (np.nonzero(blue[:, part])[0].mean() for part in (slice(0, 200), slice(400, 600)))
    assert late > early + 100
