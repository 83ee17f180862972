"""The ``agreement`` command: scores by object and frame, and pairs of objects."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from aotlab.evaluation.agreement import pair_objects
from aotlab.media.annotations import find_mask_writer
from aotlab.media.masks import write_mask
from aotlab.media.regions import Annotations, VideoInfo
from aotlab.media.video import open_frames
from aotlab.tools.agreement import main
from tests.drawn_clips import draw_two_squares
from tests.media.video_files import write_video


@pytest.fixture
def annotations(tmp_path):
    """Two folders of masks; the second has half of object 1 on frame 1, no object 2 there, and no frame 3."""
    for name, count in (("first", 4), ("second", 3)):
        for index in range(count):
            labels = draw_two_squares(index)
            if name == "second" and index == 1:
                labels[10:15][labels[10:15] == 1] = 0
                labels[labels == 2] = 0
            write_mask(tmp_path / name / f"{index:05d}.png", labels)
    for index in range(12):
        write_mask(tmp_path / "clip" / f"{index:05d}.png", draw_two_squares(index))
    first, second, video = (str(tmp_path / name) for name in ("first", "second", "clip"))
    return [first, second, "--video", video]


def test_agreement_by_object_and_frame(annotations, tmp_path, capsys):
    (tmp_path / "j.csv").write_text("old")
    assert main([*annotations, "--csv", str(tmp_path / "j.csv"), "--force"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["object", "frames", "J", "mean", "J", "lowest", "on", "frame", "class"],
        ["1", "3", "0.833", "0.500", "1"],
        ["2", "3", "0.667", "0.000", "1"],
        ["all", "3", "0.750"],
    ]
    assert lines == [line.rstrip() for line in lines]
    assert lines[4:] == [
        "largest differences:",
        "  frame 1: object 2, J 0.000",
        "  frame 1: object 1, J 0.500",
        f"not compared: 1 frame only in {annotations[0]}, 0 only in {annotations[1]}",
    ]
    rows = (tmp_path / "j.csv").read_text().splitlines()
    header = "video,frame,object,J,first_class,second_class"
    assert rows[:4] == [header, "clip,0,1,1.0000,,", "clip,0,2,1.0000,,", "clip,1,1,0.5000,,"]


def test_masks_numbered_from_1_are_compared(annotations, tmp_path, capsys, read_error_line):
    frames = [draw_two_squares(index) for index in range(12)]
    write_video(tmp_path / "clip.mp4", [np.stack([255 * np.uint8(labels > 0)] * 3, 2) for labels in frames])
    for folder in ("first", "second"):
        (tmp_path / folder / "00000.png").unlink()
    given = [*annotations[:2], "--video", str(tmp_path / "clip.mp4")]
    assert "give --mask-start-number 1" in read_error_line(main(given))
    assert main([*given, "--mask-start-number", "1"]) == 0
    assert "frame 0: object 2, J 0.000" in capsys.readouterr().out


def test_annotations_of_different_frames_rejected(annotations, tmp_path, read_error_line):
    for index in range(3):
        (tmp_path / "second" / f"{index:05d}.png").rename(tmp_path / "second" / f"{index + 4:05d}.png")
    assert "no object on a frame that both annotate" in read_error_line(main(annotations))


def test_frame_without_objects_disagrees(annotations, tmp_path, capsys):
    write_mask(tmp_path / "second" / "00000.png", draw_two_squares(0) * 0)
    assert main(annotations) == 0
    assert "  frame 0: object 1, J 0.000" in capsys.readouterr().out


def test_objects_are_paired_by_their_pixels(annotations, tmp_path, capsys):
    for index in range(3):
        labels = draw_two_squares(index)
        swapped = np.array([0, 2, 5], labels.dtype)[labels]
        swapped[:2] = 1
        write_mask(tmp_path / "second" / f"{index:05d}.png", swapped)
    assert main(annotations) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:4] for line in lines[1:5]] == [
        ["none=1", "3", "0.000", "0.000"],
        ["1=2", "3", "1.000", "1.000"],
        ["2=5", "3", "1.000", "1.000"],
        ["all", "3", "0.667"],
    ]


def write_classes(path, video, names, count=2):
    """Write two squares of these classes as COCO for a video."""
    annotations = Annotations((32, 48), class_names=dict(enumerate(names, start=1)))
    for index in range(count):
        annotations.add_mask(index, draw_two_squares(index))
    info = VideoInfo.from_source(open_frames(video))
    path.parent.mkdir(exist_ok=True)
    find_mask_writer("coco").write(path, replace(annotations, size=info.size, video=info.name), info)


def test_classes_that_differ_are_listed(annotations, tmp_path, capsys):
    video = tmp_path / "clip"
    for name, classes in (("ann", ("Dog", "Cat")), ("bob", ("Wolf", "Cat"))):
        write_classes(tmp_path / f"{name}.json", video, classes)
    assert main([str(tmp_path / "ann.json"), str(tmp_path / "bob.json"), "--video", str(video)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[-3:] == ["Dog", "|", "Wolf"]
    assert lines[-2].startswith("classes differ: 1 of 2 objects; Cohen's kappa")
    assert lines[-1] == "  object 1: Dog | Wolf"


def test_list_has_one_coefficient_over_all_videos(annotations, tmp_path, capsys):
    shutil.copytree(tmp_path / "clip", tmp_path / "videos/a")
    for name in "bcd":
        shutil.copytree(tmp_path / "clip", tmp_path / "videos" / name)
    for name in "abc":
        second = ("Wolf", "Cat") if name == "b" else ("Dog", "Cat")
        write_classes(tmp_path / "ann" / f"{name}.json", tmp_path / "videos" / name, ("Dog", "Cat"))
        write_classes(tmp_path / "bob" / f"{name}.json", tmp_path / "videos" / name, second)
    folders = [str(tmp_path / name) for name in ("ann", "bob")]
    assert main([*folders, "--jobs", str(tmp_path / "videos"), "--csv", str(tmp_path / "all.csv")]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[:5]] == ["video", "a", "b", "c", "all"]
    assert "  b, object 1: Dog | Wolf" in out
    assert "error: d: " in err
    assert "no annotation of video d" in err
    assert "b,0,1,1.0000,Dog,Wolf" in (tmp_path / "all.csv").read_text()
    pytest.importorskip("sklearn")
    # equal 5/6, by chance 3/6 * 3/6 + 2/6 * 3/6
    assert f"classes differ: 1 of 6 objects; Cohen's kappa {(5 / 6 - 15 / 36) / (1 - 15 / 36):.3f}" in out


def test_masks_of_another_video_rejected(annotations, tmp_path, read_error_line):
    shutil.copytree(tmp_path / "clip", tmp_path / "other")
    for name, video in (("ann", "clip"), ("bob", "other")):
        write_classes(tmp_path / f"{name}.json", tmp_path / video, ("Dog", "Cat"))
    arguments = [str(tmp_path / "ann.json"), str(tmp_path / "bob.json"), "--video", str(tmp_path / "clip")]
    assert "belongs to video other, not clip" in read_error_line(main(arguments))


def test_large_ids_are_paired():
    one, other = np.array([[0, 1, 2]]), np.array([[0, 2**20, 2**31 - 1]])
    assert pair_objects([(one, other)]) == [(1, 2**20), (2, 2**31 - 1)]
    assert pair_objects([(other, one)]) == [(2**20, 1), (2**31 - 1, 2)]
