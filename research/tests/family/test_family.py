"""The paired trial: its data, the order of its runs, and its tables."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from aotlab.configs.load import load_config
from aotlab.dataloaders.training.clips import Clip
from aotlab.media.masks import write_mask
from aotlab.utils.errors import RunStopped
from aotlab.utils.locks import InUseError
from research.bundled.touching_clips import is_held_out
from research.family import prepare, train
from research.family.curves import read_curve
from research.family.evaluate import ObjectScore, format_table, measure_sizes


def test_held_out_images_are_not_linked(tmp_path):
    for index in range(60):
        path = tmp_path / "data" / "static" / "JPEGImages" / "set" / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
        write_mask(tmp_path / "data" / "static" / "Annotations" / "set" / f"{index}.png", np.ones((8, 8), np.uint8))
    for name in prepare.VIDEOS:
        (tmp_path / "data" / name).mkdir()
    for _ in range(2):  # again: nothing changes
        result = CliRunner().invoke(prepare.main, [str(tmp_path / "data"), str(tmp_path / "out")])
        assert result.exit_code == 0, result.output
    linked = sorted((tmp_path / "out" / "static" / "JPEGImages" / "set").iterdir())
    images = sorted((tmp_path / "data" / "static" / "JPEGImages" / "set").iterdir())
    assert [path.name for path in linked] == [path.name for path in images if not is_held_out(path)]
    assert 0 < len(linked) < len(images)


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Replace training by a turn that writes an empty state; return the folders in the order of their turns."""
    order = []

    def train_turn(config, _):
        folder = tmp_path / "runs" / config.train.output.rsplit("/", 1)[1]
        if folder.name in train_turn.locked:
            raise InUseError("in use")
        order.append(folder.name)
        step = train.count_steps(config) + train.TURN
        (folder / "states").mkdir(parents=True, exist_ok=True)
        (folder / "states" / f"0_first_{step:06d}.pt").touch()
        if step == 2 * train.TURN:
            (folder / "first.safetensors").touch()

    train_turn.locked = set()
    monkeypatch.setattr(train, "train_turn", train_turn)
    (tmp_path / "weights").touch()
    arguments = [
        str(tmp_path),
        str(tmp_path / "runs"),
        "--encoder-weights",
        str(tmp_path / "weights"),
        "--seeds",
        "0,1",
    ]
    return order, train_turn.locked, arguments


def test_models_advance_evenly_and_seeds_in_order(runs):
    order, _, arguments = runs
    assert CliRunner().invoke(train.main, arguments, catch_exceptions=False).exit_code == 0
    assert order == [f"{model}_{seed}" for seed in (0, 1) for _ in range(2) for model in train.MODELS]


def test_run_of_another_process_is_left_out(runs):
    order, locked, arguments = runs
    locked.add("aott_0")
    assert CliRunner().invoke(train.main, arguments, catch_exceptions=False).exit_code == 0
    assert "aott_0" not in order
    assert len(order) == 10


def test_turn_ends_at_its_multiple_of_steps():
    class State:
        step = train.TURN
        phase = load_config(train.RECIPE).train.phases[0]

    class Result:
        skipped = ""

    turn = train.TurnEnd()
    with pytest.raises(RunStopped, match="a turn of 100 steps has ended"):
        turn.stepped(State, Result)
    assert turn.reached
    State.step = State.phase.steps
    train.TurnEnd().stepped(State, Result)


def test_models_differ_only_in_their_presets():
    configs = [load_config(train.RECIPE, [f"base={model}"]) for model in train.MODELS]
    assert all(
        (each.train, each.data, each.input) == (configs[0].train, configs[0].data, configs[0].input) for each in configs
    )
    assert [len(config.model.stages) for config in configs] == [1, 1, 3]


def test_sizes_count_only_frames_that_show_the_object():
    labels = np.zeros((3, 10, 10), np.uint8)
    labels[0, :2, :5], labels[1, :3, :10], labels[:, 9, 9] = 1, 1, 2
    assert measure_sizes(Clip(np.zeros((3, 10, 10, 3), np.uint8), labels, 2)) == [0.2, 0.01]


def test_table_has_paired_gains_over_clips():
    scores = [
        ObjectScore("videos", clip, 1, 0.005, model, seed, 50 + gain * (model != "aott") + seed, 40, 0.1)
        for clip, gain in (("a", 2), ("b", 4))
        for model in train.MODELS
        for seed in (0, 1)
    ]
    rows = format_table(scores, "videos")
    assert rows[1] == "| videos | below 1 % | 2 in 2 clips | deaott | 46.8 | 53.5 | 40.0 |"
    assert rows[3].endswith("| deaott - aott | +1.5 (+1.0 to +2.0) | +3.0 (+2.0 to +4.0) | +0.0 (+0.0 to +0.0) |")
    assert len(rows) == 12


def test_curve_is_the_mean_of_each_window(tmp_path):
    lines = ['{"step": 10, "iou": 0.2}', '{"step": 50, "iou": 0.4}', '{"step": 50}', '{"step": 60, "iou": 0.5}']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    steps, values = read_curve(tmp_path, 50)
    assert steps.tolist() == [50, 100]
    np.testing.assert_allclose(values, [30, 50])
