"""Every format written and read back: exactly, or up to holes and smoothed edges for outlines."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from aotlab import InputError, read_mask, write_mask
from aotlab.configs.files import ROOT
from aotlab.sdk import decode_rle, encode_rle, fill_polygons
from aotlab_studio.convert import convert
from aotlab_studio.formats.label_studio import decode_brush, encode_brush
from aotlab_studio.formats.youtube_vis import format_youtube_vis
from aotlab_testing.video.sample import LENGTH, SIZE, VIDEO, draw_labels, sample_annotations
from aotlab_video import Annotations, Region, VideoInfo, find_mask_writer, list_mask_formats, read_annotations
from studio.tests.annotation.clips import annotate_labels

OUTLINES = ("cvat polygons", "yolo")
"""Formats that fill holes and smooth staircases."""
WITHOUT_ABSENCE = ("mots",)
"""Formats in which a frame without objects is as one that is not annotated."""
FORMATS = (*list_mask_formats(), "cvat polygons")
"""Formats, each with an option after its name that is on."""
EXACT = [name for name in FORMATS if name not in OUTLINES]


def write(name, folder, annotations, video=VIDEO):
    name, *options = name.split()
    writer = find_mask_writer(name)
    writer.write(folder / writer.file_name, annotations, video, **dict.fromkeys(options, True))
    return folder / writer.file_name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


CLIPS = arrays.arrays(
    np.uint16,
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([0, 1, 2, 999]),
)


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=settings().max_examples // 2)  # for each of the formats
@given(frames=CLIPS)
def test_random_label_maps_survive_exact_formats(name, folder, frames):
    video = VideoInfo("clip", frames.shape[1:], len(frames))
    annotations = annotate_labels(dict(enumerate(frames)), {1: "cat", 2: "dog", 999: "cat"})
    path = write(name, folder, annotations, video)
    if not frames.any():
        with pytest.raises(InputError):
            read_annotations(path, video)
        return
    found = read_annotations(path, video)
    for index, ids in enumerate(frames):
        np.testing.assert_array_equal(found.mask(index), ids)
    assert found.class_names == {n: {2: "dog"}.get(n, "cat") for n in np.unique(frames).tolist() if n}


@pytest.mark.parametrize("name", EXACT)
def test_overlap_survives_exact_formats(name, tmp_path):
    annotations, above = sample_annotations(), np.zeros(SIZE, bool)
    above[10:20, 10:18] = True
    annotations.frames[2].append(Region(9, encode_rle(above)))
    annotations.class_names[9] = "person"
    found = read_annotations(write(name, tmp_path, annotations), VIDEO)
    expected = {region.object_id: region.rle.tolist() for region in annotations.frames[2]}
    assert {region.object_id: region.rle.tolist() for region in found.frames[2]} == expected


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines_keep_masks_without_holes(name, tmp_path):
    found = read_annotations(write(name, tmp_path, sample_annotations()), VIDEO)
    assert len(found.objects()) == 2
    for frame in range(LENGTH):
        filled = draw_labels(frame) > 0
        filled[7:10, 6 + frame : 9 + frame] = True
        mask = found.mask(frame) > 0
        assert (mask & filled).sum() / (mask | filled).sum() > (1 - 1e-9 if name == "cvat polygons" else 0.9)


@pytest.mark.parametrize("name", FORMATS)
def test_parts_of_an_object_survive_another_format(name, tmp_path):
    given = read_annotations(write("cvat polygons", tmp_path, sample_annotations()), VIDEO)
    found = read_annotations(write(name, tmp_path, given), VIDEO)
    assert len(given.frames[2]) == len(found.frames[2]) == 2
    differ = [(found.mask(frame) > 0) != (given.mask(frame) > 0) for frame in range(LENGTH)]
    assert np.mean(differ) <= (0.02 if name in OUTLINES else 0)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pixels", [([0], [0]), ([0, 0, 5, -1], [0, -1, 9, -1])], ids=["first", "corners"])
def test_single_pixels_survive_all_formats(name, pixels, tmp_path):
    mask = np.zeros(SIZE, bool)
    mask[pixels] = True
    found = read_annotations(write(name, tmp_path, Annotations(SIZE, {0: [Region(3, encode_rle(mask))]})), VIDEO)
    np.testing.assert_array_equal(found.mask(0) > 0, mask)


def test_hidden_part_stays_hidden(tmp_path):
    square = '<polygon frame="0" outside="0" points="{0},2;{1},2;{1},12;{0},12" z_order="{2}"/>'
    parts = [(1, 2, 12, 0), (2, 8, 18, 1), (1, 16, 24, 2)]
    tracks = [
        f'<track id="{order}" group_id="{object_id}" label="a">{square.format(left, right, order)}</track>'
        for object_id, left, right, order in parts
    ]
    (tmp_path / "clip.xml").write_text(f"<annotations>{''.join(tracks)}</annotations>")
    mask = read_annotations(tmp_path / "clip.xml", VIDEO).mask(0)
    assert mask[5].tolist() == [0] * 2 + [1] * 6 + [2] * 8 + [1] * 8 + [0] * 16


@pytest.mark.parametrize("name", FORMATS)
def test_frames_without_objects_are_written(name, tmp_path):
    assert write(name, tmp_path, Annotations(SIZE, {0: []})).exists()


@pytest.mark.parametrize("name", [*list_mask_formats(), "masks"])
def test_absence_survives_formats_that_express_it(name, tmp_path):
    for frame in range(LENGTH):
        write_mask(tmp_path / "clip" / f"{frame:05d}.png", np.zeros(SIZE, np.uint8))
    for frame in (0, 1, 3):
        write_mask(tmp_path / "given" / f"{frame:05d}.png", (draw_labels(frame) == 3) * np.uint8(frame != 1))
    there = tmp_path / ("there" if name == "masks" else find_mask_writer(name).file_name)
    convert(tmp_path / "given", tmp_path / "clip", there, name)
    convert(there, tmp_path / "clip", tmp_path / "back", "masks")
    shown = {path.stem: bool(read_mask(path).any()) for path in sorted((tmp_path / "back").iterdir())}
    absent = {} if name in WITHOUT_ABSENCE else {"00001": False}
    assert shown == {"00000": True, **absent, "00003": True}
    page = (ROOT / "docs" / "formats.md").read_text()
    sentence = page.partition(" cannot express this")[0].rpartition(". ")[2]
    assert (f"`{name}`" in sentence) == (name in WITHOUT_ABSENCE)


def test_pycocotools_decodes_mots(tmp_path):
    seen = np.zeros((LENGTH, *SIZE), int)
    for line in write("mots", tmp_path, sample_annotations()).read_text().splitlines():
        frame, number, class_id, height, width, counts = line.split(" ")
        mask = coco.decode({"size": [int(height), int(width)], "counts": counts.encode()})
        assert int(number) // 1000 == int(class_id)
        seen[int(frame)] += mask * (int(number) % 1000)
    for frame in range(LENGTH):
        np.testing.assert_array_equal(seen[frame], draw_labels(frame))


def test_mots_rejects_ids_from_1000(tmp_path):
    with pytest.raises(InputError, match="object 1000"):
        write("mots", tmp_path, Annotations(SIZE, {0: [Region(1000, encode_rle(draw_labels(0) > 0))]}))


def test_mots_omits_objects_without_pixels(tmp_path):
    frames = {frame: [Region(3, encode_rle(draw_labels(2) * frame > 0))] for frame in (0, 1)}
    path = write("mots", tmp_path, Annotations(SIZE, frames))
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["1"]


def test_blank_line_of_yolo_is_not_a_class(tmp_path):
    path = write("yolo", tmp_path, sample_annotations())
    (path / "data.yaml").unlink()
    before = read_annotations(path, VIDEO)
    for file in (path / "labels").glob("*.txt"):
        file.write_text(file.read_text() + "\n\n")
    after = read_annotations(path, VIDEO)
    assert (after.classes, after.objects()) == (before.classes, before.objects())


def test_yolo_line_joins_parts_of_an_object(tmp_path):
    path = write("yolo", tmp_path, sample_annotations())
    assert "0: ball\n  1: person" in (path / "data.yaml").read_text()
    lines = [line.split() for line in (path / "labels" / "00003.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["1", "0"]
    points = np.array(lines[1][1:], float).reshape(-1, 2) * (SIZE[1], SIZE[0])
    assert np.abs(np.diff(points, axis=0)).sum() < 70  # joined where the parts are nearest
    drawn, ball = decode_rle(fill_polygons([points.ravel().tolist()], SIZE), SIZE), draw_labels(3) == 7
    assert (drawn & ball).sum() > 0.95 * ball.sum()
    assert (drawn & ~ball).sum() <= 10  # along the line that joins the two parts


def test_youtube_vis_has_null_for_absent_objects():
    tree = format_youtube_vis(sample_annotations(), VIDEO)
    ball = tree["annotations"][1]
    for key in ("segmentations", "bboxes", "areas"):
        assert [value is None for value in ball[key]] == [True, True, False, False]
    assert len(tree["videos"][0]["file_names"]) == LENGTH


def test_label_studio_interface_is_written(tmp_path):
    write("label_studio", tmp_path, sample_annotations())
    interface = (tmp_path / "label_studio_config.xml").read_text()
    assert '<BrushLabels name="tag" toName="image">' in interface
    assert '<Label value="ball" />' in interface


@given(arrays.arrays(bool, st.tuples(st.integers(1, 60), st.integers(1, 60))))
@example(np.repeat([False, True], [18200, 1300]).reshape(150, 130))  # runs longer than a block
def test_brush_masks_are_packed_and_unpacked(mask):
    np.testing.assert_array_equal(decode_brush(encode_brush(mask), mask.shape), mask)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "label_studio"])
def test_class_ids_survive_formats(name, tmp_path):
    annotations = sample_annotations()
    annotations.classes = {"person": 1, "ball": 2, "tree": 3}
    found = read_annotations(write(name, tmp_path, annotations), VIDEO)
    assert found.class_ids() == {"person": 1, "ball": 2, "tree": 3}
    assert found.class_names == {3: "person", 7: "ball"} or name in OUTLINES


@pytest.mark.parametrize("name", FORMATS)
def test_names_that_xml_cannot_hold_are_written(name, tmp_path):
    annotations = sample_annotations()
    annotations.class_names = {3: "a\x01\ud800", 7: "ball"}
    annotations.add_attributes({7: {2: {"seen": "\x0b\uffff"}}})
    path = write(name, tmp_path, annotations)
    if name == "label_studio":
        ElementTree.parse(tmp_path / "label_studio_config.xml")
    found = read_annotations(path, VIDEO)
    assert len(found.objects()) == 2


@pytest.mark.parametrize("name", ["cvat", "cvat polygons"])
def test_attributes_of_cvat_keep_their_types(name, tmp_path):
    values = {"blurred": True, "count": 3, "pose": "03", "code": "1٣"}
    annotations = sample_annotations()
    annotations.add_attributes({7: {0: values, 3: values | {"blurred": False, "count": -4}}})
    found = read_annotations(write(name, tmp_path, annotations), VIDEO).attribute_table()[7]
    constants = {"pose": "03", "code": "1٣"}
    assert [*found.values()] == [constants, values, constants | {"blurred": False, "count": -4}]
    assert all(isinstance(changes["blurred"], bool) for changes in [*found.values()][1:])


def test_gaps_in_yolo_classes_get_names(tmp_path):
    annotations = sample_annotations()
    annotations.class_names[7] = "\U0001f3d0, yes: #1"
    annotations.classes = {annotations.class_names[7]: 3, "person": 1}
    path = write("yolo", tmp_path, annotations)
    assert yaml.safe_load((path / "data.yaml").read_text())["names"] == {
        0: "person",
        1: "unused 1",
        2: "\U0001f3d0, yes: #1",
    }
    assert (path / "labels" / "00000.txt").read_text().startswith("0 ")
    assert read_annotations(path, VIDEO).class_ids() == annotations.classes
    annotations.classes["person"] = 2**31  # data.yaml would name as many classes
    with pytest.raises(InputError, match="class id 2147483647 is above 100000"):
        write("yolo", tmp_path, annotations)


def test_yolo_class_ids_from_zero_are_kept(tmp_path):
    annotations = sample_annotations()
    annotations.classes = {"person": 0, "ball": 1}
    path = write("yolo", tmp_path, annotations)
    assert yaml.safe_load((path / "data.yaml").read_text())["names"] == {0: "person", 1: "ball"}


@pytest.mark.parametrize("name", EXACT)
def test_dots_in_the_name_of_a_video_survive(name, tmp_path, caplog):
    video = replace(VIDEO, name="take.2.final")
    read_annotations(write(name, tmp_path, sample_annotations(), video), video, strict=True)
    assert not caplog.text


def test_mots_classes_without_names_keep_ids(tmp_path):
    path = write("mots", tmp_path, sample_annotations())
    (tmp_path / "mots_classes.json").unlink()
    assert read_annotations(path, VIDEO).class_ids() == {"class 1": 1, "class 2": 2}


def test_youtube_vis_counts_frames_that_are_left_out(tmp_path):
    annotations = sample_annotations()
    del annotations.frames[1]
    path = write("youtube_vis", tmp_path, annotations)
    found = read_annotations(path, VideoInfo("clip", SIZE, LENGTH))
    assert sorted(found.frames) == [0, 2, 3]
    np.testing.assert_array_equal(found.mask(3), draw_labels(3))
    one_based = path.read_text().replace("00003.jpg", "00004.jpg").replace("00000.jpg", "00001.jpg")
    path.write_text(one_based)
    with pytest.raises(InputError, match=r"'00001' is number 0 in the file, but 00001 in its name; .*--mask-start"):
        read_annotations(path, VideoInfo("clip", SIZE, 3))
    assert sorted(read_annotations(path, VideoInfo("clip", SIZE, LENGTH, start_number=1)).frames) == [0, 1, 3]
