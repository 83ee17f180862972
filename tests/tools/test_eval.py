"""The ``eval`` command: with a tracker that repeats its masks, and with the bundled model at a tiny size."""

import json
import os
import re
import signal
import tempfile
from unittest.mock import Mock

import pytest

from aotlab.engine.tracking.tracker import BUNDLED_CHECKPOINT, Tracker
from aotlab.evaluation.benchmarks import BUILT_IN
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.tools import eval as tool
from aotlab.tools.score import main as score
from aotlab_testing import miniatures
from aotlab_testing.drawn_clips import draw_moving_clip, stems_from, write_split
from aotlab_testing.files import read_files
from aotlab_testing.limits import limit_file_size
from aotlab_testing.processes import run_python
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_testing.small_model import build


@pytest.fixture
def loaded(monkeypatch):
    """Replaces loading a checkpoint; holds the arguments of each load."""
    calls = []

    def from_pretrained(path, *, config=None, overrides=(), protocol="bounded", device="cpu"):
        calls.append({"path": path, "config": config, "overrides": list(overrides), "device": device})
        assert protocol == "published"
        return RepeatingTracker()

    monkeypatch.setattr(Tracker, "from_pretrained", from_pretrained)
    return calls


def make(name, folder, split="val"):
    """Make a data set; the options that name it."""
    miniatures.make(name, folder / "root")
    return ["--dataset", name, "--root", str(folder / "root"), "--split", split]


@pytest.mark.parametrize("name", ["youtubevos2019", "mosev2", "sav", "folder"])
def test_scores_equal_the_scoring_program(name, tmp_path, loaded):
    dataset_options = make(name, tmp_path, miniatures.scored_split(name))
    output, again = tmp_path / "results", tmp_path / "again.json"
    assert tool.main([*dataset_options, "--output", str(output)]) == 0
    assert score([*dataset_options, str(output), "--json", str(again)]) == 0
    found, expected = (json.loads(path.read_text()) for path in (output / "scores.json", again))
    assert found.pop("fps") > 0
    assert expected.pop("fps") is None
    assert found.pop("inputs")["dataset"] == name
    assert {"aotlab", "torch", "command", "date"} <= found.pop("provenance").keys()
    assert found == expected
    assert "J" in found


def test_results_without_scores_name_the_next_command(tmp_path, capsys, loaded):
    output = tmp_path / "results"
    assert tool.main([*make("youtubevos2019", tmp_path), "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert "no score: the masks of youtubevos2019 val are not public" in text
    assert f"--results {output} --output {output}.zip" in text
    assert sorted(json.loads((output / "scores.json").read_text())) == ["failures", "fps", "inputs", "provenance"]


def test_options_reach_the_tracker(tmp_path, loaded):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"weights")
    base = [*make("folder", tmp_path), "--output", str(tmp_path / "out"), "--config", "aotl"]
    args = ["--checkpoint", str(mine), "memory.every=2", "--device", "cpu:0", "b.c=3"]
    assert tool.main([*base, *args]) == 0
    call = {"path": mine, "config": "aotl", "overrides": ["memory.every=2", "b.c=3"], "device": "cpu:0"}
    assert loaded == [call]
    assert tool.main([*base, "--force", "memory.policy=rmem", "memory.frames=4"]) == 0
    assert loaded[1]["overrides"] == ["memory.policy=rmem", "memory.frames=4"]


def test_corrupt_frame_fails_only_its_sequence(tmp_path, loaded, capsys, caplog):
    dataset_options = make("folder", tmp_path)
    (tmp_path / "root/JPEGImages/first/00002.jpg").write_bytes(b"nonsense")
    assert tool.main([*dataset_options, "--output", str(tmp_path / "out")]) == 1
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert list(scores["sequences"]) == ["second"]
    assert "00002.jpg" in scores["failures"]["first"]
    output = capsys.readouterr()
    assert (caplog.text + output.err).count("00002.jpg") == 1
    assert "over 1 of 2 sequences" in output.out
    assert tool.main([*dataset_options, "--output", str(tmp_path / "out"), "--sequence", "second"]) == 0
    assert "over 1 of 2 sequences" in capsys.readouterr().out


@pytest.mark.parametrize(("args", "words"), [
    ("--split train", "ImageSets/train.txt: no such file; choose the split test or val"),
    ("--sequence beer", "sequence beer: not one of 1083_cut_tomato, 2001_fold_cloth$"),
    ("--new-objects", "--new-objects: vost has no such option"),
    ("--feedback own", "--feedback: applies to averages"),
    ("--weights 1,2", "--weights: 2 weights for 1 model; give one for each"),
    ("--config aott --config aotl", "--config: given 2 times for 1 model"),
])  # fmt: skip
def test_invalid_options_rejected_before_loading_models(tmp_path, loaded, run_expecting_error, args, words):
    dataset_options = [*make("vost", tmp_path), "--output", tmp_path / "out"]
    assert re.search(words, run_expecting_error(tool.main, *dataset_options, *args.split()))
    assert loaded == []


@pytest.mark.parametrize(("args", "output"), [(["--output", "out"], "out"), ([], "results/folder")])
def test_read_only_output_is_rejected_before_loading(tmp_path, loaded, run_expecting_error, monkeypatch, args, output):
    # root may write anywhere, so the refusal of the file system is simulated
    fail = Mock(side_effect=OSError(30, os.strerror(30)))
    dataset_options = make("folder", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    line = run_expecting_error(tool.main, *dataset_options, *args)
    assert f"{output}: cannot be written (Read-only file system)" in line
    assert loaded == []


def test_print_config_shows_the_bundled_settings(loaded, capsys):
    assert tool.main(["--print-config", "memory.every=3"]) == 0
    text = capsys.readouterr().out
    assert f"name: {BUNDLED_CHECKPOINT.stem}" in text
    assert "every: 3" in text
    models = ["--checkpoint", str(BUNDLED_CHECKPOINT)] * 2
    assert tool.main([*models, "--print-config"]) == 0
    first, second = capsys.readouterr().out.split("---\n")
    assert f"name: {BUNDLED_CHECKPOINT.stem}" in first
    assert first == second


def test_full_disk_keeps_masks_and_the_printed_table(tmp_path, capsys, loaded):
    dataset_options, output = make("folder", tmp_path), tmp_path / "out"
    assert tool.main([*dataset_options, "--output", str(output)]) == 0
    (output / "scores.json").unlink()
    masks = read_files(output, "*.png")
    capsys.readouterr()
    with limit_file_size(50):
        assert tool.main([*dataset_options, "--output", str(output)]) == 2
    captured = capsys.readouterr()
    assert "J&F" in captured.out
    assert "scores.json: cannot be written (File too large)" in captured.err
    assert read_files(output, "*.png") == masks


PROGRAM = ("-m", "aotlab", "eval")
TINY = ["input.max_long_edge=48"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six clips of their own lengths."""
    root = tmp_path_factory.mktemp("clips")
    clips = {f"clip{n}": draw_moving_clip(stems_from(0, 4 + n), {1: 0, 2: 0}, seed=n) for n in range(6)}
    write_split(root, clips)
    return root


def options(data, output, *args):
    return ["--dataset", "folder", "--root", str(data), "--output", str(output), *TINY, *args]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, *build("aotl"))
    return path


def test_signal_ends_the_run_which_resumes(tmp_path, loaded, capsys, monkeypatch):
    line = [*make("folder", tmp_path), "--output", str(tmp_path / "out")]
    plain, count = RepeatingTracker.step, iter(range(8))

    def step(self, frame, mask=None, *, size=None):
        if next(count, None) == 7:  # in the second sequence
            signal.raise_signal(signal.SIGTERM)
        return plain(self, frame, mask, size=size)

    monkeypatch.setattr(RepeatingTracker, "step", step)
    assert tool.main(line) == 128 + signal.SIGTERM
    assert "1 of 2 sequences are done" in capsys.readouterr().err.splitlines()[-1]
    assert tool.main(line) == 0
    assert "finished before: 1 of 2" in capsys.readouterr().out
    assert len(read_files(tmp_path / "out", "*.png")) == 11


@pytest.mark.slow
def test_two_ranks_write_what_one_process_does(data, tmp_path):
    whole, both = tmp_path / "whole", tmp_path / "both"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for runner, output in (([], whole), (torchrun, both)):
        done = run_python(*runner, *PROGRAM, *options(data, output))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("mean of 12 objects") == 1  # the main rank speaks for all
    assert read_files(both, "*.png") == read_files(whole, "*.png")
    found, expected = (json.loads((folder / "scores.json").read_text()) for folder in (both, whole))
    assert found["sequences"] == expected["sequences"]


@pytest.mark.parametrize("earlier", [False, True])  # of another sequence
def test_foreign_files_are_never_replaced(data, tmp_path, loaded, run_expecting_error, earlier):
    if earlier:
        assert tool.main(options(data, tmp_path, "--sequence", "clip1")) == 0
    (tmp_path / "clip0").mkdir()
    (tmp_path / "clip0" / "00001.png").write_text("mine")
    line = run_expecting_error(tool.main, *options(data, tmp_path, "--sequence", "clip0", "--force"))
    assert "already contains clip0, which aotlab did not write; choose another" in line
    assert (tmp_path / "clip0" / "00001.png").read_text() == "mine"


def test_second_run_finds_all_and_other_settings_need_force(data, checkpoint, tmp_path, capsys, run_expecting_error):
    arguments = options(data, tmp_path, "--sequence", "clip0", "--checkpoint", str(checkpoint))
    assert tool.main(arguments) == 0
    before = read_files(tmp_path, "*.png")
    capsys.readouterr()
    assert tool.main(arguments) == 0
    out = capsys.readouterr().out
    assert "finished before: 1 of 1" in out
    assert "frames per second" not in out
    assert read_files(tmp_path, "*.png") == before
    for args, change in (
        ("--flip", "flip: false before, true now"),
        ("input.scale=0.5", "input.scale: 1.0 before, 0.5 now"),
    ):
        line = run_expecting_error(tool.main, *arguments, args)
        assert f"contains results of a different run ({change}); choose" in line
    assert read_files(tmp_path, "*.png") == before
    assert tool.main([*arguments, "--flip", "--force"]) == 0
    assert "finished before" not in capsys.readouterr().out


def test_scores_of_a_longer_run_are_kept(data, tmp_path, loaded, capsys):
    assert tool.main(options(data, tmp_path)) == 0
    before = (tmp_path / "scores.json").read_bytes()
    capsys.readouterr()
    assert tool.main(options(data, tmp_path, "--sequence", "clip0")) == 0
    assert "scores.json is unchanged: the folder has results of " in capsys.readouterr().out
    assert (tmp_path / "scores.json").read_bytes() == before


def test_another_data_set_in_the_folder_is_refused(tmp_path, loaded, run_expecting_error):
    line = [*make("folder", tmp_path), "--output", str(tmp_path / "out")]
    assert tool.main(line) == 0
    before = read_files(tmp_path / "out")
    other = [*make("vost", tmp_path / "other"), "--output", str(tmp_path / "out")]
    assert "results of a different run (dataset: folder before, vost now); choose" in run_expecting_error(
        tool.main, *other
    )
    assert read_files(tmp_path / "out") == before


def test_data_sets_are_described(capsys):
    assert tool.main(["--dataset", "help"]) == 0
    sections = capsys.readouterr().out.replace("\n  ", "\t").splitlines()
    assert [section.split("\t")[0] for section in sections] == [*BUILT_IN]
    (mose,) = (section for section in sections if section.startswith("mosev2\t"))
    assert "https://mose.video\tlicense  CC BY-NC-SA 4.0" in mose
