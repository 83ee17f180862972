"""Logs and sample images of a training run, also of a resumed one, and its lines on standard error."""

import csv
import itertools
import json
import logging
import math
import re
import sys
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from unittest.mock import Mock, call

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.configs.training import PhaseConfig, TrainConfig
from aotlab.dataloaders.training.mixture import Mixture
from aotlab.engine.training import logs
from aotlab.engine.training import printer as printer_module
from aotlab.engine.training.clip import ClipBatch
from aotlab.engine.training.listener import StepResult
from aotlab.engine.training.logs import (
    CsvLog,
    LogFile,
    TensorBoardLog,
    WandbLog,
    average_metrics,
    draw_clips,
    make_logs,
)
from aotlab.engine.training.printer import Printer
from aotlab.engine.training.state import TrainState
from aotlab.utils.errors import InputError

PHASES = [PhaseConfig(name="pre", steps=4), PhaseConfig(name="main", steps=8), PhaseConfig(name="late", steps=2)]
MEASURES = ["loss", "iou", "lr", "gradient_norm", "data_seconds", "step_seconds"]
SCORES = {"J&F": 62.5, "J": 60.0, "F": 65.0}


class Phase:
    """A phase as listeners see it."""

    def __init__(self, output, name, step=0, **settings):
        names = [phase.name for phase in PHASES]
        self.index = names.index(name)
        self.phase, self.step, self.output, self.resumed_from = PHASES[self.index], step, output, None
        train = TrainConfig(phases=PHASES, **{"log_every": 2, "image_every": 0, **settings})
        self.config = load_config("aott").replace(train=train)
        self.mixture = Mixture((), (), self.phase, self.config.data, 0, 1)

    is_due, total_step = TrainState.is_due, TrainState.total_step


def run_steps(listener, state, last, *, skipped=(), **values):
    """Begin a phase after ``state.step`` and call the listener for its steps up to ``last``."""
    listener.began(state)
    for step in range(state.step + 1, last + 1):
        state.step = step
        metrics = {name: float(step + i) for i, name in enumerate(MEASURES)} | values
        result = StepResult(metrics, clip(), list(clip().target_indices))
        is_skipped = step in skipped
        listener.stepped(state, replace(result, metrics={}, skipped="nan") if is_skipped else result)


def run_phase(listener, state, last, **values):
    run_steps(listener, state, last, **values)
    listener.ended(state, None)


def read_strict_log(folder):
    """The lines as a reader of pure JSON has them, without NaN."""
    text = (folder / "log.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    return [json.loads(line) for line in text.splitlines()]


def places(folder):
    return [(line["phase"], line["step"]) for line in read_strict_log(folder)]


def scalars(folder, tag):
    """Steps and values of a tag as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def clip(frames=3, batch=3, side=65):
    labels = torch.zeros(frames, batch, side, side, dtype=torch.int64)
    labels[:, :, 20:40, 20:40] = 1
    return ClipBatch(torch.full((frames, batch, 3, side, side), 0.5), labels, [1] * batch)


def test_log_lines_hold_means(tmp_path):
    run_phase(LogFile(), Phase(tmp_path, "main"), 5)
    lines = read_strict_log(tmp_path)
    assert [(line["step"], line["loss"]) for line in lines] == [(2, 1.5), (4, 3.5), (5, 5.0)]
    assert list(lines[0]) == ["phase", "step", *MEASURES, "time"]


def test_steps_before_a_stop_are_logged(tmp_path):
    log_file, state = LogFile(), Phase(tmp_path, "main", log_every=20)
    run_steps(log_file, state, 3)
    log_file.ended(state, "interrupted")
    stopped, means = read_strict_log(tmp_path)
    assert (stopped["event"], stopped["step"], stopped["reason"]) == ("stopped", 3, "interrupted")
    assert (means["step"], means["loss"]) == (3, 2.0)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_non_finite_numbers_are_null(tmp_path, value):
    run_phase(LogFile(), Phase(tmp_path, "late"), 2, gradient_norm=value, iou=math.nan)
    (trained,) = read_strict_log(tmp_path)
    assert (trained["gradient_norm"], trained["iou"], trained["loss"]) == (None, None, 1.5)


def test_resumed_run_replaces_later_lines(tmp_path):
    log_file = LogFile()
    run_phase(log_file, Phase(tmp_path, "pre"), 4)
    run_phase(log_file, Phase(tmp_path, "main"), 8)
    log_file.validated(Phase(tmp_path, "main", 8), SCORES)
    log_file.ended(Phase(tmp_path, "main", 4), "interrupted")
    run_phase(log_file, Phase(tmp_path, "late"), 2)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"phase": "la')  # of a killed run
    run_phase(LogFile(), Phase(tmp_path, "main", 4), 6)
    assert places(tmp_path) == [("pre", 2), ("pre", 4), ("main", 2), ("main", 4), ("main", 4), ("main", 6)]


def test_other_lines_of_a_log_stay(tmp_path):
    path, kept = tmp_path / "log.jsonl", '# a note\n{"step": 9}\n{"phase": "main", "step": 5}\n'
    path.write_text(kept + '{"phase": "main", "step": 6}\n{"phase": "la')
    LogFile().began(Phase(tmp_path, "main", 5))
    assert path.read_text() == kept


def test_csv_files_have_a_header_and_a_row_per_line(tmp_path):
    csv_log, state = CsvLog(), Phase(tmp_path, "pre")
    run_phase(csv_log, state, 4)
    csv_log.validated(state, SCORES)
    run_phase(csv_log, Phase(tmp_path, "main"), 4, iou=math.nan)
    run_phase(CsvLog(), Phase(tmp_path, "main", 2), 4, loss=0.25)  # resumed
    with (tmp_path / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["phase", "step", *MEASURES]
    found = [(row["phase"], row["step"], row["loss"]) for row in rows]
    assert found == [("pre", "2", "1.5"), ("pre", "4", "3.5"), ("main", "2", "1.5"), ("main", "4", "0.25")]
    assert (tmp_path / "validation.csv").read_text() == "phase,step,J&F,J,F\npre,4,62.5,60.0,65.0\n"


def test_tensorboard_counts_steps_over_phases(tmp_path):
    board, state = TensorBoardLog(), Phase(tmp_path, "main")
    run_phase(board, Phase(tmp_path, "pre"), 4, gradient_norm=math.inf)
    run_steps(board, state, 2)
    board.validated(state, SCORES)
    board.ended(state, None)
    assert scalars(tmp_path, "train/loss") == [(2, 1.5), (4, 3.5), (6, 1.5)]
    assert scalars(tmp_path, "train/gradient_norm") == [(6, 4.5)]
    assert scalars(tmp_path, "validation/J&F") == [(6, 62.5)]


def test_tensorboard_of_a_resumed_run_replaces_later_steps(tmp_path, monkeypatch):
    clock = SimpleNamespace(time=itertools.count(1e9).__next__)  # files are read in the order of their times
    monkeypatch.setattr("tensorboard.summary.writer.event_file_writer.time", clock)
    for first, loss in ((0, 1.0), (4, 9.0)):
        run_phase(TensorBoardLog(), Phase(tmp_path, "main", first), 8, loss=loss)
    assert scalars(tmp_path, "train/loss") == [(6, 1), (8, 1), (10, 9), (12, 9)]


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the library W&B."""
    module = Mock(Error=type("Error", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_run_spans_all_phases(wandb, tmp_path):
    log, state = WandbLog(), Phase(tmp_path, "main")
    run_phase(log, Phase(tmp_path, "pre"), 2)
    run_steps(log, state, 2)
    log.validated(state, SCORES)
    log.ended(state, "interrupted")
    (options,) = [call.kwargs for call in wandb.init.call_args_list]
    assert (options["name"], options["dir"], options["resume"]) == (tmp_path.name, tmp_path, "auto")
    assert options["config"]["train"]["phases"][0]["name"] == "pre"
    lines = [call.args[0] for call in wandb.init().log.call_args_list]
    assert [(line["step"], line.get("train/loss"), line.get("validation/J&F")) for line in lines] == [
        (2, 1.5, None), (6, 1.5, None), (6, None, 62.5),
    ]  # fmt: skip
    assert wandb.init().finish.call_args_list == [call(exit_code=1)]


def test_wandb_without_login_is_one_sentence(wandb, tmp_path):
    wandb.init.side_effect = wandb.Error("no API key")
    with pytest.raises(InputError, match=r"--log wandb: .*\(no API key\); run wandb login, or set WANDB_MODE=offline"):
        WandbLog().began(Phase(tmp_path, "main"))


@pytest.mark.parametrize(("names", "message"), [
    (["wandbe"], "log wandbe: not one of csv, tensorboard, wandb; did you mean wandb?"),
    (["csv", "wandb"], "wandb must be installed for this; pip install 'aotlab[wandb]'"),
])  # fmt: skip
def test_unknown_and_missing_logs_rejected(monkeypatch, names, message):
    monkeypatch.setattr("aotlab.utils.errors.find_spec", lambda module: None)
    with pytest.raises(InputError, match=re.escape(message)):
        make_logs(names)


def test_default_without_tensorboard_is_the_log_file(monkeypatch, caplog):
    monkeypatch.setattr("aotlab.engine.training.logs.find_spec", lambda module: None)
    assert [*map(type, make_logs(None))] == [LogFile]
    sentence = "tensorboard must be installed for this; pip install 'aotlab[tensorboard]'"
    assert caplog.messages == [f"no TensorBoard, only log.jsonl: {sentence}"]


def test_scores_are_printed_and_logged(tmp_path, capsys):
    for listener in (LogFile(), Printer()):
        listener.validated(Phase(tmp_path, "main", 3), {"J&F": 71.26, "J": 70.0, "F": 72.52})
    assert "main, step 3: validation J&F 71.3  J 70.0  F 72.5" in capsys.readouterr().err
    (line,) = read_strict_log(tmp_path)
    assert (line["phase"], line["step"], line["J&F"]) == ("main", 3, 71.26)


@pytest.mark.parametrize(("every", "total", "lines"), [(9, 3, [1, 2]), (9, 25, range(3, 25, 5)), (0, 3, [])])
def test_lines_during_validation_are_few(tmp_path, capsys, every, total, lines):
    printer, state = Printer(), Phase(tmp_path, "main", 4, print_every=every)
    printer.began(state)
    for done in range(1, total + 1):
        printer.video_scored(state, done, total)
    shown = capsys.readouterr().err.splitlines()
    assert {f"main, step 4: validation of {done} of {total} videos" for done in lines} <= {*shown}
    assert len(shown) == (min(total, 10) - 1 if every else 0)


def print_steps(monkeypatch, folder, every, *, skipped=()):
    """Print steps from the fourth of the phase main at noon; ten minutes pass before each line."""
    clock = SimpleNamespace(monotonic=itertools.count(0, 600).__next__)
    monkeypatch.setattr(printer_module, "time", clock)
    monkeypatch.setattr(printer_module, "datetime", SimpleNamespace(now=lambda: datetime(2026, 11, 28, 12)))
    run_steps(Printer(), Phase(folder, "main", 3, print_every=every), 8, skipped=skipped)


def test_lines_without_terminal_have_means_and_the_end(monkeypatch, tmp_path, capsys):
    print_steps(monkeypatch, tmp_path, 2)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "main, step 4 of 8: loss 4.000  iou 5.000  lr 6.0e+00  data 8.00 s of 9.00 s  ends 2026-11-28 12:40"
    assert (
        last == "main, step 8 of 8: loss 7.500  iou 8.500  lr 9.5e+00  data 11.50 s of 12.50 s  ends 2026-11-28 12:00"
    )


@pytest.mark.parametrize(("every", "steps"), [(2, [4, 6]), (3, [6]), (0, [8])])
def test_lines_without_terminal_are_every_nth(every, steps, monkeypatch, tmp_path, capsys):
    print_steps(monkeypatch, tmp_path, every, skipped=(7, 8))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"main, step {step} of 8" for step in steps]


def test_quiet_training_prints_no_lines(monkeypatch, tmp_path, capsys, caplog):
    caplog.set_level(logging.ERROR, "aotlab")
    print_steps(monkeypatch, tmp_path, 1)
    assert capsys.readouterr().err == ""


def test_iou_is_the_mean_of_steps_with_objects():
    steps = [{"loss": 1.0, "iou": math.nan}, {"loss": 3.0, "iou": 0.5}]
    assert average_metrics(steps) == {"loss": 2.0, "iou": 0.5}


def test_image_shows_labels_above_predictions(monkeypatch):
    batch, step = clip(), 65 + 6
    predictions = [torch.zeros_like(labels) for labels in batch.target_indices]
    image = draw_clips(batch, predictions).movedim(0, -1)
    assert image.shape == (4 * step + 6, 3 * step + 6, 3)
    gray, middle = [128] * 3, 6 + 30  # the object's middle
    for top in (middle, 2 * step + middle):
        for left in (step + middle, 2 * step + middle):
            assert image[top, left].tolist() != gray
            assert image[top + step, left].tolist() == gray
    monkeypatch.setattr(logs, "MAX_HEIGHT", 32)
    assert draw_clips(batch, predictions).shape[1] == pytest.approx((4 * step + 6) * 32 / 65, abs=1)
