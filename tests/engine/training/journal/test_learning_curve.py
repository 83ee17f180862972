"""Scores against hours of training, out of logs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.training.journal.learning_curve import (
    Learned,
    draw_learning,
    gain_per_doubling,
    read_learning,
    read_measured,
)
from aotlab.tools.learning_curve import main
from aotlab.utils.errors import InputError


def write_log(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def steps(phase, step, seconds):
    return {"phase": phase, "step": step, "loss": 1.0, "step_seconds": seconds}


@pytest.fixture
def run(tmp_path):
    return write_log(
        tmp_path / "run",
        steps("static", 10, 180.0),
        steps("static", 20, 180.0),
        {"phase": "static", "step": 20, "J": 40.0, "F": 30.0, "J&F": 35.0},
        {"event": "stopped", "phase": "video", "step": 0},
        steps("video", 10, 360.0),
        {"phase": "video", "step": 10, "J": 46.0, "F": 40.0, "J&F": 43.0},
    )


def test_hours_are_those_of_all_steps_until_a_validation(run):
    learned = read_learning(run)
    assert learned.name == "run"
    assert learned.hours == pytest.approx([1.0, 2.0])
    assert learned.scores == pytest.approx([40.0, 46.0])
    assert learned.phases == ["static", "video"]
    assert read_learning(run, "F").scores == pytest.approx([30.0, 40.0])


def test_what_twice_the_hours_gave_is_the_slope_over_doublings(run):
    assert gain_per_doubling(read_learning(run)) == pytest.approx(6.0)
    assert np.isnan(gain_per_doubling(Learned("one", np.array([1.0]), np.array([40.0]), ["static"])))


def test_a_run_without_a_log_or_validation_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"log\.jsonl: no such log"):
        read_learning(tmp_path)
    empty = write_log(tmp_path / "empty", steps("static", 10, 1.0))
    with pytest.raises(InputError, match=r"no validation with J .* train\.validate_every"):
        read_learning(empty)


def test_the_picture_shows_every_run(run, tmp_path):
    learned = read_learning(run)
    draw_learning([learned], tmp_path / "one.png")
    draw_learning(
        [learned, Learned("b", learned.hours, learned.scores - 5, learned.phases)], tmp_path / "two.png"
    )
    one, two = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("one.png", "two.png"))
    assert one.shape == (600, 1000, 3)
    orange = (213, 94, 0)
    assert not (one == orange).all(-1).any()
    assert (two == orange).all(-1).sum() > 100


def test_the_program_writes_the_picture_and_prints_the_last_score(run, tmp_path, capsys):
    assert main([str(run), "--output", str(tmp_path / "curve.png")]) == 0
    assert capsys.readouterr().out == "run: J 46.0 after 2.00 hours, +6.0 for twice the hours\n"
    assert (tmp_path / "curve.png").is_file()


def test_scores_measured_otherwise_are_drawn_beside_the_runs(run, tmp_path, capsys):
    table = tmp_path / "shared.csv"
    table.write_text("hours,score,phase\n1,50,static\n2,58.5,video\n")
    measured = read_measured(table)
    assert measured.hours.tolist() == [1, 2]
    assert measured.phases == ["static", "video"]
    assert main([str(run), str(table), "--output", str(tmp_path / "curve.png")]) == 0
    assert capsys.readouterr().out.endswith("shared: J 58.5 after 2.00 hours, +8.5 for twice the hours\n")


@pytest.mark.parametrize(
    "text", ["", "hours,score,phase\n", "a,b\n1,2\n", "hours,score,phase\n1,x,video\n", "hours,score,phase\n1,101,v\n",
             "hours,score,phase\n-1,10,v\n", "hours,score,phase\n1,nan,v\n", "hours,score,phase\n1,2\n", "\0"],
)  # fmt: skip
def test_a_table_that_is_none_is_one_sentence(text, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"a\.csv: expected a CSV file with the columns hours"):
        read_measured(tmp_path / "a.csv")


@pytest.mark.parametrize("key", ["phase", "step", "step_seconds", "J"])
def test_a_log_with_anything_in_it_is_drawn_or_refused(key, run, tmp_path):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for value in (None, "x", [], {}, -1, 1e308, 10**400, True, float("nan"), float("inf")):
        write_log(run, *({**line, key: value} for line in lines))
        assert main([str(run), "--output", str(tmp_path / "a.png")]) in (0, 2)
