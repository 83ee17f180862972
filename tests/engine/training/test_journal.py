"""Log, TensorBoard and sample images of a training run, also of a resumed one."""

import itertools
import json
import logging
import math
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pytest
import torch

from aotlab.configs.training import PhaseConfig, TrainConfig
from aotlab.engine.training import journal as journal_module
from aotlab.engine.training.clip import ClipBatch
from aotlab.engine.training.journal import Journal, StepPrinter, draw_clips, drop_later_lines
from aotlab.engine.training.listener import NonFiniteError, StepResult
from aotlab.engine.training.state import PhaseState

PHASES = [PhaseConfig("pre", steps=4), PhaseConfig("main", steps=8), PhaseConfig("late", steps=2)]
SETTINGS = TrainConfig(phases=PHASES, log_every=2, image_every=0)
MEASURES = ["loss", "iou", "lr", "gradient_norm", "data_seconds", "step_seconds"]


@pytest.fixture
def journal(tmp_path):
    """Makes a journal; TensorBoard's threads end before the folder does."""
    made = []

    def make(*, is_main=True, **changes):
        made.append(Journal(tmp_path, replace(SETTINGS, **changes), is_main=is_main))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


class Phase:
    """A phase as the journal sees it."""

    def __init__(self, name, step=0):
        (self.phase,) = [phase for phase in PHASES if phase.name == name]
        self.step, self.resumed_from = step, None

    is_due = PhaseState.is_due


def train(journal, name, first, last, **values):
    state = Phase(name, first - 1)
    journal.phase_begins(state)
    for step in range(first, last + 1):
        state.step = step
        metrics = {name: float(step + i) for i, name in enumerate(MEASURES)} | values
        journal.step_done(state, StepResult(metrics, clip(), list(clip().labels)))
    journal.phase_ends(state)


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
    return ClipBatch(torch.zeros(frames, batch, 3, side, side), labels, [1] * batch)


def test_log_lines_hold_means(journal, tmp_path):
    train(journal(), "main", 1, 5)
    lines = read_strict_log(tmp_path)
    assert [(line["step"], line["loss"]) for line in lines] == [(2, 1.5), (4, 3.5), (5, 5.0)]
    assert list(lines[0]) == ["phase", "step", *MEASURES, "time"]


def test_steps_before_an_interrupt_are_logged(journal, tmp_path):
    with suppress(KeyboardInterrupt), closing(journal(log_every=20)) as interrupted:
        state = Phase("main")
        interrupted.phase_begins(state)
        for state.step in (1, 2, 3):
            interrupted.step_done(state, StepResult(dict.fromkeys(MEASURES, float(state.step)), clip(), []))
        raise KeyboardInterrupt
    assert [(line["step"], line["loss"]) for line in read_strict_log(tmp_path)] == [(3, 2.0)]


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_non_finite_numbers_are_null(journal, tmp_path, value):
    writer = journal()
    train(writer, "late", 1, 2, gradient_norm=value, iou=math.nan)
    writer.log_line({"event": "skipped", "loss": value})
    trained, note = read_strict_log(tmp_path)
    assert (trained["gradient_norm"], trained["iou"], trained["loss"]) == (None, None, 1.5)
    assert note["loss"] is None


def test_resumed_run_replaces_later_lines(journal, tmp_path):
    first = journal()
    train(first, "pre", 1, 4)
    train(first, "main", 1, 8)
    first.log_scores(8, {"J&F": 50.0, "J": 49.0, "F": 51.0})
    first.log_line({"event": "stopped", "phase": "main", "step": 4})
    train(first, "late", 1, 2)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"phase": "la')  # of a killed run
    train(journal(), "main", 5, 6)
    assert places(tmp_path) == [("pre", 2), ("pre", 4), ("main", 2), ("main", 4), ("main", 4), ("main", 6)]


def test_other_lines_of_a_log_stay(tmp_path):
    path, kept = tmp_path / "log.jsonl", '# a note\n{"step": 9}\n{"phase": "main", "step": 5}\n'
    path.write_text(kept + '{"phase": "main", "step": 6}\n{"phase": "la')
    drop_later_lines(path, ["pre", "main"], "main", 5)
    assert path.read_text() == kept


def test_tensorboard_counts_steps_over_phases(journal, tmp_path):
    writer = journal()
    train(writer, "pre", 1, 4, gradient_norm=math.inf)
    train(writer, "main", 1, 2)
    writer.log_scores(2, {"J&F": 62.5, "J": 60.0, "F": 65.0})
    writer.close()
    assert scalars(tmp_path, "train/loss") == [(2, 1.5), (4, 3.5), (6, 1.5)]
    assert scalars(tmp_path, "train/gradient_norm") == [(6, 4.5)]
    assert scalars(tmp_path, "validation/J&F") == [(6, 62.5)]


def test_tensorboard_of_a_resumed_run_replaces_later_steps(journal, tmp_path, monkeypatch):
    clock = SimpleNamespace(time=itertools.count(1e9).__next__)  # files are read in the order of their times
    monkeypatch.setattr("tensorboard.summary.writer.event_file_writer.time", clock)
    for first, loss in ((1, 1.0), (5, 9.0)):
        writer = journal()
        train(writer, "main", first, 8, loss=loss)
        writer.close()
    assert scalars(tmp_path, "train/loss") == [(6, 1), (8, 1), (10, 9), (12, 9)]


def test_scores_are_printed_and_logged(journal, tmp_path, capsys):
    writer = journal()
    writer.phase_begins(Phase("main"))
    writer.log_scores(3, {"J&F": 71.26, "J": 70.0, "F": 72.52})
    assert "main, step 3: validation J&F 71.3  J 70.0  F 72.5" in capsys.readouterr().err
    (line,) = read_strict_log(tmp_path)
    assert (line["phase"], line["step"], line["J&F"]) == ("main", 3, 71.26)


@pytest.mark.parametrize(("every", "total", "lines"), [(9, 3, [1, 2]), (9, 25, range(3, 25, 5)), (0, 3, [])])
def test_lines_during_validation_are_few(capsys, every, total, lines):
    for done in range(1, total + 1):
        StepPrinter(every).video_scored(Phase("main", 4), done, total)
    shown = capsys.readouterr().err.splitlines()
    assert {f"main, step 4: validation of {done} of {total} videos" for done in lines} <= {*shown}
    assert len(shown) == (min(total, 10) - 1 if every else 0)


def print_steps(monkeypatch, every, *, skipped=()):
    """Print steps from the fourth of the phase main at noon; ten minutes pass before each line."""
    clock = SimpleNamespace(monotonic=itertools.count(0, 600).__next__)
    monkeypatch.setattr(journal_module, "time", clock)
    monkeypatch.setattr(journal_module, "datetime", SimpleNamespace(now=lambda: datetime(2026, 11, 28, 12)))
    printer, state = StepPrinter(every), Phase("main", 3)
    printer.phase_begins(state)
    for state.step in range(4, 9):
        metrics = dict.fromkeys(MEASURES, 0.25 * state.step) | ({"iou": math.nan} if state.step == 4 else {})
        result = NonFiniteError("nan") if state.step in skipped else StepResult(metrics, clip(), [])
        printer.step_done(state, result)


def test_lines_without_terminal_have_means_and_the_end(monkeypatch, capsys):
    print_steps(monkeypatch, 2)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "main, step 4 of 8: loss 1.000  iou nan  lr 1.0e+00  data 1.00 s of 1.00 s  ends 2026-11-28 12:40"
    assert last == "main, step 8 of 8: loss 1.875  iou 1.875  lr 1.9e+00  data 1.88 s of 1.88 s  ends 2026-11-28 12:00"


@pytest.mark.parametrize(("every", "steps"), [(2, [4, 6, 8]), (3, [6, 8]), (0, [8])])
def test_lines_without_terminal_are_every_nth(every, steps, monkeypatch, capsys):
    print_steps(monkeypatch, every, skipped=(7, 8))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"main, step {step} of 8" for step in steps]


def test_quiet_training_prints_no_lines(monkeypatch, capsys, caplog):
    caplog.set_level(logging.ERROR, "aotlab")
    print_steps(monkeypatch, 1)
    assert capsys.readouterr().err == ""


def test_only_main_rank_writes(journal, tmp_path, capsys):
    follower = journal(is_main=False, image_every=1)
    train(follower, "late", 1, 2)
    follower.log_scores(1, {"J&F": 50.0})
    follower.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_image_shows_labels_above_predictions(monkeypatch):
    batch, step = clip(), 65 + 6
    predictions = [torch.zeros_like(labels) for labels in batch.labels]
    image = draw_clips(batch, predictions).movedim(0, -1)
    assert image.shape == (4 * step + 6, 3 * step + 6, 3)
    mean_gray, middle = [124, 116, 104], 6 + 30  # the object's middle
    for top in (middle, 2 * step + middle):
        for left in (step + middle, 2 * step + middle):
            assert image[top, left].tolist() != mean_gray
            assert image[top + step, left].tolist() == mean_gray
    monkeypatch.setattr(journal_module, "MAX_HEIGHT", 32)
    assert draw_clips(batch, predictions).shape[1] == pytest.approx((4 * step + 6) * 32 / 65, abs=1)


def test_run_without_tensorboard_has_its_log(journal, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("aotlab.engine.training.journal.find_spec", lambda module: None)
    writer = journal()
    train(writer, "pre", 1, 4)
    writer.close()
    assert places(tmp_path) == [("pre", 2), ("pre", 4)]
    assert not (tmp_path / "tensorboard").exists()
    sentence = "tensorboard must be installed for this; pip install 'aotlab[tensorboard]'"
    assert caplog.messages == [f"no TensorBoard, only log.jsonl: {sentence}"]
