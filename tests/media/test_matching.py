"""Matching of images to frames by name, and natural order."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

from aotlab import InputError, write_mask
from aotlab.media.matching import image_stem, match_frames, natural_sort, select_images
from aotlab.sdk import ParsedFile, ParsedRegion, VideoInfo, encode_rle, match_regions
from tests.media.named_masks import (
    SIZE,
    check_masks_by_name,
    draw_mark,
    given_names,
    write_files,
    write_format,
)

WRITERS = {
    "masks": write_files(lambda path, _, mask: write_mask(path, mask), "{stem}.png"),
    "objects": write_files(lambda path, _, mask: Image.fromarray(mask * 255).save(path), "1/{stem}.png"),
    "coco": write_format("coco", '"frame_id"', '"none"'),
    "coco_numbers": write_format("coco"),
}


@settings(max_examples=settings().max_examples // 6)  # for each of the formats
@given_names
@pytest.mark.parametrize("name", WRITERS)
def test_mask_of_a_frame_is_found_by_its_name(tmp_path_factory, name, frames, others, drawn):
    check_masks_by_name(tmp_path_factory.mktemp("drawn"), WRITERS[name], frames, others, drawn)


def test_names_in_natural_order():
    assert natural_sort(["10.jpg", "9.jpg", "2-a.jpg", "2.jpg"]) == ["2.jpg", "2-a.jpg", "9.jpg", "10.jpg"]
    assert natural_sort(["1.png", "01.png"]) == natural_sort(["01.png", "1.png"]) == ["01.png", "1.png"]
    assert natural_sort(["1" * 5000, "007", "8", "0"]) == ["0", "007", "8", "1" * 5000]
    assert natural_sort([Path("a/11.png"), Path("a/2.png")]) == [Path("a/2.png"), Path("a/11.png")]


@pytest.mark.parametrize("name", [
    "3f2a1bcd-{:05d}.jpg", "{:04d}.jpg", "{:06d}.jpg", "FRAME_{:05d}.jpg", "mask_{:04d}.png",
    "{:05d}_jpg.rf.0a1b2c{}.jpg", "other.{:05d}.jpg", "{}.jpg",
])  # fmt: skip
def test_names_of_other_frames_rejected(name):
    frames = [f"frame_{index:05d}" for index in range(1, 6)]
    names = [name.format(index, index) for index in (1, 2)]
    with pytest.raises(InputError, match=r"2 of its 2 images are not frames of clip: .*'frame_00001'"):
        match_frames(names, frames, video="clip")


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_unicode_form_and_case_are_explained(monkeypatch, platform):
    monkeypatch.setattr("sys.platform", platform)
    name = unicodedata.normalize("NFD", "é1.jpg")
    with pytest.raises(InputError, match="differ in letter case or Unicode form"):
        match_frames([name], [unicodedata.normalize("NFC", "é1")], video="clip")


def test_macos_ignores_the_unicode_form(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    name = unicodedata.normalize("NFD", "é1.jpg")
    assert match_frames([name], [unicodedata.normalize("NFC", "é1")]) == [0]


def test_folders_separate_images_of_several_videos():
    names = ["bear/00000.jpg", "bus/00000.jpg", "bus/00001.jpg"]
    for frames in (None, ["00000", "00001"]):
        assert select_images(names, frames, "bus") == names[1:]
    for frames in (None, ["00000", "00001"]):
        with pytest.raises(InputError, match="in the folders 'bear', 'bus'"):
            select_images(names, frames, "cat")


def test_two_images_of_one_frame_rejected():
    for names, frame_names in ((("1.jpg", "2.jpg"), None), (("1.jpg", "1.png"), ("1", "2"))):
        regions = [ParsedRegion(0, encode_rle(draw_mark(0) == 1), image=name) for name in names]
        with pytest.raises(InputError, match=f"'{names[0]}' and '{names[1]}' both belong to frame 0"):
            match_regions(ParsedFile(regions), VideoInfo("clip", SIZE, 5, frame_names=frame_names))


@pytest.mark.parametrize(("names", "length", "numbers"), [
    (["frame00012.jpg", "frame00007.jpg"], 20, [12, 7]), (["a-0003.png", "b-0001.png"], 9, [3, 1]),
    (["photo.png"], 9, [0]), (["z.png", "b.png"], 2, [1, 0]), (["shot.0000", "shot.0004"], 9, [0, 4]),
])  # fmt: skip
def test_images_of_frames_without_names_are_counted(names, length, numbers):
    assert match_frames(names, None, length=length) == numbers


def test_random_names_are_not_counted():
    with pytest.raises(InputError, match="do not end in different frame numbers"):
        match_frames(["1_jpg.rf.0a1b17.jpg", "2_jpg.rf.0a1b2c3.jpg"], None, length=9)


def test_single_frame_beyond_the_video_is_rejected():
    region = ParsedRegion(99, encode_rle(draw_mark(1) == 1))
    with pytest.raises(InputError, match="is for frame 99, but the video has frames 0 to 4"):
        match_regions(ParsedFile([region]), VideoInfo("clip", SIZE, 5))
    assert list(match_regions(ParsedFile([region]), VideoInfo("clip", SIZE, 5), 2).frames) == [2]


@pytest.mark.parametrize(("name", "stem"), [
    ("shot.0004", "shot.0004"), ("shot.0004.png", "shot.0004"), ("a/b/shot.0004.JPG", "shot.0004"),
    ("https://host/shot.0004.jpg?size=2", "shot.0004"), ("00004", "00004"), ("00004.txt", "00004"),
    ("/data/local-files/?d=clip/00004.jpg", "00004"), ("/data/local-files/?d=00004.jpg", "00004"),
])  # fmt: skip
def test_stem_of_dotted_name_keeps_its_number(name, stem):
    assert image_stem(name) == stem
