"""Submission files of VISOR: polygons as JSON."""

import json
import zipfile

import cv2
import numpy as np
import pytest

from aotlab.evaluation.benchmarks.visor import trace_polygons
from aotlab.media.masks import write_mask
from aotlab.tools.submit import main

NAME, STEMS = "P01_107_seq_00001", [f"P01_107_frame_{number:010d}" for number in (140, 200)]
NAMES = {NAME: {"1": "left hand", "2": "plate"}}


class Source:
    """One sequence as the conversion writes it, and results of it."""

    def __init__(self, folder):
        self.root, self.results, self.archive = folder / "VISOR_2022", folder / "results", folder / "val.zip"
        self.labels = np.zeros((2, 480, 854), np.uint8)
        self.labels[0, 50:90, 30:60] = 1
        self.labels[:, 100:200, 300:500] = 2
        self.labels[0, 120:140, 320:340] = 0  # a hole
        for stem, labels in zip(STEMS, self.labels, strict=True):
            for kind in (self.root / "Annotations" / "480p", self.results):
                write_mask(kind / NAME / f"{stem}.png", labels)
            image = self.root / "JPEGImages" / "480p" / NAME / f"{stem}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), np.zeros((480, 854, 3), np.uint8))
        lists = self.root / "ImageSets" / "2022"
        lists.mkdir(parents=True)
        for split in ("val", "val_unseen"):
            (lists / f"{split}.txt").write_text(f"{NAME}\n")
        (self.root / "val_data_mapping.json").write_text(json.dumps(NAMES))

    def submit(self):
        places = ["--root", str(self.root), "--results", str(self.results), "--output", str(self.archive)]
        return main(["--dataset", "visor", *places])


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


def test_zip_holds_one_file_with_all_masks(source):
    assert source.submit() == 0
    with zipfile.ZipFile(source.archive) as file:
        assert [(entry.filename, entry.compress_type) for entry in file.infolist()] == [
            ("val.json", zipfile.ZIP_DEFLATED)
        ]
        entries = json.loads(file.read("val.json"))["video_annotations"]
    assert [entry["image"] for entry in entries] == [
        {"image_path": f"P01_107/{stem}.png", "name": f"{stem}.png", "subsequence": NAME, "video": "P01_107"}
        for stem in STEMS
    ]
    names = [[item["name"] for item in entry["annotations"]] for entry in entries]
    assert names == [["left hand", "plate"], ["plate"]]
    numbers = {name: int(number) for number, name in NAMES[NAME].items()}
    for labels, entry in zip(source.labels, entries, strict=True):
        drawn = np.zeros_like(labels)
        for item in entry["annotations"]:
            segments = [np.array(points, np.int32) for points in item["segments"]]
            cv2.fillPoly(drawn, segments, numbers[item["name"]])
        np.testing.assert_array_equal(drawn, labels)


def test_outlines_restore_any_mask():
    rng = np.random.default_rng(5)
    for size in (1, 2, 5):
        mask = rng.random((60 // size, 80 // size)).repeat(size, 0).repeat(size, 1) > 0.4
        drawn = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(drawn, [np.array(points, np.int32) for points in trace_polygons(mask)], 1)
        np.testing.assert_array_equal(drawn > 0, mask)


def paint(value, size=(480, 854)):
    """Write the second result again."""
    labels = np.full(size, value, np.uint8)
    return lambda source: write_mask(source.results / NAME / f"{STEMS[1]}.png", labels)


def name_objects(text):
    """Write the file of names again."""
    return lambda source: (source.root / "val_data_mapping.json").write_text(text)


@pytest.mark.parametrize(("damage", "sentence"), [
    (lambda source: (source.results / NAME / f"{STEMS[1]}.png").unlink(), "no such file"),
    (paint(3), "unknown ids 3; the objects are 1, 2"),
    (paint(1, (48, 85)), "85×48"),
    (lambda source: (source.root / "val_data_mapping.json").unlink(), "val_data_mapping.json"),
    (name_objects("[]"), "not readable"),
    (name_objects("{}"), f"missing {NAME!r}"),
])  # fmt: skip
def test_errors_are_one_sentence_and_leave_the_folder_empty(source, damage, sentence, capsys):
    damage(source)
    assert source.submit() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert not source.archive.exists()
