"""Label files of labelme, read and written by its package; tracked masks are those of a synthetic clip."""

import base64
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

labelme = pytest.importorskip("labelme", reason="the plug-in needs labelme (pip install labelme)")
sys.path.insert(0, str(Path(__file__).parents[1]))
from propagate import propagate  # noqa: E402

from aotlab_runtime import InputError  # noqa: E402

SQUARE = [[2, 3], [9, 3], [9, 8], [2, 8]]


class Shifted:
    """A tracker whose masks move right by a pixel each frame; object 2 disappears on the third one."""

    def step(self, frame, mask=None):
        if mask is not None:
            self.labels, self.index = mask, 0
        else:
            self.labels, self.index = np.roll(self.labels, 1, axis=1), self.index + 1
        return SimpleNamespace(labels=np.where((self.labels == 2) & (self.index > 1), 0, self.labels))


@pytest.fixture
def label(tmp_path):
    """A function that writes shapes as the label file of the first of five images."""
    for index in (*range(4), 10):
        Image.new("RGB", (30, 20)).save(tmp_path / f"{index}.png")

    def save(*shapes):
        drawn = [
            {"label": name, "points": points, "shape_type": kind, "group_id": group, "flags": {}}
            for name, points, kind, group in shapes
        ]
        labelme.LabelFile().save(str(tmp_path / "0.json"), drawn, "0.png", 20, 30)
        return tmp_path / "0.json"

    return save


def read(path):
    file = labelme.LabelFile(str(path))
    assert file.image_path == f"{path.stem}.png"
    regions = {}
    for shape in file.shapes:
        _, region = labelme.utils.shapes_to_label((20, 30), [shape], {shape["label"]: 1})
        regions[shape["label"], shape["group_id"]] = region > 0
    return regions


def test_shapes_are_tracked_to_the_next_labeled_image(label, tmp_path):
    path = label(
        ("cat", SQUARE, "polygon", 7), ("dog", [[20, 12], [24, 16]], "rectangle", None),
        ("cat", [[12, 3], [14, 5]], "rectangle", 7), ("cat", [[1, 1]], "point", None),
    )  # fmt: skip
    (tmp_path / "3.json").write_text("{}")
    written = list(propagate(Shifted(), path))
    assert written == [tmp_path / "1.json", tmp_path / "2.json"]
    first, second = (read(path) for path in written)
    assert set(first) == {("cat", 7), ("dog", None)}
    assert set(second) == {("cat", 7)}
    assert first["cat", 7][5, 3:11].all()
    assert first["cat", 7].sum() == 8 * 6 + 9
    np.testing.assert_array_equal(second["cat", 7], np.roll(first["cat", 7], 1, axis=1))
    assert (tmp_path / "3.json").read_text() == "{}"


def test_label_files_in_another_folder_are_continued_there(label, tmp_path):
    path = label(("cat", SQUARE, "polygon", None))
    folder = tmp_path / "labels"
    folder.mkdir()
    text = json.loads(path.read_text()) | {"imagePath": "../0.png"}
    (folder / "0.json").write_text(json.dumps(text))
    (folder / "3.json").write_text("{}")
    assert list(propagate(Shifted(), folder / "0.json")) == [folder / "1.json", folder / "2.json"]
    assert labelme.LabelFile(str(folder / "1.json")).image_path == os.path.join("..", "1.png")
    assert sorted(tmp_path.glob("*.json")) == [path]


def test_interrupted_write_leaves_no_label_file(label, tmp_path, monkeypatch):
    def save_half(self, filename, *_):
        Path(filename).write_text("{")
        raise KeyboardInterrupt

    path = label(("cat", SQUARE, "polygon", None))
    monkeypatch.setattr(labelme.LabelFile, "save", save_half)
    with pytest.raises(KeyboardInterrupt):
        list(propagate(Shifted(), path))
    assert sorted(tmp_path.glob("[!.]*.json")) == [path]


def test_points_alone_rejected(label):
    with pytest.raises(InputError, match=r"0.json: no shape of polygon, .*; draw the objects"):
        list(propagate(Shifted(), label(("cat", [[1, 1]], "point", None))))


@pytest.mark.parametrize("text", ["", "[]", '{"shapes": 1}'])
def test_other_files_rejected(tmp_path, text):
    path = tmp_path / "0.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"0.json: not a label file .*; save it with labelme"):
        list(propagate(Shifted(), path))


def test_unreadable_image_is_named(label, tmp_path):
    path = label(("cat", SQUARE, "polygon", None))
    (tmp_path / "1.png").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"1.png: not a readable image .*; replace or move it"):
        list(propagate(Shifted(), path))


def test_missing_folder_of_the_labeled_image_is_named(label, tmp_path):
    path = label(("cat", SQUARE, "polygon", None))
    data = base64.b64encode((tmp_path / "0.png").read_bytes()).decode()
    changes = {"imagePath": "missing/0.png", "imageData": data}
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=r"missing/0.png: not a readable image .*; replace or move it"):
        list(propagate(Shifted(), path))


def test_images_are_rotated_as_in_labelme(label, tmp_path):
    path, rotated = label(("cat", SQUARE, "polygon", None)), Image.Exif()
    rotated[0x0112] = 6  # orientation
    for index in (0, 1):
        Image.new("RGB", (20, 30)).save(tmp_path / f"{index}.png", exif=rotated)
    written = next(propagate(Shifted(), path))
    assert read(written)["cat", None][5, 3:11].all()


def test_image_of_another_size_is_named(label, tmp_path):
    path = label(("cat", SQUARE, "polygon", None))
    Image.new("RGB", (20, 30)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1.png: size 20×30 does not match 0.png \(30×20\); resize or move it"):
        list(propagate(Shifted(), path))
