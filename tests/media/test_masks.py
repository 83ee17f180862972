"""Masks as PNG files."""

import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import (
    PALETTE,
    is_void,
    list_ids,
    palette_index,
    read_mask,
    resize_labels,
    write_mask,
)
from aotlab.utils.errors import InputError
from aotlab_testing.image_files import write_gray_png
from aotlab_testing.mutations import raise_error


def test_palette_is_that_of_pascal_voc():
    assert PALETTE[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert PALETTE[255].tolist() == [224, 224, 192]


def test_ids_above_255_reuse_the_colors_of_objects():
    assert palette_index(np.array([255, 256, 510, 511])).tolist() == [255, 1, 255, 1]
    assert palette_index(np.array([256])).tolist() == [1]


def test_255_is_an_object_id_in_16_bits():
    deep = np.array([[0, 255, 300]], np.uint16)
    assert list_ids(deep) == {255, 300}
    assert not is_void(deep).any()
    shallow = deep.astype(np.uint8)
    assert list_ids(shallow) == {44}
    assert is_void(shallow).tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("labels", "mode", "dtype"),
    [([[0, 1, 2], [255, 7, 0]], "P", np.uint8), ([[0, 256, 1], [65535, 3, 0]], "I;16", np.uint16)],
)
def test_written_masks_are_read_unchanged(tmp_path, labels, mode, dtype):
    write_mask(tmp_path / "mask.png", labels)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == mode
        assert mode != "P" or image.getpalette()[3:6] == [128, 0, 0]
    back = read_mask(str(tmp_path / "mask.png"), size=(2, 3))
    assert back.dtype == dtype
    assert back.tolist() == labels


@pytest.mark.parametrize("error", [TypeError, KeyError])
def test_bug_of_the_reader_keeps_its_traceback(tmp_path, monkeypatch, error):
    Image.fromarray(np.ones((2, 3), np.uint8)).save(tmp_path / "mask.png")
    monkeypatch.setattr("aotlab.media.masks.restore_gray", raise_error(error))
    with pytest.raises(error):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize(("labels", "max_id", "dtype"), [
    ([[1]], 254, np.uint8), ([[1]], 255, np.uint16), (np.array([[255]], np.uint8), 0, np.uint8),
    (np.array([[255]], np.uint16), 0, np.uint16), (np.array([[254]], np.uint16), 0, np.uint8),
])  # fmt: skip
def test_masks_of_object_255_have_16_bits(tmp_path, labels, max_id, dtype):
    write_mask(tmp_path / "mask.png", labels, max_id=max_id)
    assert read_mask(tmp_path / "mask.png").dtype == dtype


def test_mask_of_another_size_rejected(tmp_path):
    write_mask(tmp_path / "mask.png", np.zeros((4, 6)))
    with pytest.raises(InputError, match=r"6×4.*8×4"):
        read_mask(tmp_path / "mask.png", size=(4, 8))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_white_of_black_and_white_colors_is_255(tmp_path, mode):
    white = np.array([[0, 255, 255], [255, 0, 0]], np.uint8)
    image = Image.fromarray(white).convert(mode)
    image.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == white.tolist()
    if "A" in mode:
        image = Image.new(mode, (3, 2), "white")
        image.putalpha(Image.fromarray(white))
        image.save(tmp_path / "mask.png")
        assert read_mask(tmp_path / "mask.png").tolist() == white.tolist()
    image.putpixel((0, 0), Image.new("L", (1, 1), 130).convert(mode).getpixel((0, 0)))
    image.save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"colors, or shades of gray in RGB, .*with one object id per pixel$"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_mask_that_is_not_a_png_rejected(tmp_path, kind):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "mask.png", format=kind)
    with pytest.raises(InputError, match=rf"mask\.png: not readable .{kind}, not PNG"):
        read_mask(tmp_path / "mask.png")


def test_png_with_several_pages_rejected(tmp_path):
    pages = [Image.fromarray(np.full((4, 6), value, np.uint8)) for value in (1, 2)]
    pages[0].save(tmp_path / "mask.png", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"mask\.png: has 2 pages; give one image for each frame"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_values_of_few_bits_are_ids(tmp_path, caplog, bits):
    labels = np.arange(8, dtype=np.uint8).reshape(2, 4) % 2**bits
    write_gray_png(tmp_path / "mask.png", labels, bits)
    assert read_mask(tmp_path / "mask.png").tolist() == labels.tolist()
    assert f"gray values of {bits} bits are object ids" in caplog.text


def test_labels_are_resized_to_the_nearest_pixel():
    labels = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(resize_labels(labels, (4, 4)), labels.repeat(2, axis=0).repeat(2, axis=1))
    np.testing.assert_array_equal(resize_labels(resize_labels(labels, (6, 10)), (2, 2)), labels)
    assert resize_labels(np.array([[1, 2, 3]]), (1, 2)).tolist() == [[1, 3]]  # by the middles of pixels


@pytest.mark.parametrize(("labels", "words"), [
    ([[-1]], "whole numbers from 0 to 65535, got int64"),
    ([[0, 2**31]], "whole numbers from 0 to 65535, got int64"),
    ([[0.7]], "whole numbers .*; threshold"),
    ([[np.nan]], "0 to 65535"),
    ([[np.inf]], "0 to 65535"),
    (np.zeros((4, 6, 3), np.uint8), r"expected object ids H×W, .* of shape \(4, 6, 3\)"),
    (np.zeros((0, 4), np.uint8), r"expected object ids H×W, .* of shape \(0, 4\)"),
    ([["1"]], "whole numbers from 0 to 65535, got <U1"),
    (None, r"whole numbers from 0 to 65535, got object of shape \(\)"),
])  # fmt: skip
def test_arrays_that_are_not_ids_are_not_written(tmp_path, labels, words):
    with pytest.raises(InputError, match=f"a.png: .*{words}"):
        write_mask(tmp_path / "a.png", np.array(labels))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a"])
def test_masks_are_written_as_png_only(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: masks are PNG files, .*; give a name that ends in \.png"):
        write_mask(tmp_path / name, np.ones((4, 6), np.uint8))
    assert list(tmp_path.iterdir()) == []
    write_mask(tmp_path / "A.PNG", np.ones((4, 6), np.uint8))
