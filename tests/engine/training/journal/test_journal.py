"""What a training run tells: its log, TensorBoard, images; and how a resumed run goes on telling."""

from __future__ import annotations

import json
import logging
import math
import sys
from contextlib import suppress

import pytest
import torch
from PIL import Image

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.engine.training.journal import writing as journal_module
from aotlab.engine.training.journal.images import GAP, clip_image
from aotlab.engine.training.journal.log_lines import read_lines
from aotlab.engine.training.journal.writing import Journal

MEASURES = ["loss", "reference_loss", "tracked_loss", "iou", "lr", "encoder_lr", "gradient_norm",
            "data_seconds", "step_seconds"]  # fmt: skip


@pytest.fixture(autouse=True)
def drawings(monkeypatch):
    """The curves have tests of their own; here they are only counted."""
    drawn = []
    monkeypatch.setattr(journal_module, "draw_curves", lambda log, image: drawn.append(image))
    return drawn


@pytest.fixture
def no_tensorboard(monkeypatch):
    """As where TensorBoard is not installed."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def measures(step, **values):
    return step, {name: float(step + i) for i, name in enumerate(MEASURES)} | values


def train(journal, name, steps, done=0, **values):
    with journal.phase(name, steps, done):
        for step in range(done + 1, steps + 1):
            journal.step(*measures(step, **values))


def strict_lines(path):
    """The lines as a reader of pure JSON has them, without NaN."""

    def refuse(word):
        raise ValueError(word)

    return [json.loads(text, parse_constant=refuse) for text in path.read_text().splitlines()]


def scalars(folder, tag):
    """Steps and values of a tag as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def clip(frames=3, batch=3, side=65):
    images = torch.zeros(frames, batch, 3, side, side)
    labels = torch.zeros(frames, batch, side, side, dtype=torch.int64)
    labels[:, :, 20:40, 20:40] = 1
    return ClipBatch(images, labels, [1] * batch)


def predicted(clip):
    """Nothing anywhere."""
    return [torch.zeros_like(labels) for labels in clip.labels]


def test_a_log_line_holds_the_means_since_the_last_one(tmp_path, no_tensorboard):
    journal = Journal(tmp_path, lead=True, log_every=2)
    train(journal, "video", 5)
    lines = strict_lines(tmp_path / "log.jsonl")
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert [line["loss"] for line in lines] == [1.5, 3.5, 5.0]
    assert list(lines[0]) == ["phase", "step", *MEASURES, "time"]
    assert [lines[1][name] for name in MEASURES] == [3.5 + i for i in range(len(MEASURES))]


def test_steps_before_an_interrupt_are_logged(tmp_path, no_tensorboard):
    journal = Journal(tmp_path, lead=True)
    with suppress(KeyboardInterrupt), journal.phase("video", 100, 0):
        for step in (1, 2, 3):
            journal.step(*measures(step))
        raise KeyboardInterrupt
    assert [(line["step"], line["loss"]) for line in read_lines(tmp_path / "log.jsonl")] == [(3, 2.0)]


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_numbers_that_are_not_finite_are_null(tmp_path, value, no_tensorboard):
    journal = Journal(tmp_path, lead=True)
    train(journal, "video", 1, gradient_norm=value, iou=math.nan)
    journal.note({"event": "skipped", "loss": value})
    trained, note = strict_lines(tmp_path / "log.jsonl")
    assert trained["gradient_norm"] is None
    assert trained["iou"] is None
    assert trained["loss"] == 1.0
    assert note["loss"] is None


def test_resuming_takes_out_what_will_be_written_again(tmp_path, no_tensorboard):
    first = Journal(tmp_path, lead=True, log_every=2)
    train(first, "pre", 4)
    train(first, "main", 8)
    first.scores(8, {"J&F": 50.0, "J": 49.0, "F": 51.0})
    first.note({"event": "saved", "phase": "main", "step": 4})
    train(first, "late", 2)
    second = Journal(tmp_path, lead=True, log_every=2)
    second.note({"event": "resumed"})
    train(second, "main", 6, done=4)
    lines = read_lines(tmp_path / "log.jsonl")
    assert [(line["phase"], line["step"]) for line in lines if "loss" in line] == [
        ("pre", 2), ("pre", 4), ("main", 2), ("main", 4), ("main", 6),
    ]  # fmt: skip
    assert [line["event"] for line in lines if "event" in line] == ["saved", "resumed"]
    assert not any("J&F" in line for line in lines)
    dropped = read_lines(tmp_path / "log.dropped.jsonl")
    assert [(line["phase"], line["step"]) for line in dropped] == [
        ("main", 6), ("main", 8), ("main", 8), ("late", 2),
    ]  # fmt: skip


def test_the_half_line_of_a_killed_run_is_taken_out(tmp_path, no_tensorboard):
    (tmp_path / "log.jsonl").write_text('{"phase": "video", "step": 1, "loss": 2.0}\n{"phase": "vid')
    train(Journal(tmp_path, lead=True), "video", 2, done=1)
    assert [line["step"] for line in strict_lines(tmp_path / "log.jsonl")] == [1, 2]


def test_tensorboard_has_the_scalars_with_steps_that_go_on_over_phases(tmp_path):
    journal = Journal(tmp_path, lead=True, log_every=2)
    train(journal, "pre", 4, gradient_norm=math.inf)
    train(journal, "main", 2)
    journal.scores(2, {"J&F": 62.5, "J": 60.0, "F": 65.0})
    journal.close()
    assert scalars(tmp_path, "train/loss") == [(2, 1.5), (4, 3.5), (6, 1.5)]
    assert scalars(tmp_path, "train/gradient_norm") == [(6, 7.5)]
    assert scalars(tmp_path, "validation/J&F") == [(6, 62.5)]


def test_tensorboard_of_a_resumed_run_has_every_step_once(tmp_path):
    first = Journal(tmp_path, lead=True, log_every=1)
    train(first, "pre", 2)
    train(first, "main", 3)
    first.close()
    second = Journal(tmp_path, lead=True, log_every=1)
    train(second, "main", 3, done=1)
    second.close()
    assert [step for step, _ in scalars(tmp_path, "train/loss")] == [1, 2, 3, 4, 5]


def test_without_tensorboard_all_the_rest_is_written_after_one_warning(
    tmp_path, no_tensorboard, caplog, drawings
):
    journal = Journal(tmp_path, lead=True, log_every=1)
    with caplog.at_level(logging.WARNING):
        train(journal, "pre", 1)
        with journal.phase("main", 1, 0):
            journal.step(*measures(1))
            journal.images(1, clip(), predicted(clip()))
        journal.scores(1, {"J&F": 50.0})
        journal.close()
    assert [record.message for record in caplog.records] == [
        "TensorBoard is not installed: log.jsonl and images only"
    ]
    assert len(read_lines(tmp_path / "log.jsonl")) == 3
    assert not (tmp_path / "tensorboard").exists()
    assert (tmp_path / "images" / "main_0000001.jpg").is_file()
    assert drawings[-1] == tmp_path / "curves.png"


def test_scores_are_printed_and_logged(tmp_path, no_tensorboard, capsys):
    journal = Journal(tmp_path, lead=True)
    with journal.phase("video", 5, 0):
        journal.scores(3, {"J&F": 71.26, "J": 70.0, "F": 72.52})
    assert "video, step 3: validation J&F 71.3  J 70.0  F 72.5" in capsys.readouterr().err
    line = strict_lines(tmp_path / "log.jsonl")[0]
    assert {name: line[name] for name in ("phase", "step", "J&F", "J", "F")} == {
        "phase": "video", "step": 3, "J&F": 71.26, "J": 70.0, "F": 72.52,
    }  # fmt: skip


def test_a_process_that_does_not_lead_writes_nothing(tmp_path, capsys):
    journal = Journal(tmp_path, lead=False)
    with journal.phase("video", 1, 0):
        journal.step(*measures(1))
        journal.images(1, clip(), predicted(clip()))
    journal.scores(1, {"J&F": 50.0})
    journal.note({"event": "saved"})
    journal.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_an_image_shows_two_clips_truth_above_prediction():
    batch, step = clip(), 65 + GAP
    image = clip_image(batch, predicted(batch))
    assert image.shape == (4 * step + GAP, 3 * step + GAP, 3)
    mean_grey, middle = (124, 116, 104), GAP + 30  # the object's middle
    for top in (middle, 2 * step + middle):
        for left in (step + middle, 2 * step + middle):
            assert tuple(image[top, left]) != mean_grey
            assert tuple(image[top + step, left]) == mean_grey


def test_only_the_newest_images_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "IMAGES_KEPT", 2)
    journal = Journal(tmp_path, lead=True)
    with journal.phase("video", 9, 0):
        for step in (1, 2, 3):
            journal.images(step, clip(), predicted(clip()))
    journal.close()
    folder = tmp_path / "images"
    assert sorted(path.name for path in folder.iterdir()) == ["video_0000002.jpg", "video_0000003.jpg"]
    with Image.open(folder / "video_0000003.jpg") as image:
        assert image.size == (3 * 65 + 4 * GAP, 4 * 65 + 5 * GAP)
