"""Training sets in every layout in which they are distributed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.image_sets import is_held_out
from aotlab.dataloaders.training.labelled import ImageSet, VideoSet
from aotlab.dataloaders.training.phases import READERS, open_set
from aotlab.media.masks import write_mask
from tests.dataloaders.training.drawn_sets import (
    IDS,
    add_grey,
    add_image,
    add_list,
    add_video,
    grades,
    opened,
    values,
)
from tests.dataloaders.training.made import write_videos


def test_every_kind_of_the_settings_has_a_reader():
    for kind in READERS:
        SourceConfig("x", kind)
    with pytest.raises(ValueError, match="kind must be one of") as error:
        SourceConfig("x", "other")
    assert all(kind in READERS for kind in str(error.value).split("one of ")[1].split(", got")[0].split(", "))


def test_static_sets_lie_side_by_side_or_loose(tmp_path):
    add_image(tmp_path / "JPEGImages/A/1.jpg")
    add_image(tmp_path / "JPEGImages/B/2.JPG")
    add_image(tmp_path / "JPEGImages/3.png")
    for name in ("A/1", "B/2", "3"):
        write_mask(tmp_path / f"Annotations/{name}.png", IDS)
    found = opened(tmp_path, "static")
    assert isinstance(found, ImageSet)
    assert sorted(image.name.rsplit("/", 1)[1] for image in found.images) == ["1.jpg", "2.JPG", "3.png"]
    assert all(values(image) == {0, 1, 3, 255} for image in found.images)


def test_one_image_in_20_of_a_static_set_may_stay_out_of_training(tmp_path):
    write_videos(tmp_path / "data", "a", frames=60, size=(8, 8))
    source = SourceConfig("data", kind="static")
    whole = open_set(tmp_path, source).images
    kept = open_set(tmp_path, replace(source, hold_out=True)).images
    left_out = {image.name for image in whole} - {image.name for image in kept}
    assert 0 < len(left_out) < 12
    assert all(is_held_out(Path(name)) for name in left_out)


def test_a_static_mask_of_255_alone_is_one_object(tmp_path):
    add_image(tmp_path / "JPEGImages/1.jpg")
    write_mask(tmp_path / "Annotations/1.png", np.where(IDS == 3, 255, 0))
    (image,) = opened(tmp_path, "static").images
    assert values(image) == {0, 1}


def test_unpaired_images_and_hidden_files_are_passed_over(tmp_path):
    for name in ("1", "2", "._1"):
        add_image(tmp_path / f"JPEGImages/A/{name}.jpg")
    for name in ("1", "3", "._1"):
        write_mask(tmp_path / f"Annotations/A/{name}.png", IDS)
    (image,) = opened(tmp_path, "static").images
    assert image.name.endswith("A/1.jpg")


def test_a_split_of_a_static_set_names_sets_or_loose_images(tmp_path):
    for name in ("A/1", "B/2", "3", "4"):
        add_image(tmp_path / f"JPEGImages/{name}.jpg")
        write_mask(tmp_path / f"Annotations/{name}.png", IDS)
    add_list(tmp_path / "ImageSets/some.txt", "B", "4")
    found = opened(tmp_path, "static", "some")
    assert sorted(image.name.rsplit("/", 1)[1] for image in found.images) == ["2.jpg", "4.jpg"]


def test_videos_may_be_sparsely_labelled(tmp_path):
    add_video(tmp_path, "dense")
    add_video(tmp_path, "sparse", frames=5)
    for index in (0, 2, 3):
        (tmp_path / f"Annotations/sparse/{index:05d}.png").unlink()
    add_video(tmp_path, "single", frames=1)
    found = opened(tmp_path, "video")
    assert isinstance(found, VideoSet)
    assert [(video.name, len(video.frames)) for video in found.videos] == [("dense", 3), ("sparse", 2)]
    assert [frame.name[-9:] for frame in found.videos[1].frames] == ["00001.jpg", "00004.jpg"]
    assert values(found.videos[1].frames[0]) == {0, 1, 3, 255}


def test_the_split_of_a_video_set_chooses_and_orders(tmp_path):
    for name in ("a", "b", "c"):
        add_video(tmp_path, name)
    add_list(tmp_path / "ImageSets/2022/train.txt", "c", "", "a ", "c")
    found = opened(tmp_path, "video", "2022/train")
    assert [video.name for video in found.videos] == ["c", "a"]


@pytest.mark.parametrize("base", ["", "DAVIS"])
@pytest.mark.parametrize("resolution", ["480p", "Full-Resolution"])
def test_davis_2017(tmp_path, base, resolution):
    for name in ("bear", "camel"):
        add_video(tmp_path / base, f"{resolution}/{name}")
    add_list(tmp_path / base / "ImageSets/2017/train.txt", "bear")
    (video,) = opened(tmp_path, "davis").videos
    assert video.name == "bear"
    assert values(video.frames[0]) == {0, 1, 3, 255}


@pytest.mark.parametrize("lists", ["2016", "480p"])
def test_davis_2016_has_one_object_and_lists_frames(tmp_path, lists):
    add_video(tmp_path, "480p/bear", mask=np.where(IDS > 0, 255, 0))
    pairs = [
        f"/JPEGImages/480p/bear/{index:05d}.jpg /Annotations/480p/bear/{index:05d}.png" for index in range(3)
    ]
    add_list(tmp_path / f"ImageSets/{lists}/train.txt", *pairs)
    (video,) = opened(tmp_path, "davis", "2016/train").videos
    assert values(video.frames[2]) == {0, 1}


def youtube_vos(base, meta):
    base.mkdir(parents=True, exist_ok=True)
    (base / "meta.json").write_text(json.dumps({"videos": {k: {"objects": v} for k, v in meta.items()}}))


@pytest.mark.parametrize("base", ["", "train"])
def test_youtube_vos_drops_what_has_fewer_than_two_frames(tmp_path, base):
    for name in ("good", "short", "gone"):
        add_video(tmp_path / base, name, frames=4, step=5)
    stems = ["00000", "00005", "00010", "00015"]
    meta = {
        "good": {"1": {"category": "cat", "frames": stems[1:3]}, "3": {"frames": stems[:1]}},
        "short": {"1": {"frames": stems[:1]}},
        "absent": {"1": {"frames": stems}},
    }
    youtube_vos(tmp_path / base, meta)
    (video,) = opened(tmp_path, "youtube_vos").videos
    assert video.name == "good"
    assert [frame.name[-9:-4] for frame in video.frames] == ["00005", "00010"]
    assert values(video.frames[0]) == {0, 1, 255}


def test_youtube_vos_takes_a_list_of_ones_own(tmp_path):
    for name in ("a", "b"):
        add_video(tmp_path / "train", name, step=5)
    youtube_vos(tmp_path / "train", {name: {"1": {"frames": ["00000", "00005"]}} for name in ("a", "b")})
    add_list(tmp_path / "train/ImageSets/held_out.txt", "b")
    assert [video.name for video in opened(tmp_path, "youtube_vos", "held_out").videos] == ["b"]
    assert len(opened(tmp_path, "youtube_vos", "train").videos) == 2


def test_vost_keeps_its_ignored_pixels(tmp_path):
    for name in ("1_cut_tomato", "2_peel_onion"):
        add_video(tmp_path, name, prefix="frame")
    add_image(tmp_path / "JPEGImages/1_cut_tomato/frame00099.jpg")
    add_list(tmp_path / "ImageSets/train.txt", "1_cut_tomato")
    (video,) = opened(tmp_path, "vost").videos
    assert len(video.frames) == 3
    assert values(video.frames[0]) == {0, 1, 3, 255}


@pytest.mark.parametrize(
    ("kind", "image", "mask"),
    [
        ("ecssd", "images/0001.jpg", "ground_truth_mask/0001.png"),
        ("ecssd", "ECSSD/images/0001.jpg", "ECSSD/ground_truth_mask/0001.png"),
        ("msra10k", "MSRA10K_Imgs_GT/Imgs/5.jpg", "MSRA10K_Imgs_GT/Imgs/5.png"),
        ("msra10k", "Imgs/5.jpg", "Imgs/5.png"),
        ("pascal_s", "datasets/imgs/pascal/7.jpg", "datasets/masks/pascal/7.png"),
        ("pascal_s", "imgs/pascal/7.jpg", "masks/pascal/7.png"),
    ],
)
def test_saliency_is_one_object_where_it_is_bright(tmp_path, kind, image, mask):
    add_image(tmp_path / image)
    add_grey(tmp_path / mask, grades())
    (item,) = opened(tmp_path, kind).images
    assert values(item) == {0, 1}
    assert np.array_equal(item.read_mask(), grades() > 127)


@pytest.mark.parametrize("mode", ["RGB", "1", "LA"])
def test_saliency_may_be_stored_in_other_modes(tmp_path, mode):
    add_image(tmp_path / "images/1.jpg")
    path = tmp_path / "ground_truth_mask/1.png"
    path.parent.mkdir()
    Image.fromarray(np.where(grades() > 127, np.uint8(255), np.uint8(0))).convert(mode).save(path)
    (item,) = opened(tmp_path, "ecssd").images
    assert np.array_equal(item.read_mask(), grades() > 127)


@pytest.mark.parametrize("base", ["VOCdevkit/VOC2012", "VOC2012", ""])
@pytest.mark.parametrize(("split", "count"), [(None, 2), ("train", 1)])
def test_voc_takes_the_instances_of_the_listed_images(tmp_path, base, split, count):
    for name in ("2007_1", "2007_2", "2007_3"):
        add_image(tmp_path / base / f"JPEGImages/{name}.jpg")
        write_mask(tmp_path / base / f"SegmentationObject/{name}.png", IDS)
    add_list(tmp_path / base / "ImageSets/Segmentation/trainval.txt", "2007_1", "2007_3")
    add_list(tmp_path / base / "ImageSets/Segmentation/train.txt", "2007_3")
    images = opened(tmp_path, "voc2012", split).images
    assert len(images) == count
    assert values(images[-1]) == {0, 1, 3, 255}
    assert images[-1].name.endswith("2007_3.jpg")
