"""Exports of the studio, read by the tools that the formats are for: every mask and class name.

pip install datumaro label-studio-sdk trackeval ultralytics
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec

import numpy as np
import pytest
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from aotlab_studio import convert
from aotlab_studio.document import editing
from aotlab_studio.session.actions import Export
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder
from studio.tests.annotation.sessions import open_session, set_mask

NAMES = {2: "traffic light", 5: "dog"}
DRAWN = range(2, 9)
"""Frames with masks; there are none before."""
HIDDEN = 4
"""Frame on which object 5 is absent."""
FORMATS = ["coco", "cvat", "label_studio", "mots", "yolo", "youtube_vis"]

READ_YOLO = """
import sys
from pathlib import Path
import numpy as np
from ultralytics.data import dataset, utils

utils.check_font = lambda _: None  # it downloads fonts
data = utils.check_det_dataset(sys.argv[1], autodownload=False)
found = {}
for label in dataset.YOLODataset(img_path=data["train"], data=data, task="segment").labels:
    for class_id, points in zip(label["cls"][:, 0], label["segments"]):
        mask = utils.polygon2mask(label["shape"], [(points * label["shape"][::-1]).ravel()])
        found[f"{Path(label['im_file']).stem} {data['names'][int(class_id)]}"] = mask > 0
np.savez(sys.argv[2], **found)
"""
"""Script that stores masks by frame and class, in a process of its own as ultralytics changes Pillow and PyTorch."""


def draw_labels(index):
    """H×W ids: a square with a hole, and an object in two parts that is absent on one frame."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    if index in DRAWN:
        labels[3:20, index : index + 20] = 2
        labels[8:12, index + 6 : index + 12] = 0
        if index != HIDDEN:
            labels[25:36, 30:40] = labels[22:30, 45:55] = 5
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of the exports of a project, beside them ``polygons.xml`` of CVAT and data sets of ``convert --merge``."""
    folder = tmp_path_factory.mktemp("tools")
    with closing(open_session(draw_folder(folder / "clip"))) as session:
        for _ in range(5):
            editing.AddObject().run(session.document)
        for object_id in {1, 3, 4}:
            editing.DeleteObject(object_id).run(session.document)
        for object_id, name in NAMES.items():
            editing.ChangeObject(object_id, class_name=name).run(session.document)
            for index in DRAWN:
                set_mask(session.document, index, object_id, draw_labels(index) == object_id)
        Export(["cvat"], options=["polygons"]).run(session)
        export = session.archive.parent
        (export / "cvat.xml").rename(export / "polygons.xml")
        Export(FORMATS).run(session)
    for name in ("coco", "yolo"):
        assert convert.main([str(folder), str(export / "merged" / name), "--to", name, "--merge"]) == 0
    return export


def read_datumaro(path, name):
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro")
    dataset = datumaro.Dataset.import_from(str(path), name)
    labels = dataset.categories()[datumaro.AnnotationType.label]
    return [(item, [(labels[shape.label].name, shape) for shape in item.annotations]) for item in dataset]


def check(masks):
    """Compare masks by frame number and object with those of the project."""
    expected = {
        (index, object_id): draw_labels(index) == object_id
        for index in DRAWN for object_id in NAMES if object_id in draw_labels(index)
    }  # fmt: skip
    assert masks.keys() == expected.keys()
    for key, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[key], err_msg=str(key))


@pytest.mark.parametrize("name", ["coco.json", "merged/coco/train.json"])
def test_pycocotools_reads_coco(folder, name):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(folder / name)
    names = {each["id"]: each["name"] for each in coco.loadCats(coco.getCatIds())}
    numbers = {each["id"]: each["frame_id"] for each in coco.loadImgs(coco.getImgIds())}
    found = coco.loadAnns(coco.getAnnIds())
    assert {each["track_id"]: names[each["category_id"]] for each in found} == NAMES
    check({(numbers[each["image_id"]], each["track_id"]): coco.annToMask(each) > 0 for each in found})


def test_datumaro_reads_coco(folder, tmp_path):
    for name in ("annotations", "images"):
        (tmp_path / name).mkdir()
    (tmp_path / "annotations" / "instances_train.json").symlink_to(folder / "coco.json")
    found = {}
    for item, shapes in read_datumaro(tmp_path, "coco_instances"):
        for name, shape in shapes:
            assert name == NAMES[shape.attributes["track_id"]]
            if shape.type.name == "mask":  # each has a box too
                found[int(item.id[-5:]), shape.attributes["track_id"]] = shape.image > 0
    check(found)


def test_datumaro_reads_polygons_of_cvat(folder):
    found = {}
    for item, shapes in read_datumaro(folder / "polygons.xml", "cvat"):
        for name, shape in shapes:
            assert name == NAMES[shape.group]
            if not shape.attributes["outside"]:
                key = item.attributes["frame"], shape.group
                found[key] = found.get(key, 0) + shape.get_area()
    for (index, object_id), area in found.items():
        hole = 24 if object_id == 2 else 0
        assert area == pytest.approx((draw_labels(index) == object_id).sum() + hole, rel=0.1)
    assert found.keys() == {(index, key) for index in DRAWN for key in NAMES if key in draw_labels(index)}


def test_datumaro_reads_masks_of_cvat(folder, tmp_path):
    (tmp_path / "images").symlink_to(folder.parent.parent / "clip")
    (tmp_path / "cvat.xml").symlink_to(folder / "cvat.xml")
    found = {}
    for item, shapes in read_datumaro(tmp_path / "cvat.xml", "cvat"):
        for name, shape in shapes:
            assert name == NAMES[shape.group]
            found[item.attributes["frame"], shape.group] = shape.image > 0
    check(found)


def test_label_studio_reads_predictions(folder):
    pytest.importorskip("label_studio_sdk", reason="needs label-studio-sdk")
    from label_studio_sdk.converter import brush
    from label_studio_sdk.label_interface import LabelInterface

    interface, found = LabelInterface((folder / "label_studio_config.xml").read_text()), {}
    for task in json.loads((folder / "label_studio.json").read_text()):
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction, return_errors=True) == []
        for region in prediction["result"]:
            key = int(task["data"]["image"][-9:-4]), int(region["id"].removeprefix("object-"))
            assert region["value"]["brushlabels"] == [NAMES[key[1]]]
            found[key] = brush.decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)[..., 3] > 0
    check(found)


def test_trackeval_reads_mots(folder, tmp_path):
    trackeval = pytest.importorskip("trackeval", reason="needs trackeval")
    for name in ("label_02", "tracker/data"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "clip.txt").symlink_to(folder / "mots.txt")
    dataset = trackeval.datasets.KittiMOTS({
        "GT_FOLDER": str(tmp_path), "TRACKERS_FOLDER": str(tmp_path), "TRACKERS_TO_EVAL": ["tracker"],
        "SEQ_INFO": {"clip": LENGTH}, "PRINT_CONFIG": False,
    })  # fmt: skip
    data = dataset.get_raw_seq_data("tracker", "clip")
    classes = json.loads((folder / "mots_classes.json").read_text())
    found, columns = {}, (data["gt_ids"], data["gt_classes"], data["gt_dets"])
    for index, (ids, class_ids, masks) in enumerate(zip(*columns, strict=True)):
        for object_id, class_id, mask in zip(ids % 1000, class_ids, masks, strict=True):
            assert classes[NAMES[object_id]] == class_id
            found[index, object_id] = coco_masks.decode(mask) > 0
    check(found)


def test_trackeval_reads_youtube_vis(folder, tmp_path):
    trackeval = pytest.importorskip("trackeval", reason="needs trackeval")
    for name in ("youtube_vis_train", "youtube_vis_train/tracker/data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "youtube_vis_train" / "masks.json").symlink_to(folder / "youtube_vis.json")
    (tmp_path / "youtube_vis_train" / "tracker" / "data" / "masks.json").write_text("[]")
    dataset = trackeval.datasets.YouTubeVIS({
        "GT_FOLDER": f"{tmp_path}/", "TRACKERS_FOLDER": f"{tmp_path}/", "TRACKERS_TO_EVAL": ["tracker"],
        "SPLIT_TO_EVAL": "train", "PRINT_CONFIG": False,
    })  # fmt: skip
    assert {*dataset.class_list} == {*NAMES.values()}
    data = dataset.get_raw_seq_data("tracker", "clip")
    found = {}
    for index, ids, class_ids, masks in zip(DRAWN, data["gt_ids"], data["gt_classes"], data["gt_dets"], strict=True):
        for object_id, class_id, mask in zip(ids, class_ids, masks, strict=True):
            assert dataset.class_name_to_class_id[NAMES[object_id]] == class_id
            found[index, object_id] = coco_masks.decode(mask) > 0
    check(found)


@pytest.mark.parametrize("name", ["yolo", "merged/yolo"])
def test_ultralytics_reads_yolo(folder, tmp_path, name):
    if find_spec("ultralytics") is None:
        pytest.skip("needs ultralytics")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "YOLO_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-c", READ_YOLO, str(folder / name / "data.yaml"), str(tmp_path / "found.npz")]
    subprocess.run(command, check=True, env=environment, timeout=300)
    found = dict(np.load(tmp_path / "found.npz"))
    expected = {}
    for index in DRAWN:
        for object_id, name in NAMES.items():
            if object_id in draw_labels(index):
                mask = expected[f"{index:05d} {name}"] = draw_labels(index) == object_id
                mask[8:12, index + 6 : index + 12] |= object_id == 2  # holes are filled
    assert found.keys() == expected.keys()
    for key, mask in expected.items():
        assert (found[key] & mask).sum() / (found[key] | mask).sum() > 0.9
