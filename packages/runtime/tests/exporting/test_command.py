"""The ``export`` command: options, calibration clips, and graphs that differ from PyTorch."""

import sys

import numpy as np
import onnx
import pytest

from aotlab.export import export, verify
from aotlab.export.verify import Agreement
from aotlab.tools.export import main
from aotlab.utils.errors import RunStopped
from aotlab_testing.drawn_clips import write_masks, write_plain

TINY = ["--config", "aott", "--size", "49x33", "model.stages.0.window=7"]


@pytest.mark.slow
def test_int8_export_is_verified(tmp_path, capsys, save_clip):
    clip_args = save_clip(*[np.eye(33, 49, dtype=np.uint8)] * 3)
    out = str(tmp_path / "out")
    assert main([*TINY, "--output", out, "--no-prompts", "--verify", "--max-loss", "100", *clip_args]) == 0
    assert "% of the pixels equal; J" in capsys.readouterr().out


@pytest.fixture
def save_clip(tmp_path):
    """A function that writes masks, and black frames, of a clip; returns the arguments of its export in int8."""

    def save(*masks):
        frames = write_plain(tmp_path / "frames", len(masks), (33, 49))
        folders = [str(frames), str(write_masks(tmp_path / "masks", masks))]
        return ["--precision", "int8", "--calibrate", *folders]

    return save


@pytest.mark.parametrize(("precision", "difference", "region", "message"), [
    ("default", 0.0, 0.5, ""),
    ("default", float("nan"), 0.5, "expected at most 0.001; nothing was exported; please report it"),
    ("float32", 0.0, 0.5, ""),
    ("int8", 0.5, 0.495, ""),
    ("int8", 0.5, 0.47, "J of the graphs is 3.0 points below PyTorch's, expected at most 1; calibrate with"),
    ("int8", 0.5, float("nan"), "J of the graphs is nan points below"),
])  # fmt: skip
def test_differing_graphs_stop_export(tmp_path, capsys, monkeypatch, save_clip, precision, difference, region, message):
    (tmp_path / "out").mkdir()
    clips = []

    def export_model(model, config, folder, options, *, check, **settings):
        clips.append(options.calibration)
        check(folder)

    def verify_export(*args, clip, **settings):
        clips.append(clip)
        return Agreement(difference, 0.5, region, 0.5, 0.1, 0.1)

    monkeypatch.setattr(export, "export_model", export_model)
    monkeypatch.setattr(verify, "verify_export", verify_export)
    _, _, *clip_args = save_clip(*[np.eye(33, 49, dtype=np.uint8)] * 3)
    clip_args = [] if precision == "default" else ["--precision", precision, *clip_args]
    assert main([*TINY, "--output", str(tmp_path / "out"), "--verify", *clip_args]) == (1 if message else 0)
    captured = capsys.readouterr()
    assert message in captured.err
    assert bool(message) == bool(captured.err)
    assert ("up to 9 frames in long-term memory" in captured.out) != bool(message)
    assert [len(clip) for clip in clips] == {"default": [0, 12], "float32": [0, 3], "int8": [3, 3]}[precision]


@pytest.mark.parametrize(("empty_masks", "length", "expected"), [
    ((), 28, range(16, 28)),
    ((), 40, range(16, 28)),
    ((), 27, range(12)),
    ((16,), 40, range(12)),
    ((), 2, range(2)),
])  # fmt: skip
def test_frames_after_the_calibration_are_verified(empty_masks, length, expected):
    clip = [(np.full((9, 9, 3), i, np.uint8), np.full((9, 9), i not in empty_masks)) for i in range(length)]
    assert [frame.max() for frame, _ in verify.select_clip(clip, (9, 9))] == [*expected]


def test_clip_without_tracked_objects_verifies_nothing():
    with pytest.raises(RunStopped, match="PyTorch tracks no object of the clip"):
        verify.require_agreement(Agreement(0, 1, 0, 0, 0.1, 0.1), half=True, max_loss=None)


def test_verification_without_opencv_fails_before_the_export(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr(export, "export_model", lambda *args, **settings: pytest.fail("exported"))
    assert main([*TINY, "--output", str(tmp_path / "out"), "--verify"]) == 2
    assert "cv2 must be installed for this; pip install 'aotlab[score]'" in capsys.readouterr().err


def test_failed_verification_keeps_the_earlier_export(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "convert_to_onnx", lambda graph: onnx.ModelProto())
    args = [*TINY, "--output", str(tmp_path / "out")]
    assert main(args) == 0
    before = (tmp_path / "out" / "export.json").read_bytes()
    monkeypatch.setattr(verify, "verify_export", lambda *args, **settings: Agreement(1, 0.5, 0.5, 0.5, 0.1, 0.1))
    assert main([*args, "--half", "--force", "--verify"]) == 1
    assert (tmp_path / "out" / "export.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_calibration_clip_is_resized_to_the_export(tmp_path, monkeypatch, save_clip):
    """Otherwise --verify compares PyTorch at the clip's size with graphs of another."""
    (tmp_path / "out").mkdir()
    shapes = []

    def export_model(model, config, folder, options, **settings):
        assert options.fused
        shapes.extend((frame.shape, mask.shape, mask.max()) for frame, mask in options.calibration)

    monkeypatch.setattr(export, "export_model", export_model)
    clip_args = save_clip(*[np.eye(33, 49, dtype=np.uint8)] * 2)
    args = ["--config", "aott", "--size", "98x66", "--output", str(tmp_path / "out"), *clip_args]
    assert main(args) == 0
    assert shapes == [((66, 98, 3), (66, 98), 1)] * 2


@pytest.mark.parametrize(("masks", "message"), [
    ([np.eye(33, 49, dtype=np.uint8)], "expected masks for at least 2 frames"),
    ([np.zeros((33, 49), np.uint8)] * 2, "the first mask has no objects; start with one that has"),
    ([np.eye(33, 49, dtype=np.uint8), np.eye(3, dtype=np.uint8)], "00001.png"),
])  # fmt: skip
def test_bad_calibration_clips_rejected(tmp_path, run_expecting_error, save_clip, masks, message):
    assert message in run_expecting_error(main, *TINY, "--output", tmp_path / "out", *save_clip(*masks))
    assert not (tmp_path / "out").exists()


def test_settings_are_printed_as_exported(capsys):
    assert main([*TINY, "--print-config"]) == 0
    assert "policy: bounded_fifo" in capsys.readouterr().out


def test_missing_runtime_names_its_folder(tmp_path, monkeypatch, run_expecting_error):
    monkeypatch.setitem(sys.modules, "aotlab_runtime", None)
    line = run_expecting_error(main, *TINY, "--output", tmp_path / "out", "--verify")
    assert line.endswith("aotlab_runtime must be installed; pip install ./packages/runtime in a checkout")


EXPORT = "--config aott --size 49x33 model.stages.0.window=7 --output out"


@pytest.mark.parametrize(("line", "words"), [
    (f"{EXPORT} --provider foo --verify", "provider foo: unknown; choose one of cpu, cuda"),
    (f"{EXPORT} --size 1x1 --verify", "1x1: too small for the clip of --verify; give a larger --size"),
    (f"{EXPORT} --provider coreml --verify", "coreml: not in this onnxruntime; install"),
])  # fmt: skip
def test_unusable_verification_rejected(line, words, tmp_path, monkeypatch, run_expecting_error):
    monkeypatch.chdir(tmp_path)
    assert words in run_expecting_error(main, *line.split())
    assert list(tmp_path.iterdir()) == []
