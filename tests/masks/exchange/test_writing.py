"""MOTS and YOLO text, and all formats as files, read by datumaro where it is installed."""

import numpy as np
import pytest
from pycocotools import mask as coco

from aotlab.masks.exchange.mots import write_mots
from aotlab.masks.exchange.regions import Annotations, Region, pixels, runs_of, runs_of_polygons
from aotlab.masks.exchange.writing import WRITTEN, write_annotations
from aotlab.masks.exchange.yolo import write_yolo
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import LENGTH, SIZE, VIDEO, labels, tracked


def test_pycocotools_decodes_the_lines_of_mots():
    seen = np.zeros((LENGTH, *SIZE), int)
    for line in write_mots(tracked(), VIDEO).splitlines():
        frame, number, kind, height, width, counts = line.split(" ")
        mask = coco.decode({"size": [int(height), int(width)], "counts": counts.encode()})
        assert int(number) // 1000 == int(kind)
        seen[int(frame)] += mask * (int(number) % 1000)
    assert all((seen[frame] == labels(frame)).all() for frame in range(LENGTH))


def test_mots_refuses_ids_that_it_cannot_tell_from_classes():
    frames = {0: [Region(1000, runs_of(labels(0) > 0))]}
    with pytest.raises(InputError, match="object 1000"):
        write_mots(Annotations(SIZE, frames), VIDEO)


def test_a_yolo_line_is_one_object_with_its_parts_joined():
    texts = write_yolo(tracked(), VIDEO)
    assert sorted(texts) == ["data.yaml", *(f"labels/{frame:05d}.txt" for frame in range(LENGTH))]
    assert '0: "ball"\n  1: "person"' in texts["data.yaml"]
    lines = [line.split() for line in texts["labels/00003.txt"].splitlines()]
    assert [line[0] for line in lines] == ["1", "0"]
    points = np.array(lines[1][1:], float).reshape(-1, 2) * (SIZE[1], SIZE[0])
    drawn = pixels(runs_of_polygons([points.ravel().tolist()], SIZE), SIZE)
    ball = labels(3) == 7
    assert (drawn & ball).sum() > 0.95 * ball.sum()
    assert (drawn & ~ball).sum() <= 10  # along the line that joins the two parts


def test_the_labelling_interface_lies_beside_label_studios_tasks(tmp_path):
    write_annotations("label_studio", tmp_path / "tasks.json", tracked(), VIDEO)
    config = (tmp_path / "tasks_config.xml").read_text()
    assert '<BrushLabels name="tag" toName="image">' in config
    assert '<Label value="ball" />' in config


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_is_written_to_its_file(name, tmp_path):
    path = tmp_path / WRITTEN[name][0]
    write_annotations(name, path, tracked(), VIDEO)
    beside = ["label_studio_config.xml"] if name == "label_studio" else []
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, *beside]
    assert path.is_dir() or path.stat().st_size > 100


@pytest.mark.parametrize("name", WRITTEN)
def test_a_video_without_objects_is_written_too(name, tmp_path):
    write_annotations(name, tmp_path / WRITTEN[name][0], Annotations(SIZE, {0: []}), VIDEO)


def test_datumaro_reads_the_masks_of_coco(tmp_path):
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro")
    (tmp_path / "images").mkdir()
    write_annotations("coco", tmp_path / "annotations" / "instances_clip.json", tracked(), VIDEO)
    found = datumaro.Dataset.import_from(str(tmp_path), "coco_instances")
    masks = [one for item in found for one in item.annotations if hasattr(one, "image")]
    expected = [
        labels(frame) == region.object_id for frame in range(LENGTH) for region in tracked().frames[frame]
    ]
    assert sorted(np.asarray(mask.image).sum() for mask in masks) == sorted(mask.sum() for mask in expected)
    assert {mask.attributes["track_id"] for mask in masks} == {3, 7}


def test_datumaro_reads_the_polygons_of_cvat(tmp_path):
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro")
    write_annotations("cvat_polygons", tmp_path / "clip.xml", tracked(), VIDEO)
    found = datumaro.Dataset.import_from(str(tmp_path / "clip.xml"), "cvat")
    seen = {int(item.attributes["frame"]): item.annotations for item in found}
    inside = [[one for one in seen[frame] if not one.attributes["outside"]] for frame in range(LENGTH)]
    assert list(map(len, inside)) == [1, 1, 3, 3]
    assert inside[0][0].get_area() == pytest.approx(12 * 14, rel=0.1)
