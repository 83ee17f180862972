"""Matching of images to frames by name."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aotlab import InputError, write_mask
from aotlab.sdk import encode_rle
from aotlab_testing.video.named_masks import (
    SIZE,
    check_masks_by_name,
    draw_mark,
    given_names,
    write_files,
    write_format,
)
from aotlab_video import ParsedFile, ParsedRegion, VideoInfo, match_regions
from aotlab_video.masks.matching import match_frames, select_images
from aotlab_video.sources.numbers import trailing_numbers

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


@pytest.mark.parametrize("names", [
    ["shot.-010", "shot.-002", "shot.0000", "shot.0010"], ["take_-0012", "take_-0002", "take_-0001"], ["-2", "-1", "0"],
])  # fmt: skip
def test_minus_signs_after_separators_are_part_of_numbers(names):
    numbers = trailing_numbers(names)
    assert numbers == sorted(numbers)
    assert numbers[0] < 0


@pytest.mark.parametrize("names", [["a-0001", "a-0002"], ["take (1)-1", "take (1)-2"], ["1.-2a", "1.-3a"]])
def test_other_hyphens_before_numbers_are_separators(names):
    assert min(trailing_numbers(names), default=0) >= 0


def test_masks_of_negative_numbers_match_a_video_file():
    names = [f"shot.{number:04d}.png" for number in range(-2, 2)]
    assert match_frames([(None, name) for name in names], None, start_number=-2) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", [
    "3f2a1bcd-{:05d}.jpg", "{:04d}.jpg", "{:06d}.jpg", "FRAME_{:05d}.jpg", "mask_{:04d}.png",
    "{:05d}_jpg.rf.0a1b2c{}.jpg", "other.{:05d}.jpg", "{}.jpg",
])  # fmt: skip
def test_names_of_other_frames_rejected(name):
    frames = [f"frame_{index:05d}" for index in range(1, 6)]
    names = [name.format(index, index) for index in (1, 2)]
    with pytest.raises(InputError, match=r"2 of its 2 images are not frames of clip: .*'frame_00001'"):
        match_frames([(None, name) for name in names], frames, video="clip")


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_unicode_form_and_case_are_explained(monkeypatch, platform):
    monkeypatch.setattr("sys.platform", platform)
    name = unicodedata.normalize("NFD", "é1.jpg")
    with pytest.raises(InputError, match="differ in letter case or Unicode form"):
        match_frames([(None, name)], [unicodedata.normalize("NFC", "é1")], video="clip")


def test_macos_ignores_the_unicode_form(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    name = unicodedata.normalize("NFD", "é1.jpg")
    assert match_frames([(None, name)], [unicodedata.normalize("NFC", "é1")]) == [0]


def test_folders_separate_images_of_several_videos():
    names = ["bear/00000.jpg", "bus/00000.jpg", "bus/00001.jpg"]
    for frames in (None, ["00000", "00001"]):
        assert select_images(names, frames, "bus") == names[1:]
    for frames in (None, ["00000", "00001"]):
        with pytest.raises(InputError, match="in the folders 'bear', 'bus'"):
            select_images(names, frames, "cat")


def test_two_images_of_one_frame_rejected():
    for names, frame_names in ((("a.jpg", "b.jpg"), None), (("1.jpg", "1.png"), ("1", "2"))):
        regions = [ParsedRegion(0, encode_rle(draw_mark(0) == 1), image=name) for name in names]
        with pytest.raises(InputError, match=f"'{names[0]}' and '{names[1]}' both belong to frame 0"):
            match_regions(ParsedFile(regions), VideoInfo("clip", SIZE, 5, frame_names=frame_names))


@pytest.mark.parametrize(("names", "numbers"), [
    (["frame00012.jpg", "frame00007.jpg"], [12, 7]), (["a0003.png", "a0000.png"], [3, 0]), (["photo.png"], [0]),
    (["shot.0000", "shot.0004"], [0, 4]), (["5.png", "4.png"], [5, 4]),
])  # fmt: skip
def test_images_of_frames_without_names_count_from_0(names, numbers):
    assert match_frames([(None, name) for name in names], None) == numbers


@pytest.mark.parametrize(("images", "start_number", "indices"), [
    ([(None, "00001"), (None, "00003")], 0, [1, 3]), ([(None, "00001"), (None, "00003")], 1, [0, 2]),
    ([(1, ""), (8, "")], 1, [0, 7]), ([(None, "a_100"), (None, "a_103")], 100, [0, 3]),
    ([(0, "a_00000"), (1, "a_00005")], 0, [0, 5]), ([(4, "x.png"), (2, "y.png")], None, [4, 2]),
])  # fmt: skip
def test_start_number_of_video_is_first_frame(images, start_number, indices):
    assert match_frames(images, None, start_number=start_number) == indices


@pytest.mark.parametrize("images", [
    [(None, "00001.png"), (None, "00008.png")], [(1, ""), (4, "")], [(1, "a_1.jpg")],
    [(None, "1.png"), (None, "3.png"), (None, "2.png")],
])  # fmt: skip
def test_numbers_from_1_are_asked_about(images):
    with pytest.raises(InputError, match=r"frame 1 and no frame 0, .*--mask-start-number 1 .*--mask-start-number 0"):
        match_frames(images, None)
    assert match_frames(images, None, counts_from_zero=True)[0] == 1


@pytest.mark.parametrize("images", [
    [(0, "a_00000"), (1, "a_00005")], [(0, "a_00001"), (1, "a_00002")], [(5, "a_00004")], [(0, "a_1"), (1, "a_0")],
])  # fmt: skip
def test_number_and_name_that_disagree_rejected(images):
    with pytest.raises(InputError, match=r"'a_.*' is number \d in the file, but \d+ in its name; give"):
        match_frames(images, None)


def test_names_without_a_number_rejected():
    with pytest.raises(InputError, match="'z', 'b' do not end in different frame numbers"):
        match_frames([(None, "z.png"), (None, "b.png")], None)


@pytest.mark.parametrize(("names", "selected"), [
    (["bus_00000.jpg", "cat_00003.jpg"], ["bus_00000.jpg"]), (["bus-f-0.jpg", "cat-f-0.jpg"], ["bus-f-0.jpg"]),
    (["bus_0.png", "bus_2_0.png"], ["bus_0.png"]), (["cat_0.png", "cat_1.png"], ["cat_0.png", "cat_1.png"]),
    ([Path("bus_1.png"), Path("cat_0.png")], [Path("bus_1.png")]), (["x.png", "y.png"], ["x.png", "y.png"]),
    (["v/bus_1.png", "v/cat_1.png"], ["v/bus_1.png"]),
])  # fmt: skip
def test_prefix_of_names_is_the_video_or_common(names, selected, caplog):
    assert select_images(names, None, "bus") == selected
    assert ("left out: 1 image of other videos than bus" in caplog.text) == (len(selected) < len(names))


@given(
    frames=st.sets(st.integers(0, 7), min_size=1), start=st.integers(0, 1), prefix=st.sampled_from(["", "bus_", "f-"]),
    others=st.sets(st.integers(0, 9)), numbers=st.sampled_from([None, 0, 1]),
    upload=st.sampled_from(["", "a1b2c3{:02d}-"]),
)  # fmt: skip
def test_masks_of_a_video_file_are_right_or_rejected(frames, start, prefix, others, numbers, upload):
    """Names that count from 0 or 1, with numbers in the file or not, images of another video, and uploads."""
    images = {
        (None if numbers is None else frame + numbers, f"{upload.format(frame)}{prefix}{frame + start:05d}.png"): frame
        for frame in frames
    }
    names = [name for _, name in images]
    foreign = [f"{upload.format(number)}cat_{number}.png" for number in others]
    try:
        selected = select_images([*names, *foreign], None, "bus")
        found = match_frames([image for image in images if image[1] in selected], None)
    except InputError:
        assert start == 1 or numbers == 1 or (foreign and prefix != "bus_") or frames & {0, 1} == {1}
        return
    assert not set(selected) & set(foreign)
    if start == 0 or 1 in {frame + start for frame in frames} or numbers == 0:
        assert found == [*images.values()]


def test_digits_of_uploads_are_ignored_but_not_dates():
    names = ["0a1b2c3d-bus_00000.jpg", "1f2e3d4c-cat_00003.jpg"]
    assert select_images(names, None, "bus") == names[:1]
    assert match_frames([(None, "12345678-00001.jpg")], ["00000", "00001"]) == [1]
    assert match_frames([(None, "0a1b2c3d-00001.jpg")], ["00001", "0a1b2c3d-00001"]) == [1]
    with pytest.raises(InputError, match="several videos"):
        select_images(["20240101-00000.jpg", "20240102-00001.jpg"], None, "bus")


def test_names_of_several_other_videos_rejected():
    with pytest.raises(InputError, match=r"named 'bear', 'cat' and a number, like those of several videos; give"):
        select_images(["bear_0.jpg", "cat_1.jpg"], None, "bus")
    with pytest.raises(InputError, match="several videos"):
        select_images(["bus_2_0.jpg", "bus_3_0.jpg"], None, "bus")


def test_random_names_are_not_counted():
    with pytest.raises(InputError, match="do not end in different frame numbers"):
        match_frames([(None, "1_jpg.rf.0a1b17.jpg"), (None, "2_jpg.rf.0a1b2c3.jpg")], None)


def test_single_frame_beyond_the_video_is_rejected():
    region = ParsedRegion(99, encode_rle(draw_mark(1) == 1))
    with pytest.raises(InputError, match=r"is for frame 99, but .* frames 0 to 4; .*--mask-start-number 99 if"):
        match_regions(ParsedFile([region]), VideoInfo("clip", SIZE, 5))
    assert list(match_regions(ParsedFile([region]), VideoInfo("clip", SIZE, 5), 2).frames) == [2]
