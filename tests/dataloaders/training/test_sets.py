"""Training sets in their published layouts."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.labeled_video import ObjectInfo
from aotlab.dataloaders.training.layouts import READERS, open_set
from aotlab.dataloaders.training.sets import ImageSet, VideoSet, list_frame_pairs
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_list, write_noise
from aotlab_testing.mutations import raises_one_sentence

SIZE = 24, 32
IDS = np.zeros(SIZE, np.uint8)
IDS[2:8, 2:8], IDS[10:20, 4:20], IDS[0, :] = 1, 3, 255


def add_video(root, name, *, frames=3, step=1, mask=IDS):
    for index in range(0, frames * step, step):
        write_noise(root / "JPEGImages" / name / f"{index:05d}.jpg")
        write_mask(root / "Annotations" / name / f"{index:05d}.png", mask)


def draw_gray_columns():
    """Gray levels 0, 100, 128 and 255 in four columns."""
    return np.repeat(np.array([0, 100, 128, 255], np.uint8), 8)[None].repeat(SIZE[0], axis=0)


def open_source(root, kind, split=None):
    return open_set(root.parent, SourceConfig(path=root.name, kind=kind, split=split))


def list_ids(item):
    """The ids of an item, read together with its image."""
    image, mask = item.read()
    assert (image.shape[:2], image.dtype, mask.dtype) == (mask.shape, np.uint8, np.uint8)
    np.testing.assert_array_equal(mask, item.read_mask())
    return set(np.unique(mask).tolist())


def test_static_sets_are_folders_or_loose_images(tmp_path):
    write_noise(tmp_path / "JPEGImages/A/1.jpg")
    write_noise(tmp_path / "JPEGImages/B/2.JPG")
    write_noise(tmp_path / "JPEGImages/3.png")
    for suffix in ("jpg", "png"):
        write_noise(tmp_path / f"JPEGImages/4.{suffix}")  # the first of the suffixes wins
    for name in ("A/1", "B/2", "3", "4"):
        write_mask(tmp_path / f"Annotations/{name}.png", IDS)
    found = open_source(tmp_path, "static")
    assert isinstance(found, ImageSet)
    names = sorted(image.image.name for image in found.images)
    assert names == ["1.jpg", "2.JPG", "3.png", "4.jpg"]
    assert all(list_ids(image) == {0, 1, 3, 255} for image in found.images)


def test_unpaired_files_are_ignored_and_only_255_is_one_object(tmp_path):
    for name in ("1", "2", "._1"):
        write_noise(tmp_path / f"JPEGImages/A/{name}.jpg")
    for name in ("1", "3", "._1"):
        write_mask(tmp_path / f"Annotations/A/{name}.png", np.where(IDS == 3, 255, 0))
    (image,) = open_source(tmp_path, "static").images
    assert image.image.match("A/1.jpg")
    assert list_ids(image) == {0, 1}


def test_static_split_lists_sets_or_images(tmp_path):
    for name in ("A/1", "B/2", "3", "4"):
        write_noise(tmp_path / f"JPEGImages/{name}.jpg")
        write_mask(tmp_path / f"Annotations/{name}.png", IDS)
    write_list(tmp_path / "ImageSets/some.txt", ["B", "4"])
    found = open_source(tmp_path, "static", "some")
    assert sorted(image.image.name for image in found.images) == ["2.jpg", "4.jpg"]


def test_videos_may_be_sparsely_labeled(tmp_path):
    add_video(tmp_path, "dense")
    add_video(tmp_path, "sparse", frames=5)
    for index in (0, 2, 3):
        (tmp_path / f"Annotations/sparse/{index:05d}.png").unlink()
    add_video(tmp_path, "single", frames=1)
    found = open_source(tmp_path, "video")
    assert isinstance(found, VideoSet)
    assert [(video.name, len(video.frames)) for video in found.videos] == [("dense", 3), ("sparse", 2)]
    assert [frame.name for frame in found.videos[1].frames] == ["00001.jpg", "00004.jpg"]
    assert list_ids(list_frame_pairs(found.videos[1])[0]) == {0, 1, 3, 255}


@pytest.mark.parametrize("kind", ["video", "vost", "youtube_vos"])
def test_video_split_selects_and_orders(tmp_path, kind):
    for name in ("a", "b", "c"):
        add_video(tmp_path, name)
    youtube_vos(tmp_path, {name: {"1": {"frames": ["00000", "00001"]}} for name in ("a", "b", "c")})
    write_list(tmp_path / "ImageSets/2022/train.txt", ["c", "", "a ", "c"])
    found = open_source(tmp_path, kind, "2022/train")
    assert [video.name for video in found.videos] == ["c", "a"]


@pytest.mark.parametrize("base", ["", "DAVIS"])
@pytest.mark.parametrize("resolution", ["480p", "Full-Resolution"])
def test_davis_2017_is_read_at_any_resolution(tmp_path, base, resolution):
    for name in ("bear", "camel", "deer"):
        add_video(tmp_path / base, f"{resolution}/{name}")
    write_list(tmp_path / base / "ImageSets/2017/train.txt", ["camel", "bear"])
    video, other = open_source(tmp_path, "davis").videos
    assert (video.name, other.name) == ("bear", "camel")
    assert list_ids(list_frame_pairs(video)[0]) == {0, 1, 3, 255}


@pytest.mark.parametrize("lists", ["2016", "480p"])
def test_davis_2016_has_one_object_and_lists_frames(tmp_path, lists):
    add_video(tmp_path, "480p/bear", mask=np.where(IDS > 0, 255, 0))
    pairs = [f"/JPEGImages/480p/bear/0000{n}.jpg /Annotations/480p/bear/0000{n}.png" for n in range(3)]
    write_list(tmp_path / f"ImageSets/{lists}/train.txt", pairs)
    (video,) = open_source(tmp_path, "davis", "2016/train").videos
    assert list_ids(list_frame_pairs(video)[2]) == {0, 1}


def youtube_vos(base, meta):
    base.mkdir(parents=True, exist_ok=True)
    (base / "meta.json").write_text(json.dumps({"videos": {k: {"objects": v} for k, v in meta.items()}}))


@pytest.mark.parametrize("base", ["", "train"])
def test_youtube_vos_drops_single_frames(tmp_path, base):
    for name in ("good", "short", "gone"):
        add_video(tmp_path / base, name, frames=4, step=5)
    stems = ["00000", "00005", "00010", "00015"]
    meta = {
        "good": {"1": {"category": "cat", "frames": stems[1:3]}, "3": {"frames": stems[:1]}},
        "short": {"1": {"frames": stems[:1]}},
    }
    youtube_vos(tmp_path / base, meta)
    (video,) = open_source(tmp_path, "youtube_vos").videos
    assert video.name == "good"
    assert [frame.stem for frame in video.frames] == ["00005", "00010"]
    assert list_ids(list_frame_pairs(video)[0]) == {0, 1, 255}


def test_listed_video_without_frames_rejected(tmp_path):
    add_video(tmp_path, "a", step=5)
    youtube_vos(tmp_path, {name: {"1": {"frames": ["00000", "00005"]}} for name in ("a", "absent")})
    with pytest.raises(InputError, match=r"JPEGImages/absent: no such folder; expected the frames"):
        open_source(tmp_path, "youtube_vos")


@pytest.mark.parametrize(("kind", "image", "mask"), [
    ("ecssd", "images/0001.jpg", "ground_truth_mask/0001.png"),
    ("ecssd", "ECSSD/images/0001.jpg", "ECSSD/ground_truth_mask/0001.png"),
    ("msra10k", "MSRA10K_Imgs_GT/Imgs/5.jpg", "MSRA10K_Imgs_GT/Imgs/5.png"),
    ("msra10k", "Imgs/5.jpg", "Imgs/5.png"),
    ("pascal_s", "datasets/imgs/pascal/7.jpg", "datasets/masks/pascal/7.png"),
    ("pascal_s", "imgs/pascal/7.jpg", "masks/pascal/7.png"),
])  # fmt: skip
def test_saliency_is_one_bright_object(tmp_path, kind, image, mask):
    write_noise(tmp_path / image)
    (tmp_path / mask).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_gray_columns()).save(tmp_path / mask)
    (item,) = open_source(tmp_path, kind).images
    assert list_ids(item) == {0, 1}
    np.testing.assert_array_equal(item.read_mask(), draw_gray_columns() > 127)


@pytest.mark.parametrize("mode", ["RGB", "1", "LA"])
def test_saliency_maps_of_every_mode_are_read(tmp_path, mode):
    write_noise(tmp_path / "images/1.jpg")
    path = tmp_path / "ground_truth_mask/1.png"
    path.parent.mkdir()
    Image.fromarray(np.where(draw_gray_columns() > 127, np.uint8(255), np.uint8(0))).convert(mode).save(path)
    (item,) = open_source(tmp_path, "ecssd").images
    np.testing.assert_array_equal(item.read_mask(), draw_gray_columns() > 127)


@pytest.mark.parametrize("base", ["VOCdevkit/VOC2012", "VOC2012", ""])
@pytest.mark.parametrize(("split", "count"), [(None, 2), ("train", 1)])
def test_voc_reads_listed_instances(tmp_path, base, split, count):
    for name in ("2007_1", "2007_2", "2007_3"):
        write_noise(tmp_path / base / f"JPEGImages/{name}.jpg")
        write_mask(tmp_path / base / f"SegmentationObject/{name}.png", IDS)
    write_list(tmp_path / base / "ImageSets/Segmentation/trainval.txt", ["2007_1", "2007_3"])
    write_list(tmp_path / base / "ImageSets/Segmentation/train.txt", ["2007_3"])
    images = open_source(tmp_path, "voc2012", split).images
    assert len(images) == count
    assert list_ids(images[-1]) == {0, 1, 3, 255}
    assert images[-1].image.name == "2007_3.jpg"


@pytest.mark.parametrize("kind", sorted(READERS))
def test_unknown_layout_rejected(tmp_path, kind):
    (tmp_path / "set/other").mkdir(parents=True)
    words = {
        "davis": r"set/ImageSets/2017/train\.txt: no such file",
        "vost": r"set/ImageSets/train\.txt: no such file",
        "youtube_vos": r"set/train/JPEGImages: no such folder; expected JPEGImages and Annotations",
    }.get(kind, r"/set: no .* in it; expected ")
    with raises_one_sentence(words):
        open_set(tmp_path, SourceConfig(path="set", kind=kind))
    with pytest.raises(InputError, match=f"nowhere: no such folder; expected a training set of kind {kind}"):
        open_set(tmp_path, SourceConfig(path="nowhere", kind=kind))


@pytest.mark.parametrize(("kind", "split", "words"), [
    ("video", "zebra", r"JPEGImages/zebra: no such file; the list"),
    ("video", "val", r"no video with 2 frames"),
    ("video", "train", r"train\.txt: no such file; choose the split val or zebra"),
    ("ecssd", "train", "split=train: ecssd has no splits"),
    ("other", None, r"kind other: not one of static, coco, "),
])  # fmt: skip
def test_invalid_split_or_kind_rejected(tmp_path, kind, split, words):
    add_video(tmp_path, "a")
    write_list(tmp_path / "ImageSets/zebra.txt", ["a", "zebra"])
    write_list(tmp_path / "ImageSets/val.txt", [""])
    with pytest.raises(InputError, match=words):
        open_source(tmp_path, kind, split)


@pytest.mark.parametrize("kind", ["static", "video"])
def test_fingerprint_depends_on_contents_only(tmp_path, kind):
    for video in "ab":
        add_video(tmp_path / "first", video)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    expected = open_source(tmp_path / "first", kind).fingerprint()
    assert expected.startswith("12 files, SHA-256 ")
    assert open_source(tmp_path / "copy", kind).fingerprint() == expected
    for path in (path for path in (tmp_path / "copy").rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(content + b"0")
        assert open_source(tmp_path / "copy", kind).fingerprint() != expected
        path.write_bytes(content)
    assert open_source(tmp_path / "copy", kind).fingerprint() == expected


def test_fingerprint_depends_on_listed_objects(tmp_path):
    add_video(tmp_path, "a")
    videos = open_source(tmp_path, "video").videos
    lists = [(), (ObjectInfo(1, ("00000", "00001")),), (ObjectInfo(1, ("00000",)),)]
    assert len({VideoSet((replace(videos[0], objects=objects),), 1).fingerprint() for objects in lists}) == 3


def test_set_without_masks_rejected(tmp_path):
    write_noise(tmp_path / "JPEGImages/a/1.jpg")
    (tmp_path / "Annotations/a").mkdir(parents=True)
    with pytest.raises(InputError, match="no image with a mask"):
        open_source(tmp_path, "static")
    with pytest.raises(InputError, match="no video with 2 frames that have masks"):
        open_source(tmp_path, "video")


def test_broken_meta_file_rejected(tmp_path):
    add_video(tmp_path, "a")
    for text in ("{", "[]", '{"videos": {"a": {}}}'):
        (tmp_path / "meta.json").write_text(text)
        with pytest.raises(InputError, match=r"meta\.json: not readable"):
            open_source(tmp_path, "youtube_vos")


def test_ids_above_255_rejected(tmp_path):
    write_noise(tmp_path / "JPEGImages/1.jpg")
    write_mask(tmp_path / "Annotations/1.png", np.full(SIZE, 300))
    (item,) = open_source(tmp_path, "static").images
    with pytest.raises(InputError, match=r"1\.png: object id 300"):
        item.read()
