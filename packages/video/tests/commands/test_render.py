"""``aotlab render``: outputs of results that are finished, interrupted, corrected, or those of a list."""

import json
import shutil
from unittest.mock import Mock

import numpy as np
import pytest

import aotlab_video
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.files import read_files
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from aotlab_testing.video.runs import interrupt, track
from aotlab_video.commands.render import main
from aotlab_video.runs import built_in_outputs
from aotlab_video.runs.store import Results
from aotlab_video.sources.video import open_frames

pytestmark = pytest.mark.usefixtures("repeater")


@pytest.fixture
def results(video, mask, tmp_path):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    return tmp_path / "out"


def test_outputs_equal_those_written_while_tracking(results, video, mask, tmp_path, repeater):
    steps, line = repeater.steps, "overlay,coco,objects"
    assert main([str(results), "--write", line]) == 0
    assert repeater.steps == steps
    assert track(video, tmp_path / "whole", mask, args=["--write", line]) == 0
    found, expected = (read_files(tmp_path / name) for name in ("out", "whole/out"))
    assert found.keys() == expected.keys()
    assert all(found[name] == content for name, content in expected.items() if name != "results.json")


def test_output_is_replaced_except_with_missing(results, capsys):
    (results / "coco.json").write_text("")
    assert main([str(results), "--write", "coco"]) == 2
    assert "already contains coco.json, which aotlab did not write" in capsys.readouterr().err
    (results / "coco.json").unlink()
    for options, text in (([], "out: coco\n"), (["--missing"], "out: complete\n"), ([], "out: coco\n")):
        assert main([str(results), "--write", "coco", *options]) == 0
        assert capsys.readouterr().out.endswith(text)


def render_killed(results, call, number):
    kill_at_call(call, number)
    main([str(results), "--write", "objects"])


@pytest.mark.parametrize(("call", "number"), [("os.unlink", 2), ("os.replace", 5), ("os.replace", 6), ("os.rmdir", 1)])
def test_killed_output_is_missing_or_whole(results, call, number):
    assert main([str(results), "--write", "objects"]) == 0
    expected = read_files(results / "objects")
    assert not survives_in_subprocess(render_killed, results, call, number)
    stored = Results.read(results)
    assert "objects" not in stored.outputs or read_files(results / "objects") == expected
    assert main([str(results), "--write", "objects", "--missing"]) == 0
    assert read_files(results / "objects") == expected
    assert not [path for path in results.rglob("*") if ".part" in path.name]


def test_outputs_are_rendered_in_python(results):
    assert aotlab_video.render(results, "coco", progress=False).written.keys() == {"coco"}
    found = aotlab_video.render(results, ["coco", "objects"], missing=True, progress=False)
    assert found.rendered == ("objects",)
    assert (results / "objects" / "1" / "00003.png").is_file()


def test_corrected_masks_are_rendered(results):
    labels = np.zeros((32, 48), np.uint8)
    labels[0, 0] = 1
    write_mask(results / "masks" / "00002.png", labels)
    assert main([str(results), "--write", "coco"]) == 0
    tree = json.loads((results / "coco.json").read_text())
    assert [item["area"] for item in tree["annotations"]] == [256, 256, 1, 256]


def test_interrupted_results_are_rendered_so_far(video, mask, tmp_path, monkeypatch):
    interrupt(monkeypatch, video, tmp_path, mask, args=["--write", "masks"])
    assert main([str(tmp_path / "out"), "--write", "overlay"]) == 0
    assert len(list(open_frames(tmp_path / "out" / "overlay.mp4"))) == 3
    assert track(video, tmp_path, mask, args=["--write", "overlay"]) == 0
    assert len(list(open_frames(tmp_path / "out" / "overlay.mp4"))) == 4


@pytest.mark.parametrize(("change", "words"), [
    (lambda out, video: (out / "masks" / "00001.png").unlink(), "out: 1 of 4 masks are missing; track the video again"),
    (lambda out, video: shutil.rmtree(video), "out: its video is missing, at "),
    (lambda out, video: (video / "00001.png").write_bytes((video / "00000.png").read_bytes()),
     "has other content than the tracked one; restore it, or track it again"),
    (lambda out, video: (out / "frames.jsonl").unlink(), "out: no frame is tracked; track the video first"),
])  # fmt: skip
def test_results_that_cannot_be_rendered(results, video, run_expecting_error, change, words):
    change(results, video)
    before = read_files(results)
    assert words in run_expecting_error(main, results, "--write", "overlay,coco")
    assert read_files(results) == before


def test_refused_output_keeps_the_others(results, monkeypatch, run_expecting_error):
    assert main([str(results), "--write", "overlay"]) == 0
    before = read_files(results)
    refuse = Mock(side_effect=InputError("coco: cannot hold this video"))
    monkeypatch.setattr(built_in_outputs.AnnotationFile, "open", refuse)
    assert "cannot hold this video" in run_expecting_error(main, results, "--write", "overlay,coco")
    assert read_files(results) == before


def test_missing_video_serves_outputs_without_images(results, video):
    assert main([str(results), "--write", "coco"]) == 0
    before = (results / "coco.json").read_text()
    shutil.rmtree(video)
    assert main([str(results), "--write", "coco,objects"]) == 0
    assert [*(results / "objects").iterdir()]
    found, expected = json.loads((results / "coco.json").read_text()), json.loads(before)
    assert [item["segmentation"] for item in found["annotations"]] == [
        item["segmentation"] for item in expected["annotations"]
    ]


def test_soft_output_without_stored_edges_rejected(results, run_expecting_error):
    line = run_expecting_error(main, results, "--write", "coco,mattes")
    assert "mattes: needs soft edges, which these results do not have; track again with --write soft" in line
    assert not (results / "coco.json").exists()


def test_many_results_fail_one_by_one(results, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(results, tmp_path / "list" / name)
    stored = Results.read(tmp_path / "list" / "b")
    stored.video = str(tmp_path / "gone.mp4")
    stored.save()
    assert main([str(tmp_path / "list"), "--write", "overlay"]) == 1
    output = capsys.readouterr()
    assert f"{tmp_path}/list/a: overlay\n1 of 2 videos done\n" in output.out
    assert "list/b: its video is missing" in output.err


def test_unknown_output_is_one_error_before_the_first_video(results, run_expecting_error, capsys):
    line = run_expecting_error(main, results, results.parent, "--write", "coco,nope")
    assert "write nope: not one of masks, " in line
    assert not (results / "coco.json").exists()


def test_folder_without_results_rejected(tmp_path, run_expecting_error):
    assert "contains no results of aotlab track; give its --output" in run_expecting_error(
        main, tmp_path, "--write", "coco"
    )
    assert "--write: missing; give outputs such as overlay,coco" in run_expecting_error(main, tmp_path)
