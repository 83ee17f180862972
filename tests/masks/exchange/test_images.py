"""Masks as images: in colours with a legend, and folders of PNGs."""

import json

import numpy as np
import pytest
from PIL import Image

from aotlab.masks.exchange.reading import read_annotations
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import LENGTH, SIZE, TARGET, labels


@pytest.fixture
def coloured(tmp_path):
    image = np.zeros((*SIZE, 3), np.uint8)
    image[labels(2) == 3] = (255, 0, 0)
    image[labels(2) == 7] = (0, 128, 255)
    Image.fromarray(image).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_a_legend_names_the_objects_of_a_coloured_mask(coloured):
    (coloured.parent / "legend.json").write_text(json.dumps({"#ff0000": "person", "0,128,255": 7}))
    found = read_annotations(coloured, TARGET, frame=2)
    assert (found.mask(2) == np.where(labels(2) == 3, 1, labels(2))).all()
    assert found.class_names == {1: "person"}


def test_cvats_label_map_is_a_legend(coloured):
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nball:0,128,255::\nperson:255,0,0::\n"
    (coloured.parent / "labelmap.txt").write_text(text)
    assert read_annotations(coloured, TARGET).class_names == {1: "ball", 2: "person"}


@pytest.mark.parametrize(
    ("legend", "words"),
    [
        (None, "legend.json"),
        ({"#ff0000": "person"}, "0,128,255"),
        ({"#ff0000": -1}, "nor an object id"),
        ({"#ff0000": None}, "neither a class name"),
        ({"red": "person"}, "not a colour"),
        ({"300,0,0": "person"}, "not a colour"),
        ([], "expected colours"),
    ],
)
def test_colours_without_a_fitting_legend_are_refused(coloured, legend, words):
    if legend is not None:
        (coloured.parent / "legend.json").write_text(json.dumps(legend))
    with pytest.raises(InputError, match=words):
        read_annotations(coloured, TARGET)


def binary(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def test_a_folder_of_binary_masks_per_object_is_read(tmp_path):
    for frame in range(LENGTH):
        for number in (3, 7):
            binary(tmp_path / str(number) / f"{frame:05d}.png", labels(frame) == number)
    found = read_annotations(tmp_path, TARGET)
    assert all((found.mask(frame) == labels(frame)).all() for frame in range(LENGTH))


def test_folders_that_are_no_numbers_are_labels(tmp_path):
    binary(tmp_path / "ball" / "00002.png", labels(2) == 7)
    binary(tmp_path / "4" / "00002.png", labels(2) == 3)
    found = read_annotations(tmp_path, TARGET)
    assert found.objects() == [1, 4]
    assert found.class_names == {1: "ball"}


def test_folders_that_count_from_000_are_objects_from_1_as_in_sav(tmp_path):
    binary(tmp_path / "000" / "00002.png", labels(2) == 3)
    binary(tmp_path / "001" / "00002.png", labels(2) == 7)
    assert (read_annotations(tmp_path, TARGET).mask(2) == (labels(2) == 3) + 2 * (labels(2) == 7)).all()


def test_a_folder_of_id_masks_is_read(tmp_path):
    for frame in (1, 3):
        write_mask(tmp_path / f"{frame:05d}.png", labels(frame))
    found = read_annotations(tmp_path, TARGET)
    assert sorted(found.frames) == [1, 3]
    assert (found.mask(3) == labels(3)).all()


def test_a_grey_image_or_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="OBJECT/FRAME"):
        read_annotations(tmp_path, TARGET)
    grey = np.arange(SIZE[0] * SIZE[1], dtype=np.uint32).reshape(SIZE).astype(np.uint8)
    (tmp_path / "1").mkdir()
    Image.fromarray(grey).save(tmp_path / "1" / "00000.png")
    with pytest.raises(InputError, match="grey values"):
        read_annotations(tmp_path, TARGET)


def test_a_black_and_white_mask_is_object_1_which_a_line_says(tmp_path, caplog):
    Image.fromarray((labels(0) > 0).astype(np.uint8) * 255).save(tmp_path / "mask.png")
    assert read_annotations(tmp_path / "mask.png", TARGET).objects() == [1]
    assert "255 is taken as object 1" in caplog.text
