"""Files of other tools with any part of them replaced, cut or changed: masks, or one sentence."""

import json
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest

from aotlab_studio.formats.cvat import format_cvat
from aotlab_studio.formats.label_studio import format_label_studio
from aotlab_studio.formats.youtube_vis import format_youtube_vis
from aotlab_testing.marks import slow
from aotlab_testing.mutations import check_mutations, corrupt_bytes, raise_error, read_error
from aotlab_testing.video.sample import VIDEO, read_masks, sample_annotations
from aotlab_video import RegionParser, find_mask_writer
from studio.tests.formats.examples import labelme, png, shape

TEXTS = ["", "x", "nan", "inf", "-1", "0.5", "9" * 5000, "1e400", "1,2", "0.5 0.5", "../../x", "\u0661"]
"""Replacements of every attribute and text of an XML file."""


def check_damage(path, content):
    """Read prefixes of a file, that are not masks, and the file with random bytes changed."""
    for number, changed in enumerate(corrupt_bytes(content, 40, 3)):
        path.write_bytes(changed)
        assert read_error(read_masks, path) or number >= 9


def label_studio_tasks():
    """A brush mask and a polygon."""
    tasks = format_label_studio(sample_annotations(), VIDEO)[1:3]
    polygon = tasks[0]["predictions"][0]["result"][0]
    polygon["type"] = "polygonlabels"
    polygon["value"] = {"points": [[5, 5], [50, 10], [40, 60]], "polygonlabels": ["person"]}
    return tasks


JSON_FILES = {
    "youtube_vis": lambda: format_youtube_vis(sample_annotations(), VIDEO),
    "label_studio": label_studio_tasks,
    "labelme": lambda: labelme(
        1,
        shape("a", [[1, 1], [9, 2], [5, 9]], 1),
        shape("b", [[10, 10], [15, 14]], kind="mask", mask=png(np.full((4, 5), 255, np.uint8))),
    ),
}


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize("count", [40, *slow(2000)])
def test_json_with_replaced_parts_is_read_or_rejected(name, count, tmp_path):
    check_mutations(read_masks, tmp_path / "masks.json", JSON_FILES[name](), count)


@pytest.mark.parametrize("kind", ["mask", "polygon"])
@pytest.mark.parametrize("count", [60, *slow(10**6)])
def test_cvat_with_replaced_texts_is_read_or_rejected(kind, count, tmp_path):
    path, annotations = tmp_path / "masks.xml", sample_annotations()
    annotations.frames = {2: annotations.frames[2]}
    whole = format_cvat(annotations, VIDEO, kind)
    elements = list(ElementTree.fromstring(whole).iter())
    wrong = [(n, key, text) for n, one in enumerate(elements) for key in [*one.attrib, None] for text in TEXTS]
    for number, key, text in Random(0).sample(wrong, min(count, len(wrong))):
        root = ElementTree.fromstring(whole)
        element = list(root.iter())[number]
        if key is None:
            element.text = text
        else:
            element.set(key, text)
        path.write_bytes(ElementTree.tostring(root))
        read_error(read_masks, path)


@pytest.mark.parametrize("error", [TypeError, KeyError])
@pytest.mark.parametrize("name", [*JSON_FILES, "cvat", "mots", "yolo"])
def test_bug_of_a_reader_keeps_its_traceback(name, error, tmp_path, monkeypatch):
    path = tmp_path / "masks.json"
    if name in JSON_FILES:
        path.write_text(json.dumps(JSON_FILES[name]()))
    else:
        writer = find_mask_writer(name)
        path = tmp_path / writer.file_name
        writer.write_file(path, sample_annotations(), VIDEO)
    for function in ("add", "add_absent"):
        monkeypatch.setattr(RegionParser, function, raise_error(error))
    with pytest.raises(error):
        read_masks(path)


def test_damaged_cvat_is_read_or_rejected(tmp_path):
    check_damage(tmp_path / "clip.xml", format_cvat(sample_annotations(), VIDEO, "mask"))


def test_damaged_colored_mask_is_read_or_rejected(colored):
    check_damage(colored, colored.read_bytes())


def test_damaged_label_map_is_read_or_rejected(colored):
    path = colored.with_name("labelmap.txt")
    for changed in corrupt_bytes(path.read_bytes(), 40, 3):
        path.write_bytes(changed)
        read_error(read_masks, colored)
