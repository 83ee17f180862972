"""The picture of training curves: made of any log, and it shows what the log says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.training.journal.curve_panels import BLUE, smoothed
from aotlab.engine.training.journal.curves import draw_curves
from aotlab.utils.errors import InputError


def training(phase, step, **values):
    return {"phase": phase, "step": step, "loss": 2 / step, "lr": 1e-4, "data_seconds": 0.1, "time": 10.0 * step,
            **values}  # fmt: skip


def whole(phase, steps):
    """Lines as they are written now."""
    more = {"reference_loss": 0.5, "tracked_loss": 0.6, "encoder_lr": 1e-5, "step_seconds": 1.0}
    return [
        training(phase, s, iou=s / 50, gradient_norm=10.0 ** (s % 3), **more) for s in range(1, steps + 1)
    ]


def scored(phase, step, value):
    return {"phase": phase, "step": step, "J&F": value, "J": value - 2, "F": value + 2, "time": 10.0 * step}


def draw(tmp_path, lines):
    """H×W×3 pixels of the picture of a log."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curves(log, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        return np.array(image.convert("RGB"))


def panel(picture, row, column):
    """The part of the picture that a panel's plot covers."""
    top, left = (130, 430, 730)[row], (72, 1008)[column]
    return picture[top : top + 220, left : left + (850, 568)[column]]


def is_blue(part):
    """Pixels in the colour of main series."""
    return (part == [int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)


def has_curve(picture, row, column):
    return bool(is_blue(panel(picture, row, column)).any())


LOGS = {
    "two phases with scores": [
        *whole("pre", 40), scored("pre", 40, 60.0), *whole("main", 40), scored("main", 40, 70.0),
    ],
    "no validation": whole("video", 30),
    "a single line": [training("video", 1)],
    "a single step and score": [*whole("video", 1), scored("video", 1, 50.0)],
    "only older keys": [training("video", s) for s in range(20, 400, 20)],
    "null values": [training("video", s, loss=None, gradient_norm=None, iou=None) for s in (1, 2)],
    "nothing but scores": [scored("video", 5, 50.0)],
    "nothing but events": [{"event": "saved", "time": 1.0}, {"event": "stopped", "phase": "video", "step": 0}],
    "nothing": [],
    "many phases": [line for i in range(30) for line in whole(f"phase number {i}", 2)],
    "zero loss": [training("video", s, loss=0.0, gradient_norm=0.0, lr=0.0, data_seconds=0.0) for s in (1, 2)],
    "lines of one time": [training("video", s, time=1.0) for s in (1, 2)],
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_any_log_can_be_drawn(tmp_path, name):
    picture = draw(tmp_path, LOGS[name])
    assert picture.shape == (1000, 1600, 3)
    assert (picture != picture[0, 0]).any()


def test_a_full_log_fills_all_panels(tmp_path):
    picture = draw(tmp_path, LOGS["two phases with scores"])
    assert all(has_curve(picture, row, column) for row in range(3) for column in range(2))


def test_an_older_log_fills_the_panels_it_has_values_for(tmp_path):
    picture = draw(tmp_path, LOGS["only older keys"])
    drawn = [[has_curve(picture, row, column) for column in range(2)] for row in range(3)]
    assert drawn == [[True, True], [False, False], [False, True]]


def test_a_falling_loss_falls_in_the_picture(tmp_path):
    lines = [training("video", step, loss=1 - step / 50) for step in range(1, 41)]
    blue = is_blue(panel(draw(tmp_path, lines), 0, 0))
    early, late = (np.nonzero(blue[:, part])[0].mean() for part in (slice(0, 200), slice(600, 800)))
    assert late > early + 50


def test_phases_are_shaded_apart(tmp_path):
    picture = draw(tmp_path, [*whole("pre", 40), *whole("main", 40)])
    part = panel(picture, 2, 0)
    assert tuple(part[3, 100]) != tuple(part[3, -100])
    assert tuple(part[3, -100]) != (255, 255, 255)


def test_a_spike_does_not_flatten_the_loss(tmp_path):
    lines = [training("video", step, loss=1.0) for step in range(1, 101)]
    lines[50]["loss"] = 1000.0
    blue = is_blue(panel(draw(tmp_path, lines), 0, 0))
    rows = np.nonzero(blue[:, :200])[0]
    assert rows.max() < 180  # 1000 on a linear axis would leave it at the bottom, row 219


def test_smoothing_keeps_straight_lines_and_leaves_out_what_is_unknown():
    values = np.full(50, 3.0)
    values[[4, 20]] = np.nan
    shown = smoothed(values)
    assert np.isnan(shown[[4, 20]]).all()
    # rtol: means of equal numbers, rounded in a convolution
    np.testing.assert_allclose(np.delete(shown, [4, 20]), 3.0, rtol=1e-12)
    ramp = np.arange(50.0)
    np.testing.assert_allclose(smoothed(ramp)[5:-5], ramp[5:-5], rtol=1e-12)


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(InputError, match="no such log"):
        draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(tmp_path, whole("video", 12))
    assert dict(matplotlib.rcParams) == before
