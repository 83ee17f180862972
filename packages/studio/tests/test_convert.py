"""The ``convert`` command: one video to another format, and merged videos as a data set."""

import json
import re
import shutil
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import yaml
from PIL import Image

from aotlab import InputError, read_mask, write_mask
from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.layouts import read_youtube_vos
from aotlab.dataloaders.sequences import read_metadata
from aotlab.dataloaders.training.layouts import open_videos
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.check_data import check_folder
from aotlab_studio.batch.clips import find_clips
from aotlab_studio.convert import main
from aotlab_studio.document import editing
from aotlab_studio.document.folder import read_results
from aotlab_studio.export_clips import main as export_clips
from aotlab_studio.session.opening import open_document
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from aotlab_testing.video.sample import LENGTH, SIZE, VIDEO, draw_labels, sample_annotations
from aotlab_video import ObjectClasses, Results, VideoInfo, digest_video, find_mask_writer, read_annotations
from aotlab_video.sources.video_writer import VideoWriter
from studio.tests.annotation.clips import HEIGHT, WIDTH, draw_folder, truth
from studio.tests.annotation.clips import LENGTH as CLIP_LENGTH
from studio.tests.annotation.results import change_record, merge, write_results
from studio.tests.annotation.sessions import draw, open_session, run_job


@pytest.fixture
def video(tmp_path):
    return write_plain(tmp_path / "clip", LENGTH, SIZE)


def sample_line(output, to, video, form="coco"):
    """The command line that converts the sample, written in a form beside the video."""
    path = video.parent / ("in.xml" if form == "cvat" else "in.json")
    find_mask_writer(form).write(path, sample_annotations(), VIDEO)
    return [str(path), str(output), "--to", to, "--video", str(video)]


def test_masks_are_converted_to_png(video, tmp_path, capsys):
    out = tmp_path / "masks"
    assert main(sample_line(out, "masks", video, "cvat")) == 0
    for frame in range(LENGTH):
        np.testing.assert_array_equal(np.array(Image.open(out / f"{frame:05d}.png")), draw_labels(frame))
    assert "2 objects on 4 frames" in capsys.readouterr().out


def test_soft_masks_are_converted_with_their_format(video, tmp_path, capsys):
    soft = np.zeros(SIZE, np.uint8)
    soft[4:16, 4:30], soft[[4, 15], 4:30] = 255, 90
    Image.fromarray(soft).save(tmp_path / "soft.png")
    line = [str(tmp_path / "soft.png"), str(tmp_path / "out"), "--to", "masks", "--video", str(video)]
    assert main(line) == 2
    assert "give --mask-format soft to cut it at one half" in capsys.readouterr().err
    assert main([*line, "--mask-format", "soft"]) == 0
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "00000.png")), soft > 127)


def test_yolo_images_are_copied_or_written(video, tmp_path):
    out = tmp_path / "yolo"
    assert main(sample_line(out, "yolo", video)) == 0
    for image in video.iterdir():
        copy = out / "images" / image.name
        assert copy.read_bytes() == image.read_bytes()
        assert not copy.is_symlink()  # the data set may be moved to another machine
    settings = yaml.safe_load((out / "data.yaml").read_text())
    names = {0: "ball", 1: "person"}
    assert settings == {"train": "images", "val": "images", "names": names, "first_frame": 0}  # beside the file
    with closing(VideoWriter(tmp_path / "clip.mp4", rate=Fraction(24), size=SIZE)) as writer:
        for index in range(LENGTH):
            writer.write(np.zeros((*SIZE, 3), np.uint8), Fraction(index, 24))
    assert main(sample_line(tmp_path / "film", "yolo", tmp_path / "clip.mp4")) == 0
    assert [path.name for path in sorted((tmp_path / "film" / "images").iterdir())][-1] == "00003.jpg"


@pytest.mark.parametrize("form", ["coco", "label_studio", "youtube_vis"])
def test_converted_images_have_the_names_of_their_files(tmp_path, form):
    masks, out, clip = (tmp_path / name for name in ("masks", "o.json", "clip"))
    write_mask(masks / "shot.7.png", np.eye(8, dtype=np.uint8))
    clip.mkdir()
    Image.new("RGB", (8, 8)).save(clip / "shot.7.png")
    assert main([str(masks), str(out), "--video", str(clip), "--to", form]) == 0
    text = out.read_text()
    assert "clip/shot.7.png" in text
    assert ".jpg" not in text


def convert_until_killed(line, renames):
    kill_at_call("pathlib.Path.replace", renames)
    main(line)


@pytest.mark.parametrize("renames", [1, 2])
def test_conversion_after_a_kill_writes_only_its_output(video, tmp_path, renames):
    line = [*sample_line(tmp_path / "out", "masks", video), "--force"]
    assert main(line) == 0
    before = sorted(tmp_path.rglob("*"))
    assert not survives_in_subprocess(convert_until_killed, line, renames)
    assert main(line) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_existing_output_is_replaced_with_force_only(video, tmp_path, capsys):
    line = sample_line(tmp_path / "out.xml", "cvat", video)
    (tmp_path / "out.xml").write_text("mine")
    assert main(line) == 2
    assert main([*line, "--force"]) == 0
    assert (tmp_path / "out.xml").read_text().startswith("<?xml")
    assert main([*sample_line(video, "masks", video), "--force"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "already contains data; choose another output, or replace it with --force" in first
    assert "would replace the input" in second


def test_failed_conversion_keeps_the_old_output(video, tmp_path):
    annotations = sample_annotations()
    for regions in annotations.frames.values():
        regions[:] = [replace(region, object_id=1500) for region in regions]
    find_mask_writer("coco").write(tmp_path / "in.json", annotations, VIDEO)
    (tmp_path / "out.txt").write_text("mine")
    line = [str(tmp_path / "in.json"), str(tmp_path / "out.txt"), "--to", "mots", "--video", str(video)]
    assert main([*line, "--force"]) == 2
    assert (tmp_path / "out.txt").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("more", [["--to", "masks"], ["--to", "yolo"], ["--to", "coco", "--merge"]])
def test_foreign_files_are_not_replaced(tmp_path, capsys, more):
    results = write_results(tmp_path, ["a", "b"])
    source = [str(results)] if "--merge" in more else [str(results / "a" / "masks"), "--video"]
    line = [*source, *([str(tmp_path / "videos" / "a")] if "--video" in source else []), *more]
    line = [*line, str(tmp_path / "out")]
    photo = tmp_path / "out" / "photos" / "wedding.png"
    photo.parent.mkdir(parents=True)
    photo.write_text("mine")
    assert main([*line, "--force"]) == 2
    words = "holds photos/wedding.png, which aotlab convert did not write; give another name"
    assert words in capsys.readouterr().err
    assert photo.read_text() == "mine"


def test_converted_folder_with_added_files_rejected(video, tmp_path, capsys):
    annotations, out = sample_annotations(), tmp_path / "out"
    line = sample_line(out, "masks", video)
    assert main(line) == 0
    assert main(line) == 2
    assert "replace it with --force" in capsys.readouterr().err
    del annotations.frames[LENGTH - 1]
    find_mask_writer("coco").write(tmp_path / "in.json", annotations, VIDEO)
    assert main([*line, "--force"]) == 0
    assert [path.name for path in sorted(out.glob("*.png"))] == [f"{frame:05d}.png" for frame in range(3)]
    (out / "more").mkdir()
    (out / "more" / "00009.png").write_text("mine")
    assert main([*line, "--force"]) == 2
    assert "holds more/00009.png" in capsys.readouterr().err
    assert (out / "more" / "00009.png").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "in.json", "out"]


def test_project_folder_is_converted(tmp_path):
    folder = draw_folder(tmp_path / "clip")
    with closing(open_session(folder)) as session:
        draw(session, 0, 1, 2)
        run_job(session, 0, last=6)
        editing.ChangeObject(2, name="box", class_name="car").run(session.document)
        editing.MarkAbsent(5, 2).run(session.document)
        shown = {index: session.document.snapshot.labels(index) for index in range(7)}
    line = [str(tmp_path / "clip.aotlab"), str(tmp_path / "out.json"), "--to", "coco", "--video", str(folder)]
    assert main(line) == 0
    info = VideoInfo("clip", (HEIGHT, WIDTH), CLIP_LENGTH)
    found = read_annotations(tmp_path / "out.json", info)
    assert found.class_names == {1: "object", 2: "car"}
    assert [{**region.attributes} for region in found.frames[0]] == [{}, {"name": "box"}]
    for index, labels in shown.items():
        np.testing.assert_array_equal(found.mask(index), labels)
    assert max(found.frames) == 6


@pytest.mark.parametrize("name", ["in_classes.json", "in.txt"])
def test_input_is_not_replaced_by_either_file(video, tmp_path, name, capsys):
    masks = tmp_path / name
    find_mask_writer("coco").write(masks, sample_annotations(), VIDEO)
    content = masks.read_bytes()
    line = [str(masks), str(tmp_path / "in.txt"), "--to", "mots", "--video", str(video), "--force"]
    assert main(line) == 2
    assert f"would replace the input {masks}" in capsys.readouterr().err
    assert masks.read_bytes() == content


def test_merged_set_does_not_replace_its_videos(tmp_path, capsys):
    results, out = write_results(tmp_path, ["a", "b"]), tmp_path / "set"
    assert merge(results, out, to="masks") == 0
    video = out / "train" / "JPEGImages" / "b"
    change_record(results / "b", video=str(video))
    (results / "a" / "results.json").unlink()
    assert merge(results, out, "--force", to="masks") == 2
    assert f"would replace the input {video}" in capsys.readouterr().err
    assert (video / "00000.png").is_file()


def test_output_in_capitals_is_written(video, tmp_path):
    assert main(sample_line(tmp_path / "OUT.XML", "cvat", video)) == 0
    assert (tmp_path / "OUT.XML").is_file()


def test_output_needs_a_name(video, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(sample_line(".", "masks", video)) == 2
    assert "give the name of a file or folder to write" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Makefile", "out.txt", "out.mp4"])
def test_output_without_its_suffix_rejected(video, tmp_path, name, capsys):
    (tmp_path / "Makefile").write_text("mine")
    assert main([*sample_line(tmp_path / name, "coco", video, "cvat"), "--force"]) == 2
    assert "unsupported extension; give one that ends in .json" in capsys.readouterr().err
    assert not (tmp_path / "out.txt").exists()
    assert (tmp_path / "Makefile").read_text() == "mine"


@pytest.mark.parametrize(("out", "more"), [
    ("clips.csv", ["--to", "coco", "--merge"]),
    ("film.mp4", ["--to", "masks"]),
    ("notes.txt", ["--to", "coco"]),
    ("film.mp4", ["--to", "cvat"]),
    ("photos", ["--to", "coco"]),
])  # fmt: skip
def test_force_keeps_files_of_another_kind(tmp_path, out, more):
    results = write_results(tmp_path, ["a", "b"])
    source = [str(results)] if "--merge" in more else [str(results / "a"), "--video", str(tmp_path / "videos/a")]
    path = tmp_path / out
    if path.suffix:
        path.write_text("mine")
    else:
        path.mkdir()
    assert main([*source, str(path), *more, "--force"]) == 2
    assert path.read_text() == "mine" if path.suffix else path.is_dir()


def test_videos_are_merged_and_split_to_coco(tmp_path):
    results, out = write_results(tmp_path, ["a", "b", "c"]), tmp_path / "set"
    assert merge(results, out, "--split", "0.7") == 0
    for part, names in (("train", "ac"), ("val", "b")):
        images = json.loads((out / f"{part}.json").read_text())["images"]
        expected = [f"{name}/{index:05d}.png" for name in names for index in range(CLIP_LENGTH)]
        assert sorted(image["file_name"] for image in images) == expected
        assert all((out / part / "images" / name).is_file() for name in expected)
        for name in names:
            found = read_annotations(out / f"{part}.json", VideoInfo(name, (HEIGHT, WIDTH), CLIP_LENGTH))
            for index in range(CLIP_LENGTH):
                np.testing.assert_array_equal(found.mask(index), truth(index))


def test_videos_with_masks_of_a_folder_are_merged(tmp_path, capsys):
    videos, out = tmp_path / "videos", tmp_path / "set"
    for name in "ab":
        video = draw_folder(videos / name)
        Image.new("RGB", (WIDTH, HEIGHT), (ord(name), 0, 0)).save(video / "00011.png")  # no copies
        with closing(open_session(video)) as session:
            draw(session, 2, 1, 2)
            editing.ChangeObject(2, class_name="dish").run(session.document)
    draw_folder(videos / "c")
    assert merge(videos, out, "--split", "0.5") == 0
    assert "1 video in train, 1 in val, 2 classes; no masks, and left out: c" in capsys.readouterr().out
    tree = json.loads((out / "train.json").read_text())
    assert {each["name"] for each in tree["categories"]} == {"dish", "object"}
    assert [image["file_name"] for image in tree["images"]] == ["b/00002.png"]
    found = read_annotations(out / "train.json", VideoInfo("b", (HEIGHT, WIDTH), CLIP_LENGTH))
    np.testing.assert_array_equal(found.mask(2), truth(2))


def test_one_video_is_not_in_train_and_val(tmp_path, capsys):
    results = write_results(tmp_path, ["a", "b", "c"])
    for name in "ab":
        change_record(results / name, inputs={"video": {"name": name, **digest_video(tmp_path / "videos" / name)}})
    assert merge(results, tmp_path / "set", "--split", "0.7") == 2
    assert "a and b: copies of one video, one in train and one in val" in capsys.readouterr().err
    assert merge(results, tmp_path / "set") == 0


def test_copies_of_an_annotated_video_stay_in_one_part(tmp_path, capsys):
    for name in "ab":
        with closing(open_session(draw_folder(tmp_path / "videos" / name))) as session:
            draw(session, 2, 1)
            session.document.set_done(True)
    assert merge(tmp_path / "videos", tmp_path / "set", "--split", "0.5") == 2
    assert "a and b: copies of one video" in capsys.readouterr().err
    assert merge(tmp_path / "videos", tmp_path / "set") == 0


@pytest.mark.parametrize("name", ["figure.png", "figure.mp4"])
def test_results_without_a_list_are_used_beside_other_files(tmp_path, name):
    results, out = write_results(tmp_path, ["a", "b"]), tmp_path / "set"
    (results / name).touch()
    assert merge(results, out, "--split", "0.5") == 0
    assert export_clips([str(results)]) == 0
    assert [clip.name for clip in find_clips(results)] == ["a", "b"]


def test_results_in_their_video_do_not_replace_it(tmp_path):
    results = write_results(tmp_path, ["a"])
    change_record(results / "a", video=str(results))
    Image.new("RGB", (4, 4)).save(results / "00000.png")
    assert find_clips(results) == []


def test_video_left_out_does_not_change_the_split(tmp_path, capsys):
    names = [f"clip{number}" for number in range(6)]
    results, parts = write_results(tmp_path, names), []
    for left_out in (None, "clip0", "clip5"):
        if left_out:
            change_record(results / left_out, status="unfinished")
        out = tmp_path / f"without {left_out}"
        assert merge(results, out, "--split", "0.6") == bool(left_out)
        parts.append({folder.name for folder in (out / "val" / "images").iterdir()})
    assert parts == [{"clip1", "clip4"}] * 3
    for name in parts[0]:
        change_record(results / name, status="unfinished")
    assert merge(results, tmp_path / "o", "--split", "0.6") == 2
    assert "no usable video for val; clip0, clip1" in capsys.readouterr().err


def test_classes_of_the_record_name_masks(tmp_path):
    results, out = write_results(tmp_path, ["a", "b"]), tmp_path / "set"
    change_record(results / "a", classes=ObjectClasses({1: "cat", 2: "dog"}))
    change_record(results / "b", classes=ObjectClasses({1: "dog"}))
    assert merge(results, out, "--split", "0.5") == 0
    trees = [json.loads((out / f"{part}.json").read_text()) for part in ("train", "val")]
    assert [tree["categories"] for tree in trees] == [trees[0]["categories"]] * 2
    names = {category["id"]: category["name"] for category in trees[0]["categories"]}
    found = [{names[each["category_id"]] for each in tree["annotations"]} for tree in trees]
    assert found == [{"cat", "dog"}, {"dog", "object"}]
    alone, video = tmp_path / "a.json", tmp_path / "videos" / "a"
    assert main([str(results / "a"), str(alone), "--to", "coco", "--video", str(video)]) == 0
    categories = json.loads(alone.read_text())["categories"]
    assert {each["name"] for each in categories} == {"cat", "dog"}


def test_classes_in_different_letter_case_are_not_merged(tmp_path, capsys):
    results, out = write_results(tmp_path, ["a", "b"]), tmp_path / "set"
    change_record(results / "a", classes=ObjectClasses({1: "Dog"}))
    change_record(results / "b", classes=ObjectClasses({2: "dog"}))
    assert merge(results, out, to="masks") == 2
    assert "classes 'Dog' (of a) and 'dog' (of b) differ only in letter case" in capsys.readouterr().err
    assert not out.exists()


def test_merged_videos_keep_their_shared_class_ids(tmp_path, caplog):
    results, out, shared = write_results(tmp_path, ["a"]), tmp_path / "set", {"cat": 1, "block": 2, "bus": 3}
    given, info = tmp_path / "a.json", VideoInfo("a", (HEIGHT, WIDTH), CLIP_LENGTH)
    annotations = read_annotations(results / "a" / "masks", info)
    annotations.class_names, annotations.classes = {1: "bus", 2: "block"}, {"bus": 7, "block": 2}
    find_mask_writer("coco").write(given, annotations, info)
    classes = ObjectClasses(annotations.class_names, annotations.classes)
    change_record(results / "a", classes=classes, masks=[str(given)])
    (results / "classes.json").write_text(json.dumps(shared))
    assert merge(results, out) == 0
    categories = json.loads((out / "train.json").read_text())["categories"]
    assert {category["name"]: category["id"] for category in categories} == {"block": 2, "bus": 3}
    assert json.loads((results / "classes.json").read_text()) == shared
    assert not caplog.text


def test_unfinished_and_broken_videos_are_left_out(tmp_path, capsys):
    results, out = write_results(tmp_path, ["a", "b", "c", "d"]), tmp_path / "set"
    change_record(results / "a", status="unfinished")
    (results / "b" / "results.json").write_text("{")
    change_record(results / "c", video=str(tmp_path / "gone.mp4"))
    assert merge(results, out) == 1
    assert [folder.name for folder in (out / "train" / "images").iterdir()] == ["d"]
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "error: a: not finished; left out"
    assert second.startswith(f"error: b: {results}/b/results.json: ")
    assert "gone.mp4" in third
    change_record(results / "d", status="unfinished", video=str(tmp_path / "gone.mp4"))
    assert merge(results, out, "--force") == 2
    assert re.search("no usable video for train; a, d: not finished; .*; b: .*results.json: ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda masks: (masks / "00003.png").unlink(), "lacks 1 of {all} masks; run"),
        (lambda masks: (masks / "00003.png").write_bytes(b"cut"), "00003.png: not readable"),
        (lambda masks: write_mask(masks / "00003.png", truth(0)[:9]), "00003.png: 60×9, but its frame is 60×40"),
        (lambda masks: write_mask(masks / "other.png", truth(0)), "'other.png', but the frames are"),
        (
            lambda masks: change_record(masks.parent, entries=Results.read(masks.parent).entries[:5]),
            "has a mask of frame 5, which was not tracked; remove it",
        ),
    ],
)  # fmt: skip
def test_results_with_masks_that_were_not_tracked_are_left_out(tmp_path, capsys, change, words):
    results = write_results(tmp_path, ["a", "b"])
    change(results / "a" / "masks")
    assert merge(results, tmp_path / "set") == 1
    line = capsys.readouterr().err.strip()
    assert line.startswith("error: a: ")
    assert words.format(n=CLIP_LENGTH - 1, all=CLIP_LENGTH) in line
    with pytest.raises(InputError, match=re.escape(words.format(n=CLIP_LENGTH - 1, all=CLIP_LENGTH))):
        open_document(results / "a")


def test_corrections_are_merged_after_their_export_only(tmp_path, capsys):
    results = write_results(tmp_path, ["a", "b"])

    def remerge(code):
        assert merge(results, tmp_path / "set", "--force", to="masks") == code
        output = capsys.readouterr()
        return output.err + output.out

    session = open_session(results / "a")
    draw(session, 3, 1)
    editing.MarkAbsent(3, 2).run(session.document)
    assert f"error: a: its corrected masks are not exported; run aotlab export-clips {results}; left out" in remerge(1)
    session.close()
    assert export_clips([str(results)]) == 0
    assert "2 videos in train" in remerge(0)
    assert (read_mask(tmp_path / "set/train/Annotations/a/00003.png") != 2).all()
    (results / "a/masks/00004.png").unlink()
    assert "error: a: masks/00004.png, an exported mask, is missing; run aotlab export-clips" in remerge(1)


def export_until_killed(results, function):
    kill_at_call(function)
    export_clips([str(results)])


@pytest.mark.parametrize(
    ("function", "status", "text"),
    [
        ("aotlab_video.Results.write", 1, "error: a: its corrected masks are not exported"),
        ("aotlab_studio.utils.files.move_entries", 0, "2 videos in train"),  # the rest is moved
    ],
)
def test_killed_export_is_merged_whole_or_not_at_all(tmp_path, capsys, function, status, text):
    results = write_results(tmp_path, ["a", "b"])
    with closing(open_session(results / "a")) as session:
        editing.ChangeObject(1, class_name="cat").run(session.document)
        session.document.set_done(True)
    assert not survives_in_subprocess(export_until_killed, results, function)
    assert merge(results, tmp_path / "set") == status
    assert text in "".join(capsys.readouterr())


def test_failed_export_keeps_the_record_of_tracking(tmp_path):
    results = write_results(tmp_path, ["a"])
    session, before = open_session(results / "a"), read_results(results / "a")
    editing.ChangeObject(1, class_name="cat").run(session.document)
    session.document.set_done(True)
    session.close()
    (results / "a" / "masks" / "own.txt").touch()
    assert export_clips([str(results)]) == 1
    assert read_results(results / "a") == before


def test_moved_videos_are_found(tmp_path, capsys):
    results, moved = write_results(tmp_path / "old", ["a", "b"]), tmp_path / "new"
    change_record(results / "b", masks=[f":1={tmp_path}/old/videos/b/00000.png"])
    (tmp_path / "old").rename(moved)
    assert read_results(moved / "batch" / "b").masks == [f":1={moved}/videos/b/00000.png"]
    change_record(moved / "batch" / "b", masks=[])
    assert merge(moved / "batch", moved / "set") == 0
    open_document(moved / "batch" / "a").close()
    (moved / "videos" / "b").rename(moved / "b")
    assert merge(moved / "batch", moved / "set", "--force") == 1
    words = f"its video is missing, at {moved}/videos/b and next to the results; restore it"
    assert words in capsys.readouterr().err


def test_class_without_an_object_is_not_merged(tmp_path):
    results, out = write_results(tmp_path, ["a"]), tmp_path / "set"
    change_record(results / "a", classes=ObjectClasses({1: "cat", 2: "cat"}))
    (results / "classes.json").write_text('{"kitten": 1, "cat": 2}')
    assert merge(results, out, to="yolo") == 0
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "unused 0", 1: "cat"}


def test_videos_are_merged_and_split_to_yolo(tmp_path):
    results, out = write_results(tmp_path, ["a", "b"]), tmp_path / "set"
    assert merge(results, out, "--split", "0.9", to="yolo") == 0
    settings = yaml.safe_load((out / "data.yaml").read_text())
    assert settings == {"train": "train/images", "val": "val/images", "names": {0: "object"}}
    for part, name in (("train", "a"), ("val", "b")):
        images = sorted((out / part / "images" / name).iterdir())
        labels = sorted((out / part / "labels" / name).iterdir())
        assert [path.stem for path in images] == [path.stem for path in labels]
        assert len(labels) == CLIP_LENGTH
        assert all(len(path.read_text().splitlines()) == 2 for path in labels)


def test_videos_are_merged_and_split_to_training_data(tmp_path, capsys):
    results, out = write_results(tmp_path, ["a", "b", "c"]), tmp_path / "set"
    assert merge(results, out, "--split", "0.7", to="masks") == 0
    assert "2 videos in train, 1 in val" in capsys.readouterr().out
    (listed,) = read_youtube_vos(out, "val")  # others train with these classes
    assert [(item.object_id, len(item.frames)) for item in listed.objects] == [(1, CLIP_LENGTH), (2, CLIP_LENGTH)]
    assert read_metadata(out / "val" / "meta.json")["b"]["2"]["category"] == "object"
    for part, names in (("train", ["a", "c"]), ("val", ["b"])):
        messages = {finding.message for finding in check_folder(out / part, "video").findings}
        assert messages <= {"same frames as a; remove one of them"}  # as they are drawn alike
        data = open_videos(out / part, SourceConfig(path=".", kind="video"))
        assert [video.name for video in data.videos] == names
        for video in find_benchmark("folder").open_videos(out / part):
            assert [len(video.frames), len(video.annotations)] == [CLIP_LENGTH, CLIP_LENGTH]
            np.testing.assert_array_equal(np.array(Image.open(video.annotations[2])), truth(2))


def test_objects_begin_on_their_first_visible_frame(tmp_path):
    with closing(open_session(draw_folder(tmp_path / "videos" / "a"))) as session:
        draw(session, 0, 1)
        draw(session, 2, 2)
        editing.AddObject().run(session.document)
        for frame, object_id in ((0, 2), (1, 3), (5, 2)):
            editing.MarkAbsent(frame, object_id).run(session.document)
        session.document.set_done(True)
    with closing(open_session(draw_folder(tmp_path / "videos" / "without_objects"))) as session:
        editing.AddObject().run(session.document)
        editing.MarkAbsent(0, 1).run(session.document)
        session.document.set_done(True)
    assert merge(tmp_path / "videos", tmp_path / "set", to="masks") == 0
    (video,) = read_youtube_vos(tmp_path / "set", "train")
    frames = {item.object_id: item.frames for item in video.objects}
    assert frames == {1: ("00000",), 2: ("00002", "00005")}  # object 3 is nowhere visible


@pytest.mark.parametrize(("more", "words"), [
    (
        ["--to", "cvat", "--merge"],
        "--to cvat: holds one video; with --merge give one of coco, yolo, masks",
    ),
    (["--to", "coco"], "give --video for the masks of one video, or --merge"),
    (["--to", "coco", "--merge"], "no usable video for train; give the --output of track --jobs"),
    (["--to", "coco", "--split", "0.5", "--video", "x"], "--split: applies to --merge only"),
    (["--to", "coco", "--merge", "--mask-format", "soft"], "--mask-format: applies to --video only; remove it"),
    (["--to", "coco", "--split", "67", "--merge"], "--split 67: expected a fraction above 0 and at most 1"),
])  # fmt: skip
def test_merging_needs_results_and_a_format_for_them(tmp_path, capsys, more, words):
    assert main([str(tmp_path), str(tmp_path / "out"), *more]) == 2
    assert words in capsys.readouterr().err


def test_merging_names_a_missing_folder(tmp_path, capsys):
    assert main([str(tmp_path / "gone"), str(tmp_path / "out"), "--to", "coco", "--merge"]) == 2
    assert "gone: no such folder" in capsys.readouterr().err


def test_results_without_masks_rejected(tmp_path, capsys):
    folder, video = write_results(tmp_path, ["a"]) / "a", tmp_path / "videos/a"
    line = [str(folder), str(tmp_path / "a.json"), "--to", "coco", "--video", str(video)]
    assert main(line) == 0
    shutil.rmtree(folder / "masks")
    assert main([*line, "--force"]) == 2
    assert "a: results without masks; track the video again" in capsys.readouterr().err
