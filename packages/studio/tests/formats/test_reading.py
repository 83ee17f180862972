"""Files as other tools write them, and what is rejected of them."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError, write_mask
from aotlab.sdk import encode_rle
from aotlab_studio.formats.colors import read_label_map
from aotlab_studio.formats.cvat import parse_cvat
from aotlab_studio.formats.label_studio import decode_brush, encode_brush
from aotlab_testing.video.sample import SIZE, VIDEO, draw_labels, sample_annotations
from aotlab_video import find_mask_writer, format_coco, list_mask_formats, read_annotations
from aotlab_video.masks.coco import compress_rle
from studio.tests.formats.examples import labelme, png, shape

TRACK = """<annotations><version>1.1</version>
<meta><task><original_size><width>40</width><height>24</height></original_size></task></meta>
<track id="0" label="person" source="manual">
  <polygon frame="0" keyframe="1" outside="0" occluded="0" points="2,3;16,3;16,15;2,15" z_order="0"/>
  <polygon frame="1" keyframe="0" outside="0" occluded="0" points="3,3;17,3;17,15;3,15" z_order="0"/>
  <polygon frame="2" keyframe="1" outside="0" occluded="0" points="4,3;18,3;18,15;4,15" z_order="0"/>
  <polygon frame="3" keyframe="1" outside="1" occluded="0" points="4,3;18,3;18,15;4,15" z_order="0"/>
</track>{more}</annotations>"""
COLORED_IDS = (draw_labels(2) == 7) + 2 * (draw_labels(2) == 3)
SQUARE = [[4, 4], [14, 4], [14, 14], [4, 14]]
COUNTS = format_coco(sample_annotations(), VIDEO)["annotations"][0]["segmentation"]["counts"]
PERCENT = [[25, 25], [50, 25], [50, 75], [25, 75]]


@pytest.fixture
def read(tmp_path):
    """Write files by name, as text or JSON, and read the first one or its folder."""

    def read(files, *, folder=False, video=VIDEO, **options):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return read_annotations(tmp_path if folder else tmp_path / next(iter(files)), video, **options)

    return read


def result(region_id, points, **more):
    value = {"points": points, "polygonlabels": ["person"]}
    size = {"original_width": 40, "original_height": 24}
    return {"id": region_id, "type": "polygonlabels", "value": value, **size, **more}


BOX = result("b", [], type="rectanglelabels") | {
    "value": {"x": 25, "y": 25, "width": 50, "height": 50, "rectanglelabels": ["person"]}
}


def task(number, *results):
    return {"data": {"image": f"http://x/{number:05d}.jpg?d=1"}, "annotations": [{"result": list(results)}]}


def coco_segment(frame, object_id):
    return {"size": list(SIZE), "counts": encode_rle(draw_labels(frame) == object_id).tolist()}


def test_masks_beside_a_file_named_like_a_record_are_read(tmp_path):
    write_mask(tmp_path / "00000.png", draw_labels(0))
    (tmp_path / "export.json").write_text("{}")
    np.testing.assert_array_equal(read_annotations(tmp_path, VIDEO).mask(0), draw_labels(0))


@pytest.mark.parametrize(
    ("before", "after"),
    [("</task>", "</task><source>bear.mp4</source>"), ("</task>", "<source>bear.mp4</source></task>"),
     ("</task></meta>", "</task><job><source>bear.mp4</source></job></meta>")],
)  # fmt: skip
def test_cvat_of_another_video_is_reported(read, caplog, before, after):
    text = TRACK.format(more="").replace(before, after, 1)
    assert read({"clip.xml": text}).video == "bear"
    assert "clip.xml: belongs to video bear, not clip" in caplog.text
    with pytest.raises(InputError, match="belongs to video bear"):
        read({"clip.xml": text}, strict=True)


def test_cvat_key_frames_inside_the_image_are_read(read):
    found = read({"clip.xml": TRACK.format(more="")})
    assert sorted(found.frames) == [0, 2]
    np.testing.assert_array_equal(found.mask(2)[3:15, 4:18], 1)
    assert found.class_names == {1: "person"}


PROJECT = """<annotations><meta><project><tasks>{tasks}</tasks></project></meta>{content}</annotations>"""
TASK = """<task><id>{0}</id><name>{1}</name><source>{1}.mp4</source><original_size><width>{2}</width><height>24</height>
</original_size></task>"""


@pytest.mark.parametrize("kind", ["track", "image"])
def test_cvat_task_of_the_video_is_read(read, kind):
    polygon = '<polygon frame="0" outside="0" points="{0},3;{1},3;{1},15;{0},15"/>'
    contents = (polygon.format(2, 16), polygon.format(20, 30))
    image = '<image id="0" name="00000.jpg" width="40" height="24" task_id="{}">{}</image>'
    element = image if kind == "image" else '<track label="car" task_id="{}">{}</track>'
    content = "".join(element.format(key, shape) for key, shape in zip((7, 8), contents, strict=True))
    text = PROJECT.format(tasks=TASK.format(7, "bear", 50) + TASK.format(8, "clip", 40), content=content)
    found = read({"clip.xml": text})
    assert np.flatnonzero(found.mask(0)[5]).tolist() == [*range(20, 30)]
    with pytest.raises(InputError, match="has the videos 'bear', 'clip', none of them called 'bus'; export"):
        read({"clip.xml": text}, video=replace(VIDEO, name="bus"))
    with pytest.raises(InputError, match="has the videos 'bear', 'clip', 2 of them called 'clip'; export"):
        read({"clip.xml": text.replace("bear.mp4", "clip.mp4")})


@pytest.mark.parametrize(
    ("last", "objects"), [("", [1, 2, 3]), ("<size>4</size>", [1]), ("<stop_frame>3</stop_frame>", [1])]
)
def test_cvat_track_of_one_frame_is_a_shape(read, last, objects):
    points = 'points="2,3;16,3;16,15;2,15"'
    frames = [(0, 1), (2, 3), (3, None)] if last else [(0, 2), (1, None), (2, None)]
    tracks = "".join(
        f'<track id="{start}" label="car"><polygon frame="{start}" outside="0" {points}/>'
        + (f'<polygon frame="{end}" outside="1" {points}/>' if end else "") + "</track>"
        for start, end in frames
    )  # fmt: skip
    text = f"<annotations><meta><task><id>1</id>{last}</task></meta>{tracks}</annotations>"
    assert read({"clip.xml": text}).objects() == objects


def test_cvat_groups_on_one_image_each_rejected(read):
    image = """<image id="{0}" name="0000{0}.png" width="40" height="24">
    <polygon label="car" group_id="{1}" points="2,2;9,2;9,12;2,12"/>
    <polygon label="car" group_id="{1}" points="20,2;29,2;29,12;20,12"/></image>"""
    assert read({"clip.xml": f"<annotations>{image.format(0, 2)}{image.format(1, 2)}</annotations>"}).objects() == [2]
    with pytest.raises(InputError, match="groups 1, 2 of 'car' are on one frame each"):
        read({"clip.xml": f"<annotations>{image.format(0, 1)}{image.format(1, 2)}</annotations>"})


def test_cvat_groups_hold_within_an_image(read):
    image = """<image id="{0}" name="0000{0}.png" width="40" height="24">
    <polygon label="{1}" group_id="1" points="2,2;9,2;9,12;2,12"/></image>"""
    text = f"<annotations>{image.format(0, 'car')}{image.format(1, 'dog')}</annotations>"
    found = read({"clip.xml": text})
    assert [found.class_name(region.object_id) for _, region in found.regions()] == ["car", "dog"]


def test_cvat_object_is_absent_outside(read):
    text = TRACK.format(more="").replace("<task>", "<task><id>1</id>")
    found = read({"clip.xml": text})
    assert [(frame, region.area > 0) for frame, region in found.regions()] == [(0, True), (2, True), (3, False)]


def test_cvat_masks_end_without_a_statement(read):
    mask = '<mask frame="{}" outside="{}" rle="0, 100" left="2" top="2" width="10" height="10"/>'
    tracks = "".join(
        f'<track id="{n}" label="a" group_id="1">{mask.format(n, 0)}{mask.format(n + 1, 1)}</track>' for n in (0, 2)
    )
    assert [*read({"clip.xml": f"<annotations>{tracks}</annotations>"}).frames] == [0, 2]


def test_label_studio_bitmask_is_a_mask(read):
    alpha = np.zeros((*SIZE, 4), np.uint8)
    alpha[4:9, 5:20, 3] = 255
    value = {"imageDataURL": f"data:image/png;base64,{png(alpha)}", "bitmasklabels": ["car"]}
    found = read({"a.json": [task(0, result("a", [], type="bitmasklabels") | {"value": value})]})
    np.testing.assert_array_equal(found.mask(0) > 0, alpha[..., 3] > 0)
    assert found.class_names == {1: "car"}


BOX_FILES = {
    "coco.json": {
        "images": [{"id": 1, "file_name": "00001.jpg", "height": 24, "width": 40}],
        "annotations": [{"id": 5, "image_id": 1, "bbox": [10, 6, 20, 12], "segmentation": []}],
    },
    "labelme.json": labelme(1, shape("a", [[30, 18], [10, 6]], kind="rectangle")),
    "cvat.xml": '<annotations><track id="0"><box frame="1" xtl="10" ytl="6" xbr="30" ybr="18"/></track></annotations>',
    "label_studio.json": [task(1, BOX)],
    "labels/00001.txt": "0 .5 .5 .5 .5",
}


@pytest.mark.parametrize("name", BOX_FILES)
def test_boxes_are_read_where_a_video_is_tracked(read, name):
    found = read({name: BOX_FILES[name]}, folder=name.startswith("labels"), boxes=True)
    assert (found.frames, found.boxes) == ({}, {1: {1: (10, 6, 20, 12)}})
    with pytest.raises(InputError, match="only 1 box without a mask; give it to aotlab track --mask"):
        read({name: BOX_FILES[name]}, folder=name.startswith("labels"))


def test_box_outside_the_image_is_left_out(read, caplog):
    outside = shape("b", [[50, 6], [60, 9]], kind="rectangle")
    found = read({"a.json": labelme(0, shape("a", [[30, 18], [99, 6]], kind="rectangle"), outside)}, boxes=True)
    assert found.boxes == {0: {1: (30, 6, 10, 12)}}
    assert "left out: 1 region without pixels (00000.jpg, shape 2)" in caplog.text


def test_cvat_tracks_of_one_label_are_separate_objects(read):
    second = '<track id="1" label="person"><polygon frame="0" points="20,3;30,3;30,9;20,9" outside="0"/></track>'
    assert read({"clip.xml": TRACK.format(more=second)}).objects() == [1, 2]


def test_cvat_tracks_are_drawn_in_z_order(read):
    polygon = '<polygon frame="0" points="2,2;12,2;12,12;2,12" z_order="{}"/>'
    tracks = "".join(
        f'<track id="{index}" label="{label}">{polygon.format(1 - index)}</track>'
        for index, label in enumerate(("top", "below"))
    )
    found = read({"clip.xml": f"<annotations>{tracks}</annotations>"})
    top = next(number for number, label in found.class_names.items() if label == "top")
    np.testing.assert_array_equal(found.mask(0)[3:11, 3:11], top)


def test_mots_ignored_region_is_void(read, tmp_path):
    line = "0 {} {} 24 40 {}"
    parts = [compress_rle(encode_rle(part)) for part in (draw_labels(0) == 3, draw_labels(0) == 0)]
    text = f"{line.format(2003, 2, parts[0])}\n{line.format(10000, 10, parts[1])}\n"
    found = read({"mots.txt": text})
    assert found.objects() == [3]
    np.testing.assert_array_equal(found.void_mask(0), draw_labels(0) == 0)
    find_mask_writer("mots").write(tmp_path / "new.txt", found, VIDEO)
    assert [row.split()[1] for row in (tmp_path / "new.txt").read_text().splitlines()] == ["2003", "10000"]


def test_mots_ids_of_two_classes_are_separate_objects(read):
    found = read({"mots.txt": f"0 1003 1 24 40 {COUNTS}\n1 2003 2 24 40 {COUNTS}\n"})
    assert sorted(found.class_names.values()) == ["class 1", "class 2"]


def test_mots_frames_are_numbered_as_their_images(read):
    line = f"1 1003 1 24 40 {compress_rle(encode_rle(draw_labels(0) == 3))}\n"
    from_one = replace(VIDEO, frame_names=("000001", "000002"), length=2)  # as in MOTSChallenge
    from_zero = replace(VIDEO, frame_names=("000000", "000001"), length=2)  # as in KITTI MOTS
    unnamed = replace(VIDEO, frame_names=None)
    numbered = ((replace(unnamed, start_number=number), 1 - number) for number in (0, 1))
    for video, frame in ((from_one, 0), (from_zero, 1), *numbered):
        assert [*read({"mots.txt": line}, video=video).frames] == [frame]
    with pytest.raises(InputError, match="a frame 1 and no frame 0"):
        read({"mots.txt": line}, video=unnamed)
    with pytest.raises(InputError, match=r"1 images are not frames of clip: '0', but the frames are '000001'"):
        read({"mots.txt": f"0{line[1:]}"}, video=from_one)


def test_byte_order_mark_is_skipped(read):
    assert read({"mots.txt": f"\ufeff0 1001 1 24 40 {COUNTS}\n"}).objects() == [1]
    assert read({"labels/00000.txt": "\ufeff0 0.1 0.1 0.5 0.1 0.5 0.5\n"}, folder=True).objects() == [1]


def test_yolo_labels_in_folders_are_read(read):
    square = "0 .1 .1 .5 .1 .5 .5"
    files = {"labels/train/00001.txt": square, "labels/val/00003.txt": square}
    assert [*read(files, folder=True).frames] == [1, 3]
    with pytest.raises(InputError, match="its images are in the folders 'train', 'val'"):
        read({}, folder=True, video=replace(VIDEO, frame_names=None))
    (first, *_) = VIDEO.frame_names
    files = {f"labels/train/{name}/{first}.txt": square for name in ("clip", "other")}
    assert [*read(files, folder=True).frames] == [0]


POINTS = "0 .1 .1 .5 .1 .5 .5"


@pytest.mark.parametrize(("lines", "objects"), [  # of two frames, as save_txt of Ultralytics writes them
    ([[f"{POINTS} 0.9"], [f"{POINTS} 1"]], {0: [1], 1: [1]}),
    ([[f"{POINTS} 7", f"{POINTS} 4"], [f"{POINTS} 7"]], {0: [7, 4], 1: [7]}),
    ([[f"{POINTS} 0.9 7", f"{POINTS} 0.8 4"], [f"{POINTS} 0.9 4"]], {0: [7, 4], 1: [4]}),
    ([[f"{POINTS} 0.9 1", f"{POINTS} 0.8 2"], [f"{POINTS} 0.9"]], {0: [1, 2], 1: [3]}),
    ([[f"{POINTS} 0.9 1"], [f"{POINTS} 0.9"]], {0: [1], 1: [2]}),
    ([["0 .1 .1 .5 .1 .5 1"], ["0 .1 .1 .5 .1 .5 .9"]], {0: [1], 1: [1]}),
    ([["0 .1 .1 .5 .1 .5 1", "1 .1 .1 .5 .1 .5 1"], []], {0: [1, 2], 1: []}),
    ([["0 .1 .1 .5 .1 .5 1.0"], []], {0: [1], 1: []}),
    ([["0 .1 .1 .5 .1 .5 .5", "1 .1 .1 .5 .1 .5 .5 .9"], []], {0: [1], 1: []}),  # a confidence on one line only
])  # fmt: skip
def test_yolo_confidence_and_track_id_are_no_points(read, lines, objects):
    files = {f"labels/0000{frame}.txt": "".join(f"{line}\n" for line in found) for frame, found in enumerate(lines)}
    found = read(files, folder=True)
    assert {frame: [region.object_id for region in regions] for frame, regions in found.frames.items()} == objects
    if POINTS in lines[0][0]:
        triangle = read({"labels/00000.txt": POINTS, "labels/00001.txt": ""}, folder=True).mask(0) > 0
        np.testing.assert_array_equal(found.mask(0) > 0, triangle)


def test_yolo_last_point_or_track_id_is_asked_about(read):
    with pytest.raises(InputError, match=r"all of its lines end with 1, a coordinate or a track id .*save_conf"):
        read({"labels/00000.txt": f"{POINTS} 0.9 1"}, folder=True)


@pytest.mark.parametrize("folder", ["", "labels/", "labels/train/"])
def test_yolo_list_of_classes_has_no_regions(read, folder):
    found = read({"labels/00000.txt": POINTS, f"{folder}classes.txt": "car\nperson\n"}, folder=True)
    assert (found.class_names, found.classes) == ({1: "car"}, {"car": 1, "person": 2})


def test_cvat_for_images_is_drawn_in_z_order(read):
    text = """<annotations><image id="1" name="00001.png" width="40" height="24">
    <polygon label="top" points="2,2;12,2;12,12;2,12" z_order="1"/>
    <mask label="below" rle="0, 100" left="2" top="2" width="10" height="10" z_order="0"/></image></annotations>"""
    found = read({"clip.xml": text})
    top = next(number for number, label in found.class_names.items() if label == "top")
    np.testing.assert_array_equal(found.mask(1)[3:11, 3:11], top)


@pytest.mark.parametrize(("more", "words"), [
    ('<track group_id="x"/>', "not readable"),
    ('<track id="1"><polygon frame="0" points="1,1;2,b"/></track>', "frame 0, track 1"),
    ('<track id="1"><polygon frame="-1" points="1,1;9,9;9,1"/></track>', "frame -1"),
    ('<track id="1"><polygon frame="0" points="1,1;2,2;1e99,1"/></track>', "coordinate"),
    ('<track id="1"><polygon frame="0" points="1,1;2,b;3,1"/></track>', "not readable"),
    ('<track id="1"><mask frame="0" rle="5" left="0" top="0" width="9" height="9"/></track>', "run"),
    ('<track id="1"><mask frame="0" rle="-5,86" left="0" top="0" width="9" height="9"/></track>', "rle"),
    (
        '<track id="1"><mask frame="0" rle="99" left="39" top="0" width="9" height="11"/></track>',
        "inside",
    ),
    ('<track id="1"><mask frame="0" rle="99" left="0" top="0" width="-9" height="-11"/></track>', "run"),
])  # fmt: skip
def test_invalid_cvat_shape_rejected(read, more, words):
    with pytest.raises(InputError, match=words):
        read({"clip.xml": f"<annotations>{more}</annotations>"})


ENTITIES = "".join(f'<!ENTITY b{n} "{f"&b{n - 1 or str()};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(("text", "words"), [
    (TRACK.replace("<height>24", "<height>25").format(more=""), "40×25"),
    ('<annotations><track id="0"><box frame="0" xtl="1" ytl="1"/></track></annotations>', "missing 'xbr'"),
    ('<annotations><track id="0"><points frame="0" points="1,1"/></track></annotations>', "1 shape of kind points"),
    (f'<!DOCTYPE a [<!ENTITY b "ha">{ENTITIES}]><annotations>&b11;</annotations>', "amplification"),
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "contains no object"),
    *[(text, r"bad\.xml") for text in ("", "<annotations>", "<a>" * 10**5 + "</a>" * 10**5, "no xml")],
])  # fmt: skip
def test_invalid_cvat_file_rejected(read, text, words):
    with pytest.raises(InputError, match=words):
        read({"bad.xml": text})


def test_labelme_label_and_group_identify_object(read):
    other = [[20, 4], [30, 4], [30, 14], [20, 14]]
    found = read({"2.json": labelme(2, shape("a", SQUARE, 1), shape("a", other, 1), shape("a", other, 2))})
    assert list(found.frames) == [2]
    assert found.objects() == [1, 2]


@pytest.mark.parametrize(
    "files",
    [{"0.json": labelme(0, shape("a", SQUARE)), "1.json": labelme(0, shape("b", SQUARE))},
     {"a.json": [task(0, result("a", PERCENT)), task(0, result("b", PERCENT))]},
     {"a.xml": "<annotations>" + '<image id="0" name="00000.jpg" width="40" height="24"/>' * 2 + "</annotations>"}],
    ids=["labelme", "label_studio", "cvat_images"],
)  # fmt: skip
def test_two_images_of_one_name_rejected(read, files):
    with pytest.raises(InputError, match="2 of its images are called"):
        read(files, folder="0.json" in files)


DEGENERATE = {"two points": [[5, 5], [9, 9]], "none": [], "corner": [[0, 0], [1, 0], [1, 1], [0, 1]]}


def polygon_files(points):
    """Return files of four formats, each with a square and a further polygon on frame 1."""
    coco = {"images": [{"id": 1, "file_name": "00001.jpg", "height": 24, "width": 40}], "annotations": [
        {"id": 5, "image_id": 1, "segmentation": [np.ravel(part).tolist() for part in (SQUARE, points)]}]}  # fmt: skip
    texts = [";".join(f"{x},{y}" for x, y in polygon) for polygon in (SQUARE, points)]
    tracks = [f'<track id="{n}"><polygon frame="1" points="{text}"/></track>' for n, text in enumerate(texts)]
    lines = [" ".join(f"{side:.6f}" for x, y in polygon for side in (x / 40, y / 24)) for polygon in (SQUARE, points)]
    percent = [[[x / 0.4, y / 0.24] for x, y in polygon] for polygon in (SQUARE, points)]
    return {
        "coco": {"a.json": coco},
        "labelme": {"a.json": labelme(1, shape("a", SQUARE), shape("b", points))},
        "cvat": {"a.xml": f"<annotations>{''.join(tracks)}</annotations>"},
        "label_studio": {"a.json": [task(1, *(result(str(n), part) for n, part in enumerate(percent)))]},
        "yolo": {"labels/00001.txt": "".join(f"{n} {line}\n" for n, line in enumerate(lines))},
    }


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("name", ["coco", "labelme", "cvat", "label_studio", "yolo"])
def test_polygon_without_pixels_is_left_out(read, caplog, name, kind):
    found = read(polygon_files(DEGENERATE[kind])[name], folder=name == "yolo")
    assert [region.area for region in found.frames[1]] == [100]
    is_box = name == "yolo" and kind == "two points"  # a class and four numbers
    words = "1 box without a mask" if is_box else f"1 {'polygon' if name == 'coco' else 'region'} without pixels ("
    assert f"left out: {words}" in caplog.text


@pytest.mark.parametrize(
    "image",
    ["x/00002.jpg", "/data/upload/1/abcdef12-00002.png", "/data/local-files/?d=clip%20%C3%A4/0000%32.png",
     "https://host/data/local-files/?d=0000%32.png"],
)  # fmt: skip
def test_label_studio_image_is_found_among_texts(read, image):
    found = read({"a.json": [task(2, result("a", PERCENT)) | {"data": {"title": "clip 3", "image": image}}]})
    assert sorted(found.frames) == [2]


def test_only_urls_of_label_studio_are_unquoted(read):
    video = replace(VIDEO, frame_names=tuple(f"a%20{index}" for index in range(VIDEO.length)))
    for image in ("a%202.png", "s3://bucket/a%202.png", "/data/local-files/?d=a%25202.png"):
        found = read({"a.json": [task(2, result("a", PERCENT)) | {"data": {"image": image}}]}, video=video)
        assert sorted(found.frames) == [2]


def test_labelme_folder_with_masks_is_read(read):
    part = np.zeros((4, 5), np.uint8)
    part[1:3] = 255
    mask = shape("b", [[10, 10], [15, 14]], kind="mask", mask=png(part))
    files = {"0.json": labelme(0, shape("a", SQUARE)), "3.json": labelme(3, shape("a", SQUARE), mask)}
    found = read(files, folder=True)
    assert sorted(found.frames) == [0, 3]
    assert found.objects() == [1, 2]
    np.testing.assert_array_equal(found.mask(3)[11:13, 10:15], 2)


@pytest.mark.parametrize(
    "files",
    [{"0.json": labelme(0, shape("a", SQUARE)), "1.json": labelme(1, shape("a", SQUARE[:2], kind="rectangle")),
      "2.json": labelme(2)},
     {"a.json": [task(0, result("a", PERCENT)), task(1, BOX), task(2)]},
     {"a.xml": "<annotations>" + "".join(
         f'<image id="{number}" name="{number:05d}.jpg" width="40" height="24">{content}</image>'
         for number, content in enumerate([
             '<polygon label="a" points="2,3;16,3;16,15"/>', '<box label="a" xtl="1" ytl="1" xbr="9" ybr="9"/>', ""]))
      + "</annotations>"}],
    ids=["labelme", "label_studio", "cvat_images"],
)  # fmt: skip
def test_frame_of_boxes_is_not_one_without_objects(read, files):
    found = read(files, folder="0.json" in files)
    assert {frame: bool(regions) for frame, regions in found.frames.items()} == {0: True, 2: False}


@pytest.mark.parametrize(("tree", "words"), [
    (labelme(0, shape("a", [[1, 1], [9, 9]], kind="rectangle")), "only 1 box"),
    (labelme(0, shape("a", [[1, 1], [2, 2]])), "only 1 region without pixels"),
    (labelme(0, shape("a", [1, 2, 3])), r"00000\.jpg, shape 1: not readable \(points\.0: .*; correct"),
    (labelme(0, shape("a", [[5, 6]], kind="mask", mask="no base64!")), "not readable"),
    (labelme(0, shape("a", [[5, 6]], kind="mask", mask=None)), "not readable"),
    (labelme(0, shape("a", [[39, 6]], kind="mask", mask=png(np.ones((3, 3), np.uint8)))), "inside"),
    (labelme(0, shape("a", SQUARE), height=25), "40×25"),
    ([task(0, result("a", PERCENT, original_width=41))], "41×24"),
    ([task(0, result("a", [[1e300, 1], [2, 2], [3, 3]]))], "coordinate"),
    ([task(0, result("a", [[1, 1], "b"]))], "not readable"),
    ([task(0, {**result("a", PERCENT), "value": 3})], "not readable"),
    ([task(0, BOX)], "only 1 box without a mask; give it to aotlab track --mask"),
    ([task(0, result("a", PERCENT, type="ellipse"))], "only 1 shape of kind ellipse"),
])  # fmt: skip
def test_invalid_json_formats_rejected(read, tree, words):
    with pytest.raises(InputError, match=words):
        read({"a.json": tree})


def test_label_studio_classes_apart_from_masks_are_read(read):
    polygon = result("a", PERCENT, type="polygon", value={"points": PERCENT})
    label = result("a", PERCENT, type="labels", value={"points": PERCENT, "labels": ["cat"]})
    assert read({"tasks.json": [task(0, polygon, label)]}).class_names == {1: "cat"}


def test_label_studio_empty_annotation_hides_predictions(read):
    emptied = task(0, result("a", PERCENT))
    emptied["predictions"], emptied["annotations"] = emptied["annotations"], [{"result": []}]
    found = read({"tasks.json": [emptied, task(2, result("a", PERCENT))]})
    assert not found.frames[0]
    assert len(found.frames[2]) == 1


def test_label_studio_region_ids_identify_objects(read):
    tasks = [task(0, result("a", PERCENT), result("b", PERCENT)), task(2, result("a", PERCENT))]
    found = read({"tasks.json": tasks})
    assert sorted(found.frames) == [0, 2]
    assert found.frames[0][0].object_id == found.frames[2][0].object_id
    assert found.mask(2)[7:17, 11:19].all()


@pytest.mark.parametrize("cut", [0, 1, 6, 7, 20, -1])
def test_damaged_brush_mask_rejected(cut):
    packed = encode_brush(np.random.default_rng(3).random((9, 9)) < 0.5)
    with pytest.raises(ValueError, match="9×9"):
        decode_brush(packed[:cut], (9, 9))
    with pytest.raises(ValueError, match="10×9"):
        decode_brush(packed, (9, 10))
    with pytest.raises(ValueError, match="9×9"):  # four billion words, before memory is allocated
        decode_brush([255] * 200, (9, 9))


def test_youtube_vis_annotations_without_track_id_are_objects(read):
    segment = coco_segment(0, 3)
    video = {"id": 5, "width": 40, "height": 24, "file_names": [f"clip/{n:05d}.jpg" for n in range(2)]}
    annotations = [{"id": n, "video_id": 5, "category_id": 1, "segmentations": [None, segment]} for n in (8, 9)]
    found = read({"a.json": {"videos": [video], "annotations": annotations}})
    assert [(frame, region.area > 0) for frame, region in found.regions()] == [(0, False)] * 2 + [(1, True)] * 2
    assert found.objects() == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mots.txt", "0 1001 1 24", "expected lines"),
        ("mots.txt", "0 1001 1 25 40 abc", "40×25"),
        ("mots.txt", "0 1001 1 24 40 abc", "run lengths"),
        ("mots.txt", "x 1001 1 24 40 abc", "not readable"),
        ("mots.txt", f"-1 1001 1 24 40 {COUNTS}", "expected lines"),
        ("mots.txt", f"4 1001 1 24 40 {COUNTS}", "not frames of clip: '4'"),
        ("mots.txt", "", "contains no object"),
        ("labels/00000.txt", "0 0.1", r"labels/00000\.txt, line 1: .*a class"),
        ("labels/00000.txt", "0 0.1 0.1 2 2", "from 0 to 1"),
        ("labels/00000.txt", "0 a b", r"00000\.txt, line 1: "),
        ("labels/00000.txt", "1.5 .1 .1 .5 .1 .5 .5", "a class"),
        ("labels/00000.txt", "-1 .1 .1 .5 .1 .5 .5", "a class"),
        ("labels/00000.txt", "1e30 .1 .1 .5 .1 .5 .5", "a class"),
        ("labels/00000.txt", "0 .5 .5 1 1", "only 1 box"),
        ("labels/00000.txt", "0 .1 .1 .5 .1 .5 .5", r"data\.yaml: .*names"),
    ],
)  # fmt: skip
def test_invalid_text_formats_rejected(read, name, text, words):
    lines = ["a0: &a0 [1, 2]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)), "names: [*a39]"]
    more = {"data.yaml": "\n".join(lines)} if "yaml" in words else {}
    with pytest.raises(InputError, match=words):
        read({name: text, **more}, folder=name.startswith("labels"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_label_map_names_objects_of_colored_mask(colored, mode):
    Image.open(colored).convert(mode).save(colored)
    found = read_annotations(colored, VIDEO, frame=2)
    np.testing.assert_array_equal(found.mask(2), COLORED_IDS)
    assert found.class_names == {1: "ball", 2: "person"}


def test_colored_mask_of_another_size_is_not_decoded(colored, monkeypatch):
    Image.new("RGB", (500, 500)).save(colored)
    monkeypatch.setattr(Image.Image, "convert", None)
    with pytest.raises(InputError, match="images of 500×500, not 40×24"):
        read_annotations(colored, VIDEO)
    colored.write_bytes(b"x")  # may be in the format of another plug-in
    with pytest.raises(InputError, match="give a palette PNG"):
        read_annotations(colored, VIDEO)


def test_label_map_names_objects_of_a_colored_folder(colored):
    (colored.parent / "00003.png").write_bytes(colored.read_bytes())
    colored.rename(colored.parent / "00001.png")
    found = read_annotations(colored.parent, VIDEO)
    assert sorted(found.frames) == [1, 3]
    np.testing.assert_array_equal(found.mask(3), COLORED_IDS)
    (colored.parent / "00003.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"00003\.png: not readable .*; save it as RGB"):
        read_annotations(colored.parent, VIDEO)


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".png"])
def test_pages_of_a_colored_image_are_frames(colored, suffix):
    image = Image.open(colored).convert("RGB")
    pages = [image, Image.new("RGB", image.size), image, Image.new("RGB", image.size)]
    path = colored.with_name(f"pages{suffix}")
    pages[0].save(path, save_all=True, append_images=pages[1:], **({"lossless": True} if suffix == ".webp" else {}))
    found = read_annotations(path, VIDEO)
    assert [bool(found.frames[frame]) for frame in range(4)] == [True, False, True, False]
    np.testing.assert_array_equal(found.mask(2), COLORED_IDS)


def test_labels_without_colors_have_those_of_voc(colored):
    path = colored.with_name("labelmap.txt")
    path.write_text("background:::\nball:::\nperson:::\n")
    assert read_label_map(path) == {(0, 0, 0): (0, ""), (128, 0, 0): (1, "ball"), (0, 128, 0): (2, "person")}


@pytest.mark.parametrize("name", ["", "SegmentationClass"])
def test_label_map_may_be_above_the_masks(colored, name):
    root = colored.parent
    (root / "SegmentationClass").mkdir()
    colored.rename(root / "SegmentationClass" / "00002.png")
    assert read_annotations(root / name, VIDEO).class_names == {1: "ball", 2: "person"}


def test_background_of_a_label_map_is_no_object(colored):
    colored.with_name("labelmap.txt").write_text("Background:255,0,0::\nball:0,128,255::\n")
    assert read_annotations(colored, VIDEO).class_names == {1: "ball"}


def test_missing_label_map_is_named(colored):
    colored.with_name("labelmap.txt").unlink()
    with pytest.raises(InputError, match=r"labelmap\.txt"):
        read_annotations(colored, VIDEO)


@pytest.mark.parametrize(("text", "words"), [
    ("person:255,0,0::", "0,128,255"),
    ("person", "expected lines like"),
    ("red:red::", "not a color"),
    ("person:300,0,0::", "not a color"),
    ("background:0,0,0::\nball:::", "'' is not a color; write it as"),
    ("person:255,0,0::\nball:255,0,0::", "a color occurs twice"),
])  # fmt: skip
def test_invalid_label_map_rejected(colored, text, words):
    colored.with_name("labelmap.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        read_annotations(colored, VIDEO)


def test_other_shapes_are_reported_with_their_count(read, caplog):
    circle = shape("b", [[1, 1], [9, 9]], kind="circle")
    read({"0.json": labelme(0, shape("a", SQUARE), circle, circle)})
    assert "0.json: left out: 2 shapes of kind circle (first: 00000.jpg, shape 2)" in caplog.text
    points = '<track id="1"><points frame="0" points="1,1"/></track>'
    read({"clip.xml": TRACK.format(more=points)})
    read({"clip.xml": TRACK.format(more=points.replace("points frame", "skeleton frame"))})
    assert "left out: 1 shape of kind points (frame 0, track 1)" in caplog.text
    assert "left out: 1 shape of kind skeleton (frame 0, track 1)" in caplog.text
    ellipse = result("b", PERCENT, type="ellipselabels")
    read({"a.json": [task(0, result("a", PERCENT), ellipse, {"type": "new", "value": {}})]})
    assert "1 shape of kind ellipselabels (http://x/00000.jpg?d=1, region b), 1 shape of kind new" in caplog.text


@pytest.mark.parametrize("kind", [None, ""])
def test_labelme_shape_without_a_kind_is_a_polygon(read, kind):
    assert read({"0.json": labelme(0, shape("a", SQUARE, kind=kind))}).objects() == [1]


@pytest.mark.parametrize("folder", ["", "4"])
def test_masks_beside_a_broken_file_are_read(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    write_mask(tmp_path / folder / "00002.png", (draw_labels(2) == 3).astype(np.uint8))
    (tmp_path / "notes.json").write_text("[1,2")
    assert (read_annotations(tmp_path, VIDEO).mask(2) > 0).tolist() == (draw_labels(2) == 3).tolist()


def test_error_names_the_broken_file(tmp_path):
    (tmp_path / "notes.json").write_text("[1,2")
    with pytest.raises(InputError, match=r"notes\.json: not readable"):
        read_annotations(tmp_path, VIDEO)


@pytest.mark.parametrize("name", list_mask_formats())
def test_own_file_without_a_mask_on_frame_0_is_read(tmp_path, name):
    masks, writer = sample_annotations(), find_mask_writer(name)
    masks.frames = {frame: masks.frames[frame] for frame in (1, 2)}
    video = replace(VIDEO, frame_names=None)
    writer.write(tmp_path / writer.file_name, masks, video)
    assert sorted(read_annotations(tmp_path / writer.file_name, video).frames) == [1, 2]


def test_labelme_without_sizes_is_read(read):
    tree = labelme(1, shape("a", SQUARE))
    del tree["imageHeight"], tree["imageWidth"]
    found = read({"1.json": tree})
    assert [frame for frame, regions in found.frames.items() if regions] == [1]


def test_boxes_of_a_label_studio_video_are_prompts(read):
    steps = [{"frame": 2, "enabled": True, "x": 25, "y": 25, "width": 50, "height": 50}]
    steps += [steps[0] | {"frame": 3, "enabled": False}]
    value = {"framesCount": 3, "sequence": steps, "labels": ["person"]}
    annotation = {"result": [{"id": "a", "type": "videorectangle", "value": value}]}
    found = read({"tasks.json": [{"data": {"video": "x.mp4"}, "annotations": [annotation]}]}, boxes=True)
    assert (found.frames, found.boxes) == ({}, {1: {1: (10, 6, 20, 12)}})


def test_many_cvat_tracks_are_read_in_linear_time():
    finds = []
    tracks = "".join(TRACK[TRACK.index("<track") : TRACK.index("{more}")] for _ in range(50))
    root = ElementTree.fromstring(TRACK.format(more=tracks))
    counted = type("Counted", (), {"__getattr__": lambda _, name: (finds.append(name), getattr(root, name))[1]})()
    parse_cvat(counted, VIDEO)
    assert len(finds) < 20  # none for each track
