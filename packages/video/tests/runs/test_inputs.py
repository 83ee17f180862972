"""Frames and masks given for a video: frame numbers, ranges, mask files."""

import json
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.masks import write_mask
from aotlab.media.prompt import Prompt
from aotlab.media.rle import encode_rle
from aotlab.sdk import build
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import draw_box, write_plain
from aotlab_testing.marks import slow
from aotlab_testing.numbered_videos import cut_end
from aotlab_testing.plate_files import write_film
from aotlab_testing.video_files import set_frame_count, write_texture
from aotlab_video.masks.regions import Annotations, Region, VideoInfo
from aotlab_video.masks.value_syntax import PromptArgument, parse_frame, parse_removal
from aotlab_video.runs.inputs import FrameSelection, find_gap, load_masks, parse_mask, split_absent
from aotlab_video.runs.job import Job, RunOptions
from aotlab_video.runs.job_list import read_jobs
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.prepare import group_removals, prepare
from aotlab_video.sources.decoding import decode
from aotlab_video.sources.timecode import Timecode
from aotlab_video.sources.video import VideoFrames, open_frames

SIZE, LENGTH = (24, 32), 5
labels = partial(draw_box, SIZE, (4, 12), (6, 20))
BOX = Prompt(box=(2, 2, 9, 9))


@pytest.fixture
def source(tmp_path):
    return open_frames(write_plain(tmp_path / "clip", LENGTH, SIZE, first=10))


@pytest.fixture
def video(source):
    return VideoInfo.from_source(source)


@pytest.fixture
def masks(tmp_path, monkeypatch):
    """The folder with masks is the current one: a folder of masks for frames 1 and 3, single and white ones."""
    monkeypatch.chdir(tmp_path)
    several = ("several/00011.png", 1), ("several/00013.png", 1)
    for name, object_id in (("late.png", 3), ("first.png", 2), *several):
        write_mask(tmp_path / name, labels(object_id))
    for name, mode, shift in (("cat.png", "L", 0), ("dog.png", "1", 10)):
        Image.fromarray(np.roll(labels(255), shift, axis=0)).convert(mode).save(tmp_path / name)


def test_stated_absence_is_not_a_mask(video):
    masks = Annotations(SIZE)
    masks.add_mask(0, labels(1))
    masks.frames[2] = [Region(1, encode_rle(labels(0) > 0))]
    masks.frames[0] += [Region(4, encode_rle(labels(0) > 0))]
    assert split_absent(masks) == {0: [4], 2: [1]}
    assert [*masks.frames] == [0]


def test_boxes_of_a_file_are_prompts_of_a_run(source, masks, tmp_path):
    image = {"height": SIZE[0], "width": SIZE[1]}
    boxes = [{"image_id": n, "track_id": 1 + n, "category_id": 1, "bbox": [2, 3, 9, 9]} for n in (0, 2)]
    masks = [{"image_id": 2, "track_id": 2, "segmentation": [[2, 3, 16, 3, 16, 15, 2, 15]]}]
    images = [{"id": n, "frame_id": n, "file_name": f"{n + 10:05d}.png", **image} for n in (0, 2)]
    categories = [{"id": 1, "name": "car"}]
    (tmp_path / "a.json").write_text(
        json.dumps({"images": images, "categories": categories, "annotations": boxes + masks})
    )
    run = prepare(Job("clip", "clip", ("a.json",)), tmp_path / "results", LazyTracker(TrackerOptions()), RunOptions())
    assert {frame: [*prompts] for frame, prompts in run.prompts.items()} == {0: [1], 2: [3]}
    assert (run.prompts[0][1].box, run.masks.class_names[1]) == ((2, 3, 9, 9), "car")
    assert [*run.masks] == [2]


def write_coco(path, name, frame=0):
    """Write a file with one object of a class."""
    polygon = {"category_id": 1, "image_id": 1, "segmentation": [[2, 3, 16, 3, 16, 15, 2, 15]]}
    image = {"id": 1, "frame_id": frame, "height": SIZE[0], "width": SIZE[1]}
    tree = {"images": [image], "annotations": [polygon], "categories": [{"id": 1, "name": name}]}
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(("names", "problem"), [
    ("0001 0002 0005", "2 frames missing, the first after 0002, so 0005 is frame 2"),
    ("x_000 x_005 x_010 x_020", "1 frame missing, the first after x_010, so x_020 is frame 3"),
])  # fmt: skip
def test_gaps_are_found_in_names(names, problem):
    assert find_gap(names.split()).problem == problem


@pytest.mark.parametrize(("names", "problem"), [
    ("a.0001 a.0002 b.0001 b.0002", "frames of 2 sequences, such as a.0001 and b.0001"),
    ("a.1 b.1 c.1", "frames of 3 sequences, such as a.1 and b.1"),
])  # fmt: skip
def test_names_of_several_sequences_rejected(names, problem):
    with pytest.raises(InputError, match=problem):
        find_gap(names.split())


@pytest.mark.parametrize("names", [
    "0001 0002 0003", "00000 00005 00010", "0001 0005", "12-00-58 12-00-59 12-01-00 12-01-01", "x1 y2 z1 q7",
    "1699999999123456789 1699999999133456789 1699999999143456799", "000001 000120 000400 000401", "a b c",
])  # fmt: skip
def test_names_of_one_sequence_have_no_problem(names):
    assert find_gap(names.split()) is None


def test_minus_signs_count_in_gaps():
    assert find_gap(["a.-003", "a.-002", "a.-001", "a.0000", "a.0001"]) is None
    assert find_gap(["a.-003", "a.-002", "a.0000", "a.0001"]).problem.startswith(
        "1 frame missing, the first after a.-002"
    )


def test_negative_numbers_of_file_names_select_frames():
    video = VideoInfo("clip", SIZE, 4, frame_names=("a.-002", "a.-001", "a.0000", "a.0001"))
    frames = FrameSelection(video, parse_frame("-1"), 1, by_name=True)
    assert (frames.first, frames.last) == (1, 3)
    assert parse_mask("-2:3=a.png") == (-2, 3, "a.png")
    with pytest.raises(InputError, match="start -1: not in the video, which has frames 0 to 3; -1 is a number of a fi"):
        FrameSelection(video, -1)


def test_two_files_without_ids_are_not_merged(video, masks, tmp_path):
    for frame, name in ((0, "person"), (2, "car")):
        write_coco(tmp_path / f"{name}.json", name, frame)
    with pytest.raises(InputError, match=r"mask car\.json: object 1 is 'car', but 'person'"):
        load_masks(["person.json", "car.json"], video)


@pytest.mark.parametrize("values", [[":1=cat.png", ":2=dog.png"], ["cat.png", "0:2=dog.png"]])
def test_white_masks_with_ids_are_two_objects(video, masks, values):
    found = load_masks(values, video)
    assert list(found) == [0]
    np.testing.assert_array_equal(found[0], labels(1) + np.roll(labels(2), 10, axis=0))
    assert found.objects() == [1, 2]


def test_white_masks_of_one_object_on_two_frames(video, masks):
    found = load_masks(["cat.png", "4=dog.png"], video)
    assert {frame: set(np.unique(found[frame])) for frame in found} == {0: {0, 1}, 4: {0, 1}}


def test_class_name_follows_the_id_of_a_mask(video, masks, tmp_path):
    write_coco(tmp_path / "car.json", "car")
    assert load_masks(["first.png", ":7=car.json"], video).class_names == {7: "car"}


@pytest.mark.parametrize(("value", "frame", "file"), [
    ("C:odd:name.png", None, "C:odd:name.png"),
    ("12:a:b.png", None, "12:a:b.png"),
    ("12:3=b.png", 12, "b.png"),
    ("12=a:b.png", 12, "a:b.png"),
    ("3:2=memory://a.png", 3, "memory://a.png"),
    (r"40=C:\x=y.png", 40, r"C:\x=y.png"),
    ("./40=x.png", None, "./40=x.png"),
])  # fmt: skip
def test_only_a_leading_number_is_a_frame(value, frame, file):
    mask = parse_mask(value)
    assert (mask.frame, mask.value) == (frame, file)


def test_path_with_equals_sign_has_no_frame():
    assert parse_mask(Path("10=first.png")) == Job("a", "a.mp4", Path("10=first.png")).masks[0]
    assert parse_mask(Path("10=first.png")) == (None, None, "10=first.png")


@pytest.mark.parametrize(("values", "within", "expected"), [
    (["first.png"], (), {0: 2}),
    (["first.png"], (2, 3), {2: 2}),
    (["4=late.png", "first.png"], (), {0: 2, 4: 3}),
    (["several"], (), {1: 1, 3: 1}),
    (["several"], (2, 4), {3: 1}),
])  # fmt: skip
def test_masks_are_at_their_frames(video, masks, values, within, expected):
    found = load_masks(values, video, FrameSelection(video, *within))
    assert list(found) == list(expected)
    for frame, object_id in expected.items():
        np.testing.assert_array_equal(found[frame], labels(object_id))
    assert found.get(9) is None


@pytest.mark.parametrize(("values", "within", "words"), [
    (["several", "3=late.png"], (), "frame 3 already has several"),
    (["9=late.png"], (), r"mask 9=late.png: frame 9 is not tracked \(0 to 4\); for object 9 write :9=late.png"),
    (["9:1=late.png"], (), r"mask 9:1=late.png: frame 9 is not tracked \(0 to 4\)$"),
    (["0=late.png"], (1,), r"mask 0=late.png: frame 0 is not tracked \(1 to 4\)$"),
    (["several"], (4,), "no mask is on a tracked frame"),
    (["none.png"], (), "none.png"),
    (["cat.png", "dog.png"], (), "frame 0 already has cat.png; .* one for each object, for example :2=dog.png"),
    (["first.png", "0=late.png"], (), "one for each object, for example 0:2=late.png"),
    ([":4=cat.png", ":4=dog.png"], (), "frame 0 already has cat.png"),
    ([":0=cat.png"], (), "object ids are 1 to 65535"),
    (["both.png", "1:2=both.png"], (), "mask 1:2=both.png: shows objects 1, 2; remove :2"),
])  # fmt: skip
def test_invalid_masks_rejected(video, masks, tmp_path, values, within, words):
    write_mask(tmp_path / "both.png", labels(1) + np.roll(labels(2), 10, axis=0))
    with pytest.raises(InputError, match=words):
        load_masks(values, video, FrameSelection(video, *within))


def test_masks_are_stored_as_run_lengths(video, masks):
    found = load_masks(["first.png"], video)
    assert found[0].dtype == np.uint8
    assert sum(region.rle.nbytes for region in found.frames[0]) < 1000


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(None, None, range(5)), (11, None, range(1, 5)), (11, 13, range(1, 4))]
)
def test_file_names_number_frames(source, start, end, expected):
    frames = FrameSelection(source, start, end, by_name=True)
    assert frames.number(frames.index(12, "mask")) == 12
    assert [index for index, _ in frames.read(source)] == list(expected)
    assert frames.count == len(expected)


@pytest.mark.parametrize(("start", "end", "by_name", "words"), [
    (9, None, False, "start 9: not in the video, which has frames 0 to 4"),
    (None, 5, False, "end 5: not in the video"),
    (3, 2, False, "end 2: before start 3; give a later frame"),
    (3, None, True, "start 3: not in the video, which has frames 10 to 14"),
])  # fmt: skip
def test_invalid_ranges_rejected(source, start, end, by_name, words):
    with pytest.raises(InputError, match=words):
        FrameSelection(source, start, end, by_name=by_name)


def test_range_follows_the_order_of_frames():
    video = VideoInfo("clip", SIZE, 3, frame_names=("a9", "b1", "b2"))
    frames = FrameSelection(video, 9, 2, by_name=True)
    assert (frames.first, frames.last) == (0, 2)
    with pytest.raises(InputError, match="end 9: before start 1"):
        FrameSelection(video, 1, 9, by_name=True)


def test_file_names_of_a_video_file_rejected():
    with pytest.raises(InputError, match=r"clip: not an image folder whose file names end .*; count"):
        FrameSelection(VideoInfo("clip", SIZE, LENGTH), by_name=True)


def test_overlap_of_two_files_is_reported_by_file_names(video, masks, tmp_path, caplog):
    write_mask(tmp_path / "late.png", np.roll(labels(3), 4, axis=0))
    frames = FrameSelection(open_frames("clip"), by_name=True)
    load_masks(["11=first.png", "11:5=late.png"], video, frames)
    assert "mask 11:5=late.png: overlaps object 2 (56 pixels)" in caplog.text
    with pytest.raises(InputError, match=r"frame 12 already has first\.png"):
        load_masks(["12=first.png", "12=late.png"], video, frames)


def test_frames_without_objects_are_not_given(video, masks, tmp_path):
    write_mask(tmp_path / "several" / "00012.png", labels(0))
    assert list(load_masks(["several"], video)) == [1, 3]


def read_until_error(frames):
    """Frames, and the message of the error that ends them."""
    seen = []
    try:
        seen.extend(frames)
    except InputError as error:
        return seen, str(error)
    return seen, None


@pytest.mark.parametrize("change", [lambda path: path, cut_end], ids=["whole", "cut"])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("ts", "libx264"), *slow(("mkv", "libx264"), ("avi", "mpeg4"))]
)
def test_late_start_equals_frames_in_order(tmp_path, suffix, codec, change):
    path = change(write_texture(tmp_path / f"clip.{suffix}", codec, gop=8))
    whole, error = read_until_error(open_frames(path))
    for start, end in [(21, 30), (21, None), (24, 24), (39, None), (3, 5), (5, None)]:
        source = open_frames(path)
        if max(start, end or 0) >= len(whole):
            with pytest.raises(InputError, match=f"which has frames 0 to {len(whole) - 1}"):
                FrameSelection(source, start, end)
            continue
        frames, message = read_until_error(FrameSelection(source, start, end).read(source))
        expected = range(len(whole))[start : None if end is None else end + 1]
        assert [index for index, _ in frames] == list(expected)
        assert message == (error if end is None else None)
        for index, frame in frames:
            np.testing.assert_array_equal(frame, whole[index])


def test_late_start_decodes_from_its_key_frame(tmp_path, monkeypatch):
    source, decoded = open_frames(write_texture(tmp_path / "clip.mp4", gop=8)), []

    def count(*arguments):
        for item in decode(*arguments):
            decoded.append(item)
            yield item

    monkeypatch.setattr("aotlab_video.sources.decoding.decode", count)
    monkeypatch.setattr(VideoFrames, "__iter__", None)  # decodes from the beginning
    assert [index for index, _ in FrameSelection(source, 34).read(source)] == list(range(34, 40))
    assert len(decoded) < 20


@pytest.mark.parametrize(("fields", "words"), [
    ({"boxes": (10, 2, None, 40)}, "box 10,2,None,40: expected"),
    ({"points": [(1, float("nan"))]}, "point 1,nan: expected"),
    ({"name": "a/b"}, "name: 'a/b' is not a plain name; give at most 200 bytes without slashes"),
    ({"name": ""}, "name: '' is not a plain name"),
    ({"removals": "30"}, "remove 30: expected FRAME:ID, for example 30:2"),
    ({"classes": {1: None}}, "classes must be a text or a list of texts, got {1: None}"),
    ({"source": "interlaced=maybe"}, "source: interlaced maybe: not one of yes, no"),
    ({"masks": np.zeros((9, 9))}, r"masks must be a text or a list of texts, got [^\n]+\Z"),
    ({"arrays": {"0": labels(1)}}, r"masks: expected a dict by frame index, such as {0: ...}, got keys \['0'\]"),
    ({"prompts": {"0": {1: BOX}}}, r"prompts: expected a dict by frame index"),
    ({"prompts": {0: BOX}}, r"frame 0: prompts: give a dict of prompts by object id"),
    ({"prompts": {0: {1: "x"}}}, r"frame 0: prompt: points must be pairs"),
    ({"prompts": {0: {70000: BOX}}}, r"frame 0: prompts: object id 70000, expected a whole number from 1 to 65535"),
    ({"prompts": {0: {"1": BOX}}}, r"frame 0: prompts: object id '1', expected a whole number"),
    ({"frames": "a.mp4"}, r"frames must be the result of open_frames, got str"),
    ({"segmenter": 5}, r"segmenter 5: expected a name or two ONNX files"),
    ({"source": {0: "x"}}, r"unknown key (source\.)?0"),
])  # fmt: skip
def test_job_names_an_invalid_field(fields, words):
    tree = {"name": "a", "video": "a.mp4"} | fields
    with pytest.raises(InputError, match=words):
        build(Job, tree)
    with pytest.raises(ValidationError) as caught:
        Job(**tree)
    assert [error["loc"] for error in caught.value.errors()] == [(*fields,)]


@pytest.mark.parametrize("box", [
    (1e-6, 5, 30, 40),
    np.array([1e-6, 5, 30, 40]),
    [np.float32([1e-6, 5, 30, 40])],
    torch.tensor([1e-6, 5, 30, 40]),
    torch.tensor([[1e-6, 5, 30, 40]]),
])  # fmt: skip
def test_job_takes_prompts_of_any_numbers(box):
    ((frame, object_id, values),) = Job("a", "a.mp4", boxes=box).boxes
    assert (frame, object_id, values) == (None, 1, pytest.approx((1e-6, 5, 30, 40)))


def test_job_takes_keys_of_numpy_and_points():
    job = Job("a", "a.mp4", arrays={np.int64(3): labels(1)}, prompts={np.int64(2): {np.int64(1): (3, 4)}, 4: {}})
    assert [*map(type, (*job.arrays, *job.prompts, *job.prompts[2]))] == [int, int, int]
    assert ([*job.prompts], job.prompts[2][1].points) == ([2], ((3, 4),))


@pytest.mark.parametrize(("options", "loc"), [
    ({"output_options": "alpha=premultiplied"}, ("output_options",)), ({"write": None}, ("write",)),
    ({"mask_format": "rgb"}, ("mask_format",)), ({"realtime": True, "both_directions": True}, ()),
])  # fmt: skip
def test_run_options_name_an_invalid_field(options, loc):
    with pytest.raises(ValidationError) as caught:
        RunOptions(**options)
    assert [error["loc"] for error in caught.value.errors()] == [loc]


def test_job_takes_values_of_python():
    mask, boxes = PromptArgument(None, 2, "a.png"), (box for box in ("1,2,30,40", ":2=5,6,30,40"))
    names = {1: "cat", 7: "dog"}
    job = Job("a", "a.tif", mask, boxes=boxes, classes=names, segmenter=("a.onnx", "b.onnx"), source="fps=25")
    assert job.masks == (mask,)
    assert [prompt.object_id for prompt in job.boxes] == [1, 2]
    assert (job.classes, job.source.fps, job.segmenter) == (names, 25, (Path("a.onnx"), Path("b.onnx")))
    assert job.replace(name="b") == Job(**vars(job) | {"name": "b"}) != job


def test_frames_missing_from_the_header_are_read(tmp_path):
    path = write_texture(tmp_path / "v.avi", "mpeg4", count=10)
    set_frame_count(path, 5)
    video = open_frames(path)
    assert [index for index, _ in FrameSelection(video).read(video)] == list(range(10))
    assert [index for index, _ in FrameSelection(video, 7).read(video)] == [7, 8, 9]
    assert FrameSelection(video, 7).count == 3
    frames = FrameSelection(video)
    frames.require_frame(7, "mask")
    assert (frames.count, 7 in frames, 10 in frames) == (10, True, False)
    assert [index for index, _ in FrameSelection(video, end=8).read(video)] == list(range(9))
    with pytest.raises(InputError, match="end 12: not in the video, which has frames 0 to 9"):
        FrameSelection(video, end=12)
    for index in range(10):
        write_mask(tmp_path / "masks" / f"{index:05d}.png", draw_box((120, 160), (4, 12), (6, 20), 1))
    assert [*load_masks([tmp_path / "masks"], VideoInfo.from_source(video))] == [*range(10)]
    (tmp_path / "masks" / "00009.png").rename(tmp_path / "masks" / "00010.png")
    with pytest.raises(InputError, match="is for frame 10, but the video has frames 0 to 9"):
        load_masks([tmp_path / "masks"], VideoInfo.from_source(video))


def test_mask_named_like_another_frame_warns(source, video, masks, tmp_path, caplog):
    stem = source.frame_name(3)
    Image.fromarray(labels(1)).save(tmp_path / f"{stem}.png")
    assert list(load_masks([str(tmp_path / f"{stem}.png")], video).frames) == [0]
    assert f"for the frame of its name write 3={tmp_path / stem}.png" in caplog.text


@pytest.mark.parametrize(("start", "end", "expected"), [
    ("01:00:00:11", None, (1, 2)), ("01:00:00:10", "01:00:00:11", (0, 1)), (1, "01:00:00:12", (1, 2)),
])  # fmt: skip
def test_start_and_end_are_time_codes_of_the_file(tmp_path, start, end, expected):
    path = write_film(tmp_path / "in", "yuv422p10le", "prores_ks", timecode="01:00:00:10", suffix="mov")
    frames = FrameSelection(open_frames(path), start, end)
    assert (frames.first, frames.last) == expected


@pytest.mark.parametrize(("timecode", "rate", "start", "expected"), [
    ("00:00:59;28", 30, "00:00:59:29", 1), ("00:00:59;28", 30, "00:01:00:02", 2),
    (None, 24, "00:00:00;01", "drop-frame, but the time codes of the video are not; write a colon"),
    ("00:00:00:00", 30, "00:00:00;01", "drop-frame, but the time codes of the video are not; write a colon"),
    ("00:00:59;28", 30, "00:01:00;00", "skipped by drop-frame time code; give 00:01:00;02"),
])  # fmt: skip
def test_drop_frame_is_that_of_the_video(source, timecode, rate, start, expected):
    source.rate = Fraction(1000 * rate, 1001)
    source.timecode = timecode and Timecode.parse(timecode, source.rate)
    if isinstance(expected, int):
        assert FrameSelection(source, start).first == expected
    else:
        with pytest.raises(InputError, match=expected):
            FrameSelection(source, start)


def test_number_between_file_names_is_said():
    video = VideoInfo("gap", SIZE, 3, frame_names=("f1001", "f1002", "f1005"))
    problem = "start 1003: not in the video, which has frames 1001 to 1005, but none between 1002 and 1005"
    with pytest.raises(InputError, match=problem):
        FrameSelection(video, 1003, by_name=True)


def test_time_codes_name_frames_of_masks_and_removals(source, video, masks):
    source.timecode = Timecode.parse("01:00:00:00", source.rate)
    frames = FrameSelection(source)
    assert [*load_masks(["01:00:00:02:4=first.png"], video, frames)] == [2]
    assert group_removals([parse_removal("01:00:00:03:4")], {0: {4}}, frames) == {3: [4]}
    with pytest.raises(InputError, match=r"frame 02:00:00:00 is not tracked \(01:00:00:00 to 01:00:00:04\)"):
        load_masks(["02:00:00:00=first.png"], video, frames)


@pytest.mark.parametrize(("value", "frame"), [("3.0", 3), (3.0, 3), ("00:00:10.0", "00:00:10.0")])
def test_only_numbers_lose_a_decimal(value, frame):
    assert parse_frame(value) == frame


def test_time_code_counts_from_zero_without_one(tmp_path):
    path = write_film(tmp_path / "in", "yuv420p")
    assert FrameSelection(open_frames(path), "00:00:00:01").first == 1
    with pytest.raises(InputError, match="start 00:00:01:00: not in the video, which has time codes 00:00:00:00 to 00"):
        FrameSelection(open_frames(path), "00:00:01:00")


def test_time_codes_of_a_list_are_read(tmp_path):
    (tmp_path / "list.csv").write_text("video,masks,start,end\na.mov,a.png,01:00:10:12,200\n")
    (job,) = read_jobs(tmp_path / "list.csv")
    assert (job.start, job.end) == ("01:00:10:12", 200)
