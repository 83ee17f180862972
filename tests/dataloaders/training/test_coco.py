"""COCO instances: indexed when opened, drawn when read."""

import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.layouts import open_set
from aotlab.dataloaders.training.sets import ImageSet
from aotlab.media.rle import encode_rle
from aotlab.utils.errors import InputError
from aotlab_testing.mutations import change_json

HEIGHT, WIDTH = 40, 60


def box(number, image, x, y, width, height, **fields):
    """An annotation of an axis-aligned box."""
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {"id": number, "image_id": image, "segmentation": [corners], "area": width * height, "iscrowd": 0, **fields}


ANNOTATIONS = [
    box(10, 7, 0, 0, 30, 30),
    box(11, 9, 0, 0, 25, 20),
    box(12, 7, 0, 0, 5, 5, area=499),  # too small
    box(13, 7, 20, 0, 30, 30),
    box(14, 7, 0, 20, 60, 20, iscrowd=1),
    box(15, 8, 0, 0, 30, 30, iscrowd=1),
    box(16, 6, 0, 0, 30, 30),
]


@pytest.fixture
def root(tmp_path):
    make(tmp_path, "train2017", "annotations")
    return tmp_path


def make(root, images, annotations, split="train2017"):
    """Images 7, 8 and 9; 6 is listed without its file. Image 9 comes first."""
    numbers = (9, 8, 7, 6)
    (root / images).mkdir(parents=True)
    for number in numbers[:3]:
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / images / f"{number:012d}.jpg")
    size = {"height": HEIGHT, "width": WIDTH}
    entries = [{"id": number, "file_name": f"{number:012d}.jpg", **size} for number in numbers]
    content = {"info": {"description": 'größe ] } \\" ['}, "annotations": ANNOTATIONS, "images": entries,
               "categories": [{"id": 1, "name": "x"}]}  # fmt: skip
    (root / annotations).mkdir(exist_ok=True)
    file = root / annotations / f"instances_{split}.json"
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def open_images(root, split=None):
    source = open_set(root.parent, SourceConfig(path=root.name, kind="coco", split=split))
    assert isinstance(source, ImageSet)
    return source.images


def test_images_with_large_objects_are_found(root):
    assert [image.image.name[-6:] for image in open_images(root)] == ["09.jpg", "07.jpg"]


def test_ids_follow_the_annotations_and_crowds_are_ignored(root):
    image = open_images(root)[1]
    pixels, mask = pickle.loads(pickle.dumps(image)).read()
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[20:40] = 255
    expected[:30, :30] = 1
    expected[:30, 20:50] = 2
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(("images", "annotations", "split"), [
    ("val2017", "annotations", "val2017"), ("images/train2017", "annotations", None),
    ("images", "annotations", None), ("train2017", ".", None),
])  # fmt: skip
def test_images_are_found_in_every_layout(tmp_path, images, annotations, split):
    make(tmp_path, images, annotations, split or "train2017")
    assert len(open_images(tmp_path, split)) == 2


def test_images_in_folders_are_not_mixed_up(root):
    image = root / "train2017" / f"{9:012d}.jpg"
    (root / "train2017" / "a").mkdir()
    shutil.copy(image, root / "train2017" / "a")
    change_instances(root, lambda tree: tree["images"][0].update(file_name=f"a/{image.name}"))
    assert open_images(root)[0].image == root / "train2017" / "a" / image.name
    for name in (f"../train2017/{image.name}", f"/data/coco/train2017/{image.name}"):
        change_instances(root, lambda tree, name=name: tree["images"][0].update(file_name=name))
        assert open_images(root)[0].image == image


def test_size_mismatch_with_json_rejected(root):
    image = open_images(root)[0]
    Image.new("RGB", (10, 10)).save(image.image)
    with pytest.raises(InputError, match=r"009\.jpg: 10×10, but its mask .*json is 60×40"):
        image.read()


@pytest.mark.parametrize("text", [
    '{"images": [], "annotations": [NaN]}', '{"info": {"a": 1', '{"images": [{"id": 1}]}',
    '{"annotations": [{"area": 900}]}', '{"images": [3]}',
    '{"images": [{"id": 7, "file_name": "7.jpg", "height": null, "width": 60}]}',
    '{"images": [{"id": 1, "file_name": "a", "height": -1, "width": 8}], "annotations": []}',
])  # fmt: skip
def test_malformed_json_rejected(root, text):
    (root / "annotations/instances_train2017.json").write_text(text)
    with pytest.raises(InputError, match="not readable"):
        open_images(root)


@pytest.mark.parametrize("form", ["polygons", "runs"])
def test_polygons_and_run_lengths_are_drawn(root, form):
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[5:20, 10:30] = 1
    segmentation = {
        "polygons": [[10, 5, 30, 5, 30, 20, 10, 20], [1, 2, 3, 4]],  # two points enclose no area
        "runs": {"size": [HEIGHT, WIDTH], "counts": encode_rle(expected > 0).tolist()},
    }[form]
    annotation = {"id": 5, "image_id": 7, "segmentation": segmentation, "area": 900}
    change_instances(root, lambda tree: tree.update(annotations=[annotation]))
    (image,) = open_images(root)
    np.testing.assert_array_equal(image.read_mask(), expected)


def change_instances(root, change):
    change_json(root / "annotations" / "instances_train2017.json", change)


COUNTS = [HEIGHT * WIDTH]


@pytest.mark.parametrize("segmentation", [
    [[0, 0, 1e9, 0, 1e9, 1e9]], [["a", "b", "c", "d", "e", "f"]], [[0, 0, 10, 0, 10, 10, 5]], [3], [None], "x", None,
    {}, {"size": [HEIGHT, WIDTH], "counts": [1, 2]}, {"size": [10**9, 10**9], "counts": [1]},
    {"size": [WIDTH, HEIGHT], "counts": COUNTS}, {"size": None, "counts": COUNTS},
], ids=lambda value: str(value)[:40])  # fmt: skip
def test_invalid_segmentation_rejected(root, segmentation):
    annotation = {"id": 5, "image_id": 7, "segmentation": segmentation, "area": 900, "iscrowd": 0}
    change_instances(root, lambda tree: tree.update(annotations=[annotation]))
    (image,) = open_images(root, "train2017")
    with pytest.raises(InputError, match=r"annotation 5 cannot be drawn"):
        image.read()
