"""COCO JSON: loaded by pycocotools, and read back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import encode

from aotlab import InputError
from aotlab.sdk import encode_rle
from aotlab_testing.mutations import raise_error
from aotlab_testing.video.sample import LENGTH, SIZE, VIDEO, draw_labels, sample_annotations
from aotlab_video import Region, VideoInfo, format_coco, read_annotations
from aotlab_video.masks.coco import compress_rle, require_size, rle_to_box


@pytest.fixture
def tree():
    return json.loads(json.dumps(format_coco(sample_annotations(), VIDEO)))


@pytest.fixture
def read(tmp_path):
    def read(tree, video=VIDEO, **options):
        (tmp_path / "coco.json").write_text(json.dumps(tree))
        return read_annotations(tmp_path / "coco.json", video, **options)

    return read


def test_pycocotools_loads_and_evaluates_coco(tree, tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps(tree))
    truth = COCO(str(tmp_path / "coco.json"))
    assert len(truth.getImgIds()) == LENGTH
    for annotation in truth.loadAnns(truth.getAnnIds()):
        frame = truth.loadImgs(annotation["image_id"])[0]["frame_id"]
        np.testing.assert_array_equal(truth.annToMask(annotation), draw_labels(frame) == annotation["track_id"])
    evaluation = COCOeval(truth, truth.loadRes(tree["annotations"]), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_coco_round_trip_keeps_masks_and_classes(tree, read):
    found = read(tree)
    assert sorted(found.frames) == list(range(LENGTH))
    for frame in range(LENGTH):
        np.testing.assert_array_equal(found.mask(frame), draw_labels(frame))
    assert found.class_names == {3: "person", 7: "ball"}


def test_image_names_take_precedence_over_numbers(tree, read):
    backwards = VideoInfo("clip", SIZE, LENGTH, frame_names=VIDEO.frame_names[::-1])
    np.testing.assert_array_equal(read(tree, backwards).mask(0), draw_labels(LENGTH - 1))
    shifted = VideoInfo("clip", SIZE, LENGTH, frame_names=(*VIDEO.frame_names[1:], "00004"))
    with pytest.raises(InputError, match="00000"):
        read(tree, shifted)
    for image in tree["images"]:
        del image["frame_id"]
    with pytest.raises(InputError, match="00000"):
        read(tree, shifted)


def test_frame_ids_and_names_of_a_video_file_agree(tree, read):
    for image in tree["images"]:
        image["file_name"] = f"{image['frame_id'] + 1:05d}.jpg"
    tree["annotations"] = [record for record in tree["annotations"] if record["image_id"] < LENGTH]
    tree["images"] = tree["images"][:-1]
    with pytest.raises(InputError, match=r"'00001' is number 0 in the file, but 00001 in its name; .*start-number"):
        read(tree, VideoInfo("clip", SIZE, LENGTH))
    video = VideoInfo("clip", SIZE, LENGTH, start_number=1)
    np.testing.assert_array_equal(read(tree, video).mask(0), draw_labels(0))
    tree["info"] = {}
    for image in tree["images"]:
        image["frame_id"] = True  # not a number
    assert sorted(read(tree, replace(video, start_number=0)).frames) == list(range(1, LENGTH))
    with pytest.raises(InputError, match=r"a frame 1 and no frame 0, .*--mask-start-number 1 .*--mask-start-number 0"):
        read(tree, replace(video, start_number=None))


def test_two_images_of_one_name_rejected(tree, read):
    first, second = tree["images"][:2]
    second |= first | {"id": second["id"]}
    with pytest.raises(InputError, match=r"2 of its images are called 'clip/00000\.jpg"):
        read(tree)


def test_attributes_in_a_list_are_ignored(tree, read):
    for record in tree["annotations"]:
        record["attributes"] = ["occluded"]
    np.testing.assert_array_equal(read(tree).mask(0), draw_labels(0))


def test_counts_and_polygons_are_read(tree, read):
    first = tree["annotations"][0]
    counts = encode_rle(draw_labels(0) == 3).tolist()
    tree["annotations"] = [first | {"segmentation": {"size": list(SIZE), "counts": counts}}]
    np.testing.assert_array_equal(read(tree).mask(0), draw_labels(0))
    tree["annotations"] = [first | {"segmentation": [[2, 3, 16, 3, 16, 15, 2, 15]]}]
    np.testing.assert_array_equal(read(tree).mask(0)[3:15, 2:16], 3)


def test_class_identifies_object_without_track_ids(tree, read):
    for annotation in tree["annotations"]:
        del annotation["track_id"], annotation["attributes"]
    assert read(tree).class_names == {1: "person", 2: "ball"}
    for annotation in tree["annotations"]:
        annotation["category_id"] = 1
    with pytest.raises(InputError, match="track ids"):
        read(tree)
    tree["annotations"] = tree["annotations"][2:4]  # both of one frame
    assert read(tree).objects() == [1, 2]


@pytest.mark.parametrize(("convert", "ids"), [(float, {3, 7}), (lambda _: -1, {1, 2}), (lambda _: "", {1, 2})])
def test_placeholders_of_track_ids_do_not_join_objects(tree, read, convert, ids):
    for annotation in tree["annotations"]:
        del annotation["attributes"]
        annotation["track_id"] = convert(annotation["track_id"])
    assert set(read(tree).objects()) == ids


def test_class_name_null_is_no_name(tree, read):
    for category in tree["categories"]:
        category["name"] = None
    assert read(tree).class_names == {}


def test_track_id_0_identifies_an_object(tree, read, caplog):
    for annotation in tree["annotations"]:
        annotation |= {"attributes": {}, "track_id": 0, "category_id": 1}
    assert len(read(tree).objects()) == 1
    assert "object ids are 1 to 65535, so 0 is object 1" in caplog.text


@pytest.mark.parametrize("holder", [lambda key: {"extra": {"instance_id": key}}, lambda key: {"track_id": key}])
def test_object_is_read_where_tools_store_it(tree, read, holder):
    for record in tree["annotations"]:
        key = record.pop("track_id") + 40
        record |= {"attributes": {}, **holder(key)}
    assert read(tree).objects() == [43, 47]


def test_video_is_chosen_by_name(tree, read):
    tree["videos"].append({"id": 2, "name": "other", "height": 9, "width": 9, "length": 1})
    tree["images"].append({"id": 99, "video_id": 2, "file_name": "o.jpg", "height": 9, "width": 9})
    np.testing.assert_array_equal(read(tree).mask(0), draw_labels(0))
    tree["videos"][0]["name"] = "clip.mp4"
    np.testing.assert_array_equal(read(tree).mask(0), draw_labels(0))
    with pytest.raises(InputError, match="none of them called 'third'"):
        read(tree, VideoInfo("third", SIZE))


def test_videos_of_other_sizes_are_dropped_by_folder(tree, read):
    for image in tree["images"]:
        image["file_name"] = image["file_name"].replace("clip/", "bus/")
    del tree["videos"]
    bear = {"id": 99, "frame_id": 0, "file_name": "bear/00000.jpg", "height": 9, "width": 9}
    tree["images"].insert(0, bear)
    tree["annotations"].append({"image_id": 99, "track_id": 3, "segmentation": [[1, 1, 5, 1, 5, 5]]})
    bus = VideoInfo("bus", SIZE, LENGTH, frame_names=VIDEO.frame_names)
    np.testing.assert_array_equal(read(tree, bus).mask(0), draw_labels(0))
    assert read(tree, VideoInfo("bear", (9, 9), 1)).objects() == [3]
    with pytest.raises(InputError, match="in the folders 'bear', 'bus'"):
        read(tree)


def test_single_frame_is_read(tree, read):
    assert list(read(tree, frame=2).frames) == [2]
    with pytest.raises(InputError, match="no object on frame 9, but on 0, 1, 2"):
        read(tree, frame=9)
    tree["annotations"] = tree["annotations"][:1]
    with pytest.raises(InputError, match="no object on frame 2, but on 0"):
        read(tree, frame=2)
    tree["images"] = tree["images"][:1]
    assert list(read(tree, frame=2).frames) == [2]  # a file of one image is used for any frame


@pytest.mark.parametrize(("change", "words"), [
    ({"images": 3}, "not readable"),
    ({"annotations": [{"segmentation": 3}]}, r"missing 'annotations\.0\.image_id'"),
    ({"images": [{"id": 1, "height": 9, "width": 40, "file_name": "0.jpg"}]}, "40×9"),
    ({"images": [{"id": 1, "height": 10**9, "width": 40, "file_name": "0.jpg"}]}, "1000000000"),
    ({"annotations": [{"image_id": 1, "segmentation": {"size": list(SIZE), "counts": "zz"}}]}, "run lengths"),
    ({"annotations": [{"image_id": 1, "segmentation": {"size": [9, 9], "counts": "zz"}}]}, "segmentation"),
    ({"annotations": [{"image_id": 1, "segmentation": [[1, 1, 1e300, 3, 4, 4]]}]}, "coordinate"),
    ({"annotations": [{"id": 8, "image_id": 1, "segmentation": [1, 1, 9, 3, 4, 4]}]}, "jpg, annotation 8: .*list"),
    ({"annotations": [{"id": 8, "image_id": 1, "segmentation": [[1, 1]]}]}, "only 1 region without pixels"),
    ({"annotations": []}, "contains no object"),
])  # fmt: skip
def test_invalid_coco_rejected(tree, read, change, words):
    with pytest.raises(InputError, match=words):
        read(tree | change)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, "left out: 1 box without a mask"),
        ([[]], "left out: 1 box without a mask"),
        ([[1, 1, 5, 5]], r"left out: 1 region without pixels (clip/00003.jpg"),
    ],
)
def test_annotations_without_a_mask_are_reported(tree, read, caplog, segmentation, words):
    tree["annotations"][-1]["segmentation"] = segmentation
    np.testing.assert_array_equal(read(tree).mask(0), draw_labels(0))
    assert words in caplog.text


def test_undeclared_category_keeps_its_id(tree, read):
    tree["categories"] = [category for category in tree["categories"] if category["name"] == "person"]
    found = read(tree)
    assert found.class_names == {3: "person", 7: "class 1"}
    assert found.classes["class 1"] == 1


def test_first_of_two_categories_of_a_name_is_its_class(tree, read):
    classes = read(tree).classes
    tree["categories"].append({"id": 9, "name": "person"})
    assert read(tree).classes == classes


def test_absent_objects_are_not_annotations(read):
    annotations = sample_annotations()
    annotations.frames[1].append(Region(7, encode_rle(np.zeros(SIZE, bool))))
    tree = format_coco(annotations, VIDEO)
    assert all(record["area"] and record["bbox"][2] for record in tree["annotations"])
    assert [image.get("absent") for image in tree["images"][:2]] == [None, [{"track_id": 7, "lost": False}]]
    assert [(region.object_id, region.area > 0) for region in read(tree).frames[1]] == [(3, True), (7, False)]
    segmentation = {"size": list(SIZE), "counts": [SIZE[0] * SIZE[1]]}  # as aotlab 0.2 wrote them
    old = tree | {"annotations": [*tree["annotations"], {"image_id": 1, "track_id": 7, "segmentation": segmentation}]}
    assert [(region.object_id, region.area > 0) for region in read(old).frames[0]] == [(3, True), (7, False)]


def test_image_without_objects_is_kept(tree, read):
    tree["annotations"] = [record for record in tree["annotations"] if record["image_id"] != 2]
    found = read(tree)
    assert sorted(found.frames) == list(range(LENGTH))
    assert found.frames[1] == []


def test_size_of_another_video_rejected():
    require_size(24, 40, (24, 40))
    with pytest.raises(ValueError, match=r"images of 40×24, not 40×25 as the video"):
        require_size(24, 40, (25, 40))


def test_box_surrounds_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((7, 9)) < 0.15
        rows, columns = np.nonzero(mask)
        expected = [0.0] * 4
        if len(rows):
            expected = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert rle_to_box(encode_rle(mask), mask.shape) == expected


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_compressed_runs_equal_those_of_pycocotools(density):
    mask = np.random.default_rng(3).random((37, 53)) < density
    assert compress_rle(encode_rle(mask)) == encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


@pytest.mark.parametrize("function", ["parse_segmentation", "read_object_key", "RegionParser.finish", "select_images"])
@pytest.mark.parametrize("error", [TypeError, KeyError])
def test_bug_of_the_reader_keeps_its_traceback(tree, read, monkeypatch, function, error):
    monkeypatch.setattr(f"aotlab_video.masks.coco.{function}", raise_error(error))
    with pytest.raises(error):
        read(tree)
