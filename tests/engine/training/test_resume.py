"""Resuming: a resumed run equals an uninterrupted one, and a kill loses the steps since the last state only."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import aotlab
from aotlab.engine.training import validation
from aotlab.engine.training.losses import frame_loss
from aotlab.engine.training.model_card import describe_card, load_card
from aotlab.engine.training.saved_states import STATES, list_saved_states
from aotlab.utils import plugins
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.plugins import LOSS_PLUGINS
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import assert_same_weights
from tests.engine.training.tiny_recipes import (
    before_step,
    draw_sets,
    list_states,
    log_lines,
    phase,
    run_recipe,
    tiny_recipe,
)

EVERY = ["train.save_every=1", "train.keep=9"]
PHASES = phase("first", steps=2, feed_predictions_after=0.5), phase("second", steps=2)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, data):
    """Settings and weights of an uninterrupted run of `PHASES`."""
    config = tiny_recipe(tmp_path_factory.mktemp("whole"), data, "whole", *PHASES, overrides=EVERY)
    return config, load_file(run_recipe(config).checkpoint)


@pytest.mark.parametrize(("stop", "save_every"), [(1, 1), (3, 2)])
def test_resumed_run_equals_uninterrupted_run(recipe, monkeypatch, whole_run, stop, save_every):
    config, expected = whole_run
    parts = recipe("parts", *PHASES, overrides=[f"train.save_every={save_every}"])
    with monkeypatch.context() as patch:
        before_step(patch, stop + 1, Mock(side_effect=KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run_recipe(parts)
    assert_same_weights(load_file(run_recipe(parts).checkpoint), expected)
    assert [line["loss"] for line in log_lines(config)] == [line["loss"] for line in log_lines(parts)]


def test_log_of_a_resumed_run_names_step_and_file(recipe, capsys):
    config = recipe("run", phase(steps=1))
    run_recipe(config)
    output = capsys.readouterr().err
    assert "resumed" not in output
    assert "video: drawn (video): 2 videos with 6 labeled frames" in output
    (state,) = list_states(config)
    run_recipe(recipe("run", phase(steps=2)))
    assert f"video: resumed after step 1 from {state}\n" in capsys.readouterr().err
    lines = map(json.loads, (Path(config.train.output) / "log.jsonl").read_text().splitlines())
    shown = [(line.get("event", "step"), line["step"], line.get("file")) for line in lines]
    assert shown == [("step", 1, None), ("resumed", 1, str(state)), ("step", 2, None)]


def test_weights_of_a_finished_run_remain(recipe, caplog):
    path = run_recipe(recipe("run", phase(steps=1))).checkpoint
    before = path.read_bytes()
    changed = recipe("run", phase(steps=1), overrides=["train.phases.0.lr=0.5", "train.half_weights=true"])
    assert run_recipe(changed).checkpoint == path
    assert path.read_bytes() == before
    assert "already finished, nothing to train" in caplog.text
    path.unlink()  # as if the run had been killed before it wrote them
    run_recipe(changed)
    assert path.exists()


def test_finished_run_is_resumed_unless_restarted(recipe, caplog):
    config = recipe("run", phase(steps=1))
    first = load_file(run_recipe(config).checkpoint)
    assert "already finished" not in caplog.text
    assert_same_weights(load_file(run_recipe(config).checkpoint), first)
    assert "already finished, nothing to train; --restart starts over" in caplog.text
    output = Path(config.train.output)
    earlier = (
        output / "best.safetensors",
        output / "train.csv",
        output / "tensorboard" / "events.out.tfevents.0.earlier",
    )
    for path in earlier:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((output / "video.safetensors").read_bytes())
    files = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    for override, message in (
        ("data.root=missing", "no such folder"),
        ("train.start_from=missing.pth", "no such checkpoint"),
        (f"train.warm_start={earlier[0]}", "--restart would remove it"),
    ):
        with pytest.raises(InputError, match=message):
            run_recipe(recipe("run", phase(steps=1), overrides=[override]), restart=True)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == files
    run_recipe(config, restart=True)
    assert [line["step"] for line in log_lines(config)] == [1]
    assert not any(path.exists() for path in earlier)


@pytest.mark.parametrize("kept", ["video.safetensors", "log.jsonl"])
def test_results_without_a_state_are_kept_unless_restarted(recipe, kept):
    config = recipe("run", phase(steps=2))
    run_recipe(config)
    output = Path(config.train.output)
    shutil.rmtree(output / STATES)
    for name in {"video.safetensors", "log.jsonl"} - {kept}:
        (output / name).unlink()
    before = (output / kept).read_bytes()
    other = recipe("run", phase(steps=1), overrides=["train.seed=5"])
    with raises_one_sentence(f"^{output}: holds {kept} of an earlier run, but no saved state; .* --restart$"):
        run_recipe(other)
    assert (output / kept).read_bytes() == before
    run_recipe(other, restart=True)
    assert [line["step"] for line in log_lines(config)] == [1]


def test_states_of_a_later_phase_are_newer(tmp_path):
    names = ["1_b_000010.pt", "1_b_000002.pt", "0_a_000100.pt"]
    (tmp_path / STATES).mkdir()
    for name in (*names, "best.pt"):
        (tmp_path / STATES / name).touch()
    assert [path.name for path in list_saved_states(tmp_path)] == names


def test_damaged_state_is_rejected_until_deleted(recipe):
    config = recipe("run", phase(steps=2), overrides=EVERY)
    expected = load_file(run_recipe(config).checkpoint)
    newest = list_states(config)[0]
    whole = newest.read_bytes()
    torch.save({"step": 3}, newest)
    for content in (newest.read_bytes(), whole[:1000], b"", b"weights"):
        newest.write_bytes(content)
        with raises_one_sentence(f"^{newest}: not readable .*; delete it"):
            run_recipe(config)
    newest.unlink()
    assert_same_weights(load_file(run_recipe(config).checkpoint), expected)


def test_error_names_settings_that_resuming_cannot_change(recipe):
    run_recipe(recipe("run", phase(steps=1)))
    for message, override in (
        ("train.freeze_encoder_stages=2", "train.freeze_encoder_stages=1"),
        ("train.encoder_lr_ratio=0.1", "train.encoder_lr_ratio=1.0"),
        ("train.phases.0.weight_decay=0.07", "train.phases.0.weight_decay=0.0"),
        ("train.phases.0.name=video", "train.phases.0.name=other"),
        ("model.stages.0.depth=1", "model.stages.0.depth=2"),
    ):
        with pytest.raises(InputError, match=f"was saved with {message}; give another train.output"):
            run_recipe(recipe("run", phase(steps=2), overrides=[override]))


def test_state_without_a_newer_setting_is_resumed(recipe):
    config = recipe("run", phase(steps=1))
    run_recipe(config)
    (path,) = list_states(config)
    content = torch.load(path, weights_only=True)
    del content["config"]["model"]["ignore_plane"], content["config"]["model"]["stages"][0]["heads"]
    torch.save(content, path)
    run_recipe(recipe("run", phase(steps=2)))
    assert [line["step"] for line in log_lines(config)] == [1, 2]


def test_state_with_settings_of_another_version_is_resumed(recipe, caplog):
    config = recipe("run", phase(steps=1))
    run_recipe(config)
    (path,) = list_states(config)
    content = torch.load(path, weights_only=True)
    content["config"]["compute"]["graphs"] = content["config"]["train"]["schedule"] = "auto"
    torch.save(content, path)
    run_recipe(recipe("run", phase(steps=2)))
    assert [line["step"] for line in log_lines(config)] == [1, 2]
    assert f"{path}: ignoring settings of another version: compute.graphs, train.schedule" in caplog.messages


def test_resumed_run_does_not_need_its_initial_weights(recipe):
    first = run_recipe(recipe("first", phase("first", steps=1))).checkpoint
    for steps in (1, 2):
        config = recipe("run", phase(steps=steps), overrides=[f"train.start_from={first}"])
        weights = run_recipe(config).checkpoint
        first.unlink(missing_ok=True)
    assert [record.name for record in load_card(weights).phases] == ["first", "video"]


def test_hours_of_a_resumed_run_include_those_before(recipe):
    run_recipe(recipe("run", phase(steps=1)))
    (path,) = list_states(recipe("run", phase()))
    content = torch.load(path, weights_only=True)
    torch.save({**content, "seconds": 7200.0}, path)
    (trained,) = load_card(run_recipe(recipe("run", phase(steps=2))).checkpoint).phases
    assert 2 < trained.hours < 3


def test_changed_code_of_a_resumed_run_is_recorded(recipe, caplog, unload):
    for steps, digest in ((1, "a"), (2, "b")):
        file = plugins.PluginFile(digest, {LOSS_PLUGINS: {"mine": frame_loss}})
        plugins._loaded_files[Path("aotlab.losses.py")] = file
        run_recipe(recipe("run", phase(steps=steps), overrides=["train.loss=mine"]))
    assert "resumed at step 1 of video with other code of train.loss: b (was a)" in caplog.text


def test_state_without_code_of_plugins_resumes_with_a_line(recipe, caplog, offer):
    offer(LOSS_PLUGINS, mine=frame_loss)
    run_recipe(recipe("run", phase(steps=1), overrides=["train.loss=mine"]))
    (path,) = list_states(recipe("run", phase()))
    content = torch.load(path, weights_only=True)
    del content["code"]
    torch.save(content, path)
    run_recipe(recipe("run", phase(steps=2), overrides=["train.loss=mine"]))
    assert caplog.text.count("with other code of train.loss: ") == 1
    assert "(was unknown)" in caplog.text


def test_changed_settings_of_a_resumed_run_are_recorded(recipe, caplog, monkeypatch):
    run_recipe(recipe("run", phase(steps=1)))
    monkeypatch.setattr(aotlab, "__version__", "0.0.1")
    changed = ["train.seed=7", "train.phases.0.lr=0.001", "train.precision=float16"]
    changed += ["memory.every_in_training=7"]
    run_recipe(recipe("run", phase(steps=2), overrides=changed))
    weights = run_recipe(recipe("run", phase(steps=3), overrides=changed)).checkpoint
    assert "\n- resumed at step 1 of video with train.seed=7 (was 0)" in describe_card(load_card(weights))
    assert "resumed at step 1 of video with train.seed=7 (was 0)" in caplog.text
    assert "resumed at step 1 of video with train.phases.0.lr=0.001 (was " in caplog.text
    assert "resumed at step 1 of video with aotlab 0.0.1 (was " in caplog.text
    assert "resumed at step 1 of video with train.phases.0.steps=2 (was 1)" in caplog.text
    assert "resumed at step 1 of video with train.precision=float16 (was float32)" in caplog.text
    assert "resumed at step 1 of video with memory.every_in_training=7 (was 2)" in caplog.text


def test_best_score_on_other_videos_does_not_count(recipe, monkeypatch, caplog):
    scores = iter([9.0, 5.0])
    monkeypatch.setattr(validation, "validate", lambda *_: dict.fromkeys(("J&F", "J", "F"), next(scores)))
    for steps, videos in ((1, "{path: held}"), (2, "{path: held}, {path: held}")):
        config = recipe("run", phase(steps=steps), overrides=[f"data.validation=[{videos}]"])
        run_recipe(config)
    assert "resumed at step 1 of video with other images or masks in validation: 6 files, " in caplog.text
    assert [phase.steps for phase in load_card(Path(config.train.output, "best.safetensors")).phases] == [2]


@pytest.fixture
def own_data(tmp_path):
    """Drawn videos that a test may change."""
    return draw_sets(tmp_path / "sets")


def flip_last_byte(path):
    """Change the content of a file, but neither its size nor its times."""
    status, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove_video(drawn):
    for kind in ("JPEGImages", "Annotations"):
        shutil.rmtree(drawn / kind / "one")


@pytest.mark.parametrize(("change", "words"), [
    (lambda drawn: flip_last_byte(drawn / "JPEGImages" / "one" / "00001.png"), "12 files, .* \\(was 12 files, .*\\)"),
    (lambda drawn: flip_last_byte(drawn / "Annotations" / "two" / "00002.png"), "12 files, .* \\(was 12 files, .*\\)"),
    (remove_video, "6 files, .* \\(was 12 files, .*\\)"),
])  # fmt: skip
def test_changed_training_data_are_named_on_resume(recipe, own_data, caplog, change, words):
    override = [f"data.root={own_data}"]
    run_recipe(recipe("run", phase(steps=1), overrides=override))
    run_recipe(recipe("run", phase(steps=1), overrides=override))
    assert "images or masks" not in caplog.text
    change(own_data / "drawn")
    weights = run_recipe(recipe("run", phase(steps=2), overrides=override)).checkpoint
    (sentence,) = [line for line in load_card(weights).phases[0].resumed if "images or masks" in line]
    assert re.fullmatch(rf"resumed at step 1 of video with other images or masks in drawn \(video\): {words}", sentence)
    assert sentence in caplog.messages


@pytest.mark.parametrize("file", ["JPEGImages/three/00002.png", "Annotations/three/00002.png"])
def test_changed_validation_video_is_scored_again(recipe, own_data, monkeypatch, caplog, file):
    scores = iter([9.0, 5.0])
    monkeypatch.setattr(validation, "validate", lambda *_: dict.fromkeys(("J&F", "J", "F"), next(scores)))
    config = recipe("run", phase(steps=1), overrides=[f"data.root={own_data}", "data.validation=[{path: held}]"])
    for found in (9.0, 9.0, 5.0):
        if found == 5.0:
            flip_last_byte(own_data / "held" / file)
        run_recipe(config)
        (record,) = load_card(Path(config.train.output, "best.safetensors")).phases
        assert record.scores["J&F"] == found
    assert "resumed at step 1 of video with other images or masks in validation: " in caplog.text
    assert "in drawn" not in caplog.text


def test_validation_skipped_by_a_stop_runs_on_resume(recipe, monkeypatch):
    config = recipe("run", phase(steps=1), overrides=["data.validation=[{path: held}]"])
    with monkeypatch.context() as patch:
        before_step(patch, 1, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(RunStopped, match="interrupted; the state after step 1") as caught:
            run_recipe(config)
    assert caught.value.signal_number == signal.SIGINT
    best = Path(config.train.output) / "best.safetensors"
    assert not best.exists()
    run_recipe(config)
    assert best.exists()


def test_signal_during_validation_stops_before_the_next_frame(recipe, monkeypatch):
    config = recipe("run", phase(steps=2), overrides=["train.validate_every=1", "data.validation=[{path: held}]"])
    frames = []

    def step(*_):
        if not frames:
            signal.raise_signal(signal.SIGTERM)
        frames.append(1)
        return Mock(labels=np.zeros((80, 96), np.uint8))

    monkeypatch.setattr(validation.Tracker, "step", step)
    with pytest.raises(RunStopped, match="interrupted; the state after step 1") as caught:
        run_recipe(config)
    assert (len(frames), caught.value.signal_number) == (1, signal.SIGTERM)
    assert [line["step"] for line in log_lines(config)] == [1]


def test_kill_during_validation_loses_no_step(recipe, monkeypatch):
    settings = ["train.save_every=9", "train.validate_every=2", "data.validation=[{path: held}]"]
    config = recipe("run", phase(steps=3), overrides=settings)
    monkeypatch.setattr(validation, "validate", Mock(side_effect=SystemExit))  # saves nothing, like a kill
    with pytest.raises(SystemExit):
        run_recipe(config)
    assert [path.name for path in list_states(config)] == ["0_video_000002.pt"]


def test_state_of_a_skipped_phase_rejected(recipe):
    run_recipe(recipe("run", phase("first", steps=1), phase("second"), overrides=["train.run=[first]"]))
    with pytest.raises(InputError, match="holds a state of phase first"):
        run_recipe(recipe("run", phase("first", steps=1), phase("second"), overrides=["train.run=[second]"]))


def test_best_validation_keeps_its_weights(recipe, monkeypatch):
    settings = ["data.validation=[{path: held}]", "train.validate_every=1"]
    config = recipe("run", phase(steps=3), overrides=settings)
    scores, kept = iter([5.0, 9.0, 7.0]), []

    def validate(model, *_):
        kept.append({key: tensor.clone() for key, tensor in model.state_dict().items()})
        return dict.fromkeys(("J&F", "J", "F"), next(scores))

    monkeypatch.setattr(validation, "validate", validate)
    run_recipe(config)
    assert_same_weights(load_file(f"{config.train.output}/best.safetensors"), kept[1])
