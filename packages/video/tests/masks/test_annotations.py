"""Mask images and folders, unknown formats, and files with one part replaced."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from aotlab import InputError, write_mask
from aotlab.media.masks import MAX_ID, PALETTE, read_mask
from aotlab.media.rle import decode_rle, encode_rle
from aotlab.utils import plugins
from aotlab_testing.drawn_clips import draw_thin_stripes
from aotlab_testing.limits import make_pipe
from aotlab_testing.mutations import check_mutations, read_error
from aotlab_testing.video.sample import LENGTH, SIZE, VIDEO, draw_labels, read_masks, sample_annotations
from aotlab_testing.video.stored_results import write_results
from aotlab_video import Annotations, VideoInfo, find_mask_writer, format_coco, read_annotations
from aotlab_video.masks.reading import read_mask_image
from aotlab_video.masks.region_matching import match_regions
from aotlab_video.masks.regions import GroupKey, ParsedFile, ParsedRegion
from aotlab_video.plugins import MASK_READER_PLUGINS
from aotlab_video.runs.inputs import require_ids


def save_binary(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


@pytest.mark.parametrize(
    ("ball", "person", "ids", "names"),
    [("ball", "4", [1, 4], {1: "ball"}), ("001", "000", [2, 1], {})],  # SA-V counts from 000
)
def test_object_folder_names_are_ids_or_classes(tmp_path, ball, person, ids, names):
    save_binary(tmp_path / ball / "00002.png", draw_labels(2) == 7)
    save_binary(tmp_path / person / "00002.png", draw_labels(2) == 3)
    found = read_annotations(tmp_path, VIDEO)
    np.testing.assert_array_equal(found.mask(2), ids[0] * (draw_labels(2) == 7) + ids[1] * (draw_labels(2) == 3))
    assert found.class_names == names


def save_square(path, mode, value):
    """Save a square as an image of the mode; a palette image is all black."""
    image = Image.new(mode, SIZE[::-1])
    if mode == "P":
        image.putpalette(bytes(768))
    image.paste(value, (2, 2, 9, 9))
    path.parent.mkdir()
    image.save(path)


@pytest.mark.parametrize(("folder", "mode", "value"),
    [("1", "L", 1), ("dog", "L", 1), ("dog", "1", 1), ("000", "P", 1), ("1", "P", 255)])  # fmt: skip
def test_black_and_white_masks_in_object_folders_are_read(tmp_path, folder, mode, value):
    save_square(tmp_path / folder / "00000.png", mode, value)
    assert read_annotations(tmp_path, VIDEO).mask(0).sum() == 49


@pytest.mark.parametrize(("folder", "mode", "value"),
    [("masks", "P", 1), ("1", "P", 7), ("1", "L", 128), ("given", "P", 255)])  # fmt: skip
def test_object_ids_in_object_folders_rejected(tmp_path, folder, mode, value):
    save_square(tmp_path / folder / "00000.png", mode, value)
    with pytest.raises(InputError, match="is black and white; for object ids, give"):
        read_annotations(tmp_path, VIDEO)


def test_masks_beside_a_folder_of_masks_are_not_dropped(tmp_path):
    write_mask(tmp_path / "00000.png", draw_labels(0))
    save_binary(tmp_path / ".trash" / "00000.png", draw_labels(0) == 3)
    assert read_annotations(tmp_path, VIDEO).objects() == [3]
    save_binary(tmp_path / "old" / "00000.PNG", draw_labels(0) == 3)
    with pytest.raises(InputError, match="has mask images and a folder old of them; move one"):
        read_annotations(tmp_path, VIDEO)
    (tmp_path / "00000.png").unlink()
    assert read_annotations(tmp_path, VIDEO).class_names == {1: "old"}


def test_folder_of_results_has_the_objects_of_its_masks(tmp_path):
    write_results(tmp_path, LENGTH, labels=draw_labels(0))
    for frame in range(LENGTH):
        write_mask(tmp_path / "masks" / f"{frame:05d}.png", draw_labels(frame))
    write_mask(tmp_path / "given" / "00000.png", draw_labels(0))
    found = read_annotations(tmp_path, VIDEO)
    for frame in range(LENGTH):
        np.testing.assert_array_equal(found.mask(frame), draw_labels(frame))
    (tmp_path / "masks").rename(tmp_path / "renamed")
    with pytest.raises(InputError, match="results without masks; track the video again"):
        read_annotations(tmp_path, VIDEO)


def test_255_has_one_meaning_in_a_folder(tmp_path):
    first, hidden = draw_labels(0), np.where(draw_labels(1) > 0, np.uint8(255), np.uint8(0))
    write_mask(tmp_path / "00000.png", first)
    Image.fromarray(hidden).save(tmp_path / "00001.png")
    found = read_annotations(tmp_path, VIDEO)
    np.testing.assert_array_equal(found.mask(0), first)
    assert not found.mask(1).any()
    np.testing.assert_array_equal(found.void_mask(1), hidden > 0)


@pytest.mark.parametrize("others", [(1001, 2003), (), (1001, 7)])
def test_10000_is_void_in_masks_of_mots(tmp_path, others):
    labels = np.zeros(SIZE, np.uint16)
    labels[0, : len(others)] = others
    labels[5:9] = 10000
    write_mask(tmp_path / "00000.png", labels)
    stored = read_annotations(tmp_path / "00000.png", VIDEO)
    assert stored.objects() == sorted((*others, 10000))
    assert not stored.void_mask(0).any()
    video = replace(VIDEO, mask_format="mots")
    if others != (1001, 2003):
        with pytest.raises(InputError, match="id 7 is not 1000 times a class" if others else "no object"):
            read_annotations(tmp_path / "00000.png", video)
        return
    found = read_annotations(tmp_path / "00000.png", video)
    assert found.objects() == [*others]
    assert found.void_mask(0).any()


@pytest.mark.parametrize("kind", ["tiff", "imagej", "palette.tif", "gif", "png"])
def test_pages_of_an_image_are_frames(tmp_path, kind):
    stack = np.stack([draw_labels(frame) for frame in range(LENGTH)]).astype(np.uint8)
    path = tmp_path / f"labels.{kind.rpartition('.')[2].replace('imagej', 'tif')}"
    if kind in ("tiff", "imagej"):
        tifffile.imwrite(path, stack.astype(np.uint16), imagej=kind == "imagej", photometric="minisblack")
    else:
        first, *others = (Image.fromarray(labels, mode="P") for labels in stack)
        for image in (first, *others):
            image.putpalette(PALETTE.tobytes())
        first.save(path, save_all=True, append_images=others, optimize=False)
    found = read_annotations(path, VIDEO)
    assert sorted(found.frames) == list(range(LENGTH))
    for frame in range(LENGTH):
        np.testing.assert_array_equal(found.mask(frame), stack[frame])
    with pytest.raises(InputError, match="has 4 pages, but the video has 5 frames"):
        read_annotations(path, replace(VIDEO, length=5))
    with pytest.raises(InputError, match="has 4 pages; give one image for each frame"):
        read_mask_image(path)


def rectangle(rows, columns, name="", key=None, frame=0):
    mask = np.zeros(SIZE, bool)
    mask[slice(*rows), slice(*columns)] = True
    return ParsedRegion(frame, encode_rle(mask), name, key)


@pytest.mark.parametrize(
    ("name", "is_void"),
    [("_background_", False), ("__background__", False), ("Background", False), ("__ignore__", True), ("void", True)],
)
def test_negative_region_cuts_those_before_it(name, is_void):
    regions = [rectangle((2, 12), (2, 20), "a", 1), rectangle((4, 8), (4, 10), name)]
    found = match_regions(ParsedFile([*regions, rectangle((5, 6), (5, 6), "b", 2)]), VIDEO)
    expected = np.zeros(SIZE, int)
    expected[2:12, 2:20], expected[4:8, 4:10], expected[5, 5] = 1, 0, 2
    np.testing.assert_array_equal(found.mask(0), expected)
    assert found.void_mask(0).sum() == (23 if is_void else 0)
    assert found.class_names == {1: "a", 2: "b"}
    (warning,) = found.warnings
    assert warning.startswith("1 region of")


def test_file_of_negatives_only_has_no_object():
    with pytest.raises(InputError, match="contains no object"):
        match_regions(ParsedFile([rectangle((2, 12), (2, 20), "__ignore__")]), VIDEO)


def test_unknown_format_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [])
    paths = [tmp_path / name for name in ("masks.xml", "masks.txt", "masks.json", "folder")]
    for path in paths[:3]:
        path.write_text('{"a": 1}')
    paths[3].mkdir()
    for path in paths:
        with pytest.raises(InputError, match=r"OBJECT/FRAME.*plug-in"):
            read_annotations(path, VIDEO)


def test_colors_of_classes_rejected_without_the_studio(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [])
    Image.new("RGB", SIZE[::-1], "red").save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: has colors, .*--mask-format"):
        read_annotations(tmp_path / "mask.png", VIDEO)


def test_unknown_format_names_the_most_similar():
    with pytest.raises(InputError, match=r"format coko: not one of coco.*; did you mean coco\?"):
        find_mask_writer("coko")


def test_palette_masks_beside_a_label_map_have_ids(tmp_path):
    write_mask(tmp_path / "00000.png", draw_labels(0))
    (tmp_path / "labelmap.txt").write_text("person:255,0,0::")
    np.testing.assert_array_equal(read_annotations(tmp_path, VIDEO).mask(0), draw_labels(0))


def test_two_folders_of_one_object_rejected(tmp_path):
    for name in ("1", "01"):
        save_binary(tmp_path / name / "00000.png", draw_labels(0) == 3)
    with pytest.raises(InputError, match="two of the folders 01, 1 have the same object id"):
        read_annotations(tmp_path, VIDEO)


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg"])
def test_photo_is_not_a_mask(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    for read in (lambda path: read_annotations(path, VIDEO), read_mask):
        with pytest.raises(InputError, match=f"{name}: .*one object id per pixel"):
            read(tmp_path / name)


def test_broken_json_and_coco_with_replaced_parts(tmp_path):
    for text in (b"", b"{", b"[" * 100000, b"[NaN]", b"\xff"):
        (tmp_path / "bad.json").write_bytes(text)
        assert read_error(read_masks, tmp_path / "bad.json")
    tree = format_coco(sample_annotations(), VIDEO)
    tree["images"], tree["annotations"] = tree["images"][:2], tree["annotations"][:2]
    tree["annotations"][0]["segmentation"] = [[3, 3, 20, 4, 18, 16, 5, 12]]
    check_mutations(read_masks, tmp_path / "masks.json", tree, 60)


@pytest.mark.parametrize(("name", "make"), [
    *((f"pipe.{suffix}", make_pipe) for suffix in ("json", "xml", "png")),
    ("loop.json", lambda path: path.symlink_to(path)),
    *((name, lambda path: None) for name in ("n" * 300 + ".json", "a\0.json")),
])  # fmt: skip
def test_path_that_is_not_a_file_rejected(name, make, tmp_path):
    make(tmp_path / name)
    assert read_error(read_masks, tmp_path / name, (InputError, OSError))


def test_folder_with_circular_links_and_pipes(tmp_path):
    (tmp_path / "1").mkdir()
    save_binary(tmp_path / "1" / "00000.png", draw_labels(0) > 0)
    (tmp_path / "2").symlink_to(tmp_path / "2")
    (tmp_path / "3").symlink_to(tmp_path)
    assert len(read_masks(tmp_path)) == 1
    make_pipe(tmp_path / "1" / "00001.png")
    assert read_error(read_masks, tmp_path)


def test_closed_folder_rejected(closed_folder):
    for path in (closed_folder, closed_folder / "masks.json"):
        with pytest.raises((InputError, PermissionError), match="closed"):
            read_masks(path)


def test_images_of_black_and_white_are_binary(tmp_path, caplog):
    for frame in (1, 2):
        save_binary(tmp_path / f"0000{frame}.png", draw_labels(frame) == 3)
    np.testing.assert_array_equal(read_annotations(tmp_path, VIDEO).mask(2), draw_labels(2) == 3)
    assert caplog.text.count("00001.png: black and white, so read as --mask-format binary: white is object 1") == 1
    assert not read_annotations(tmp_path, replace(VIDEO, mask_format="binary")).void
    with pytest.raises(InputError, match="contains no object"):  # 255 is undecided
        read_annotations(tmp_path, replace(VIDEO, mask_format="ids"))
    write_mask(tmp_path / "00003.png", draw_labels(3))
    found = read_annotations(tmp_path, VIDEO)
    assert not found.frames[2]
    np.testing.assert_array_equal(found.void_mask(2), draw_labels(2) == 3)


@pytest.mark.parametrize(("width", "words"), [(20, "has more than 100 different ids"), (3, "like the gray ones of a")])
def test_soft_masks_are_read_with_their_format_only(tmp_path, width, words):
    y, x = np.mgrid[:120, :160]
    soft = (np.clip((40 - np.hypot(y - 60, x - 80)) / width + 0.5, 0, 1) * 63).round().astype(np.uint8) * 4
    soft += (np.clip(width - 19, 0, 1) * (x % 4)).astype(np.uint8)
    (tmp_path / "1").mkdir()
    Image.fromarray(soft).save(tmp_path / "1" / "00001.png")
    video = VideoInfo("clip", soft.shape, 3)
    with pytest.raises(InputError, match=rf"00001\.png: .*{words}.*--mask-format"):
        read_annotations(tmp_path / "1", video, check=require_ids)
    with pytest.raises(InputError, match=r"gray values up to \d+, but OBJECT/FRAME.png .*--mask-format soft"):
        read_annotations(tmp_path, video)
    for path in (tmp_path, tmp_path / "1"):
        found = read_annotations(path, replace(video, mask_format="soft", start_number=1))
        np.testing.assert_array_equal(found.mask(0), soft > 127)


def test_thin_objects_are_read_if_their_format_is_stated(tmp_path):
    path, video = tmp_path / "00000.png", VideoInfo("clip", (48, 64), 1)
    write_mask(path, draw_thin_stripes())
    with pytest.raises(InputError, match=r"12 values, like .*; give --mask-format soft .* or --mask-format ids$"):
        read_annotations(path, video, check=require_ids)
    found = read_annotations(path, replace(video, mask_format="ids"), check=require_ids)
    np.testing.assert_array_equal(found.mask(0), draw_thin_stripes())


@pytest.mark.parametrize("name", ["00002.png", "1/00002.png"])
def test_white_of_16_bits_is_object_1(tmp_path, caplog, name):
    matte = np.where(draw_labels(2) == 3, 65535, 0).astype(np.uint16)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.fromarray(matte).save(tmp_path / name)
    found = read_annotations(tmp_path, VIDEO)
    np.testing.assert_array_equal(found.mask(2), draw_labels(2) == 3)
    if name == "00002.png":
        assert "white is object 1" in caplog.text
        write_mask(tmp_path / "00003.png", np.where(draw_labels(3), 300, 0))
        assert read_annotations(tmp_path, VIDEO).objects() == [300, 65535]


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_black_and_white_colors_are_object_1(tmp_path, folder, mode):
    Image.fromarray(np.uint8(255) * (draw_labels(2) == 3)).convert(mode).save(tmp_path / "00002.png")
    if folder:
        Image.new(mode, SIZE[::-1], "black").save(tmp_path / "00003.png")
    found = read_annotations(tmp_path if folder else tmp_path / "00002.png", VIDEO, frame=None if folder else 2)
    np.testing.assert_array_equal(found.mask(2), draw_labels(2) == 3)
    assert [*found.frames] == [2, 3][: 1 + folder]


def test_more_than_100_ids_are_asked_about(tmp_path):
    mask = np.kron(np.arange(1, 201, dtype=np.uint8).reshape(10, 20), np.ones((3, 3), np.uint8))
    write_mask(tmp_path / "many.png", mask)
    video = VideoInfo("clip", mask.shape, 3)
    with pytest.raises(InputError, match=r"many\.png: has more than 100 different ids, like a photo or a soft mask"):
        read_annotations(tmp_path / "many.png", video)
    assert len(read_annotations(tmp_path / "many.png", replace(video, mask_format="ids")).objects()) == 200


def test_empty_mask_of_a_folder_is_kept(tmp_path):
    for frame in (0, 1, 3):
        write_mask(tmp_path / f"{frame:05d}.png", draw_labels(frame) * (frame != 1))
    found = read_annotations(tmp_path, VIDEO)
    assert {frame: len(regions) for frame, regions in found.frames.items()} == {0: 1, 1: 0, 3: 2}
    np.testing.assert_array_equal(found.mask(3), draw_labels(3))


def test_file_of_another_video_is_reported(tmp_path, caplog):
    path = tmp_path / "bear.json"
    path.write_text(json.dumps(format_coco(sample_annotations(), replace(VIDEO, name="bear"))))
    read_annotations(path, VIDEO)
    assert f"{path}: belongs to video bear, not clip" in caplog.text
    with pytest.raises(InputError, match=r"bear\.json: belongs to video bear, not clip"):
        read_annotations(path, VIDEO, strict=True)
    path.write_text(json.dumps(format_coco(sample_annotations(), replace(VIDEO, name="clip.MP4"))))
    read_annotations(path, VIDEO, strict=True)


def test_results_have_video_and_classes_of_their_record(tmp_path, caplog):
    results = write_results(tmp_path, labels=draw_labels(0), video="bear")
    results.classes.class_names = {2: "ball"}
    results.save()
    assert read_annotations(tmp_path, VIDEO).class_names == {2: "ball"}
    assert f"{tmp_path}/masks: belongs to video bear, not clip" in caplog.text
    with pytest.raises(InputError, match="belongs to video bear"):
        read_annotations(tmp_path, VIDEO, strict=True)
    assert "unfinished" not in caplog.text
    results.inputs["video"]["name"], results.status = "clip", "unfinished"
    results.save()
    read_annotations(tmp_path, VIDEO, strict=True)
    assert f"{tmp_path}: results of an unfinished run (not finished)" in caplog.text


def test_file_without_objects_rejected_for_one_frame(tmp_path, offer):
    (tmp_path / "first.box").write_text("")
    empty = Annotations(VIDEO.size, {0: [], 1: []})
    offer(MASK_READER_PLUGINS, box=lambda path, video: empty)
    with pytest.raises(InputError, match=r"first\.box: contains no object"):
        read_annotations(tmp_path / "first.box", VIDEO, frame=5)


def test_more_objects_than_ids_rejected():
    regions = [ParsedRegion(0, sample_annotations().frames[0][0].rle)] * (MAX_ID + 1)
    with pytest.raises(InputError, match="has more than 65535 objects; split it"):
        match_regions(ParsedFile(regions), VIDEO)


def make_regions(*places):
    """Regions of a frame, a key and a class."""
    rles = [encode_rle(draw_labels(2) == number) for number in (3, 7)]
    return [ParsedRegion(frame, rles[at % 2], name, key) for at, (frame, key, name) in enumerate(places)]


def match_objects(*places):
    found = match_regions(ParsedFile(make_regions(*places)), VIDEO)
    return {frame: [region.object_id for region in regions] for frame, regions in found.frames.items()}


def match_groups(*places):
    return match_objects(*((frame, GroupKey(label, number), label) for frame, label, number in places))


def test_label_and_group_are_an_object():
    assert match_groups((0, "car", 5), (0, "car", 5), (0, "car", 6)) == {0: [5, 6]}
    assert match_groups((0, "car", 5), (0, "car", 6), (2, "car", 5)) == {0: [5, 6], 2: [5]}
    assert match_groups((0, "car", 5), (2, "dog", 5)) == {0: [1], 2: [2]}
    assert match_groups((0, "car", 5), (2, "car", 5), (0, "car", 6), (2, "dog", 6)) == {0: [5, 1], 2: [5, 2]}


def test_groups_on_one_frame_each_rejected():
    with pytest.raises(
        InputError, match=r"groups 5, 6 of 'car' are on one frame each.*; give an object the same group"
    ):
        match_groups((0, "car", 5), (0, "car", 5), (2, "car", 6), (2, "car", 6), (0, "dog", 5))


def test_object_of_two_classes_is_named():
    found = match_regions(ParsedFile(make_regions((0, 4, "dog"), (2, 4, "wolf"))), VIDEO)
    (warning,) = found.warnings
    assert warning.startswith("object 4 is 'dog' and on other frames 'wolf', and gets the class 'dog'")
    assert found.objects() == [4]
    with pytest.raises(InputError, match="frame 2 has one object 4 of the classes 'dog' and 'wolf'; give"):
        match_objects((2, 4, "dog"), (2, 4, "wolf"))


def test_parts_of_an_object_are_joined_with_their_attributes():
    regions = [
        ParsedRegion(2, encode_rle(draw_labels(2) == number), key=1, attributes=values)
        for number, values in ((3, {"pose": "up", "color": "red"}), (7, {"pose": "down"}))
    ]
    (region,) = match_regions(ParsedFile(regions), VIDEO).frames[2]
    assert region.attributes == {"pose": "down", "color": "red"}
    np.testing.assert_array_equal(decode_rle(region.rle, SIZE), draw_labels(2) > 0)
