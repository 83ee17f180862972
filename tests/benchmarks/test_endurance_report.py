"""Figures, table and picture of long runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.endurance_report import (
    COLOURS,
    MIB,
    as_json,
    draw_courses,
    format_table,
    summarize,
)
from benchmarks.long_run import Course, Sample


def course(count, *, growth=0.0, ended=None):
    """Frames of 10 ms and 100 MiB, which after 300 frames are ``growth`` more a hundred frames."""
    samples = []
    for index in range(count):
        more = growth * max(index - 300, 0) / 100
        samples.append(Sample(0.01 + 0.001 * more, 0.01, int(MIB * (100 + more)), MIB, 1 + index // 100))
    return Course(samples, ended)


def test_the_first_frames_after_the_fill_are_compared_with_the_last():
    steady = course(1000).samples
    # frames 200 to 400 and 800 to 1000 count, none before or between
    samples = [sample._replace(seconds=9.0) for sample in steady[:200]] + steady[200:400]
    samples += [sample._replace(seconds=9.0) for sample in steady[400:800]] + steady[800:]
    summary = summarize(samples)
    assert summary is not None
    assert (summary.window, summary.seconds.first, summary.seconds.last) == (200, 0.01, 0.01)


def test_growth_is_seen_and_one_slow_frame_in_three_is_not():
    samples = course(1000, growth=10).samples
    noisy = [
        sample._replace(cpu_seconds=5.0) if index % 3 == 0 else sample for index, sample in enumerate(samples)
    ]
    summary = summarize(noisy)
    assert summary is not None
    # 0 more in most of frames 200 to 400, and 60 in the middle of the last 200
    assert summary.resident.ratio == pytest.approx(1.6, rel=0.02)
    assert summary.seconds.ratio == pytest.approx(7.0, rel=0.02)
    assert summary.cpu_seconds.ratio == 1


def test_short_runs_are_compared_by_thirds_and_the_shortest_not_at_all():
    summary = summarize(course(150).samples)
    assert summary is not None
    assert summary.window == 50
    assert summarize(course(2).samples) is None


def test_the_table_has_a_line_for_each_policy_and_says_what_ended():
    text = format_table(
        {"steady": course(1000), "growing": course(1000, growth=10), "none": course(0, ended="died")}
    )
    lines = text.splitlines()
    assert len({len(line) for line in lines[:5]}) == 1
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2] == [
        "steady",
        "1000",
        "10.0",
        "10.0",
        "1.000",
        "1.000",
        "100.0",
        "100.0",
        "1.000",
        "1.0",
        "10",
    ]
    assert cells[3][0] == "growing"
    assert float(cells[3][4]) > 5
    assert cells[4] == ["none", "0", *["-"] * 9]
    assert lines[5:] == ["none: died"]


def test_everything_measured_is_in_the_json():
    content = json.loads(json.dumps(as_json({"a": course(9), "b": course(0, ended="died")}), allow_nan=False))
    assert content["a"]["seconds"] == [0.01] * 9
    assert content["a"]["resident"] == [100 * MIB] * 9
    assert content["a"]["window"] == 3
    assert content["a"]["medians"]["resident"] == {"first": 100 * MIB, "last": 100 * MIB}
    assert content["b"] == {
        "ended": "died", "window": None, "medians": {}, "seconds": [], "cpu_seconds": [], "resident": [], "bank": [],
        "kept": [],
    }  # fmt: skip


def test_the_picture_has_a_line_of_every_policy(tmp_path):
    courses = {f"policy {index}": course(400, growth=20 * index) for index in range(3)}
    draw_courses(courses, tmp_path / "plot.png", "a title")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (1600, 560)
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in COLOURS[:3]:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (pixels == wanted).all(1).sum() > 200, colour


def test_a_picture_of_nothing_can_be_drawn(tmp_path):
    draw_courses({"none": course(0, ended="died")}, tmp_path / "plot.png", "a title")
    assert (tmp_path / "plot.png").is_file()
