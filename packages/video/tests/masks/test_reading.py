"""Reading of mask images of any lossless format."""

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from aotlab.media.masks import PALETTE, write_mask
from aotlab.utils.errors import InputError
from aotlab_video import VideoInfo, read_annotations
from aotlab_video.masks.reading import read_mask_image
from aotlab_video.masks.soft_masks import insert_soft_masks, split_soft_mask


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("GIF", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_mask_in_a_lossless_format_is_read(tmp_path, kind, options):
    labels = np.arange(40, dtype=np.uint8).reshape(5, 8)
    Image.fromarray(labels).save(tmp_path / "mask", format=kind, **options)
    np.testing.assert_array_equal(read_mask_image(tmp_path / "mask"), labels)


@pytest.mark.parametrize(("name", "kind", "options"), [
    ("mask.jpg", "JPEG", {}), ("mask.png", "JPEG", {}), ("mask.png", "WEBP", {}),
    ("mask.png", "JPEG2000", {}), ("mask.tif", "TIFF", {"compression": "jpeg"}),
])  # fmt: skip
def test_mask_in_a_lossy_format_rejected(tmp_path, name, kind, options):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / name, format=kind, **options)
    with pytest.raises(InputError, match=rf"{name}: not readable .{kind}, whose compression changes object ids"):
        read_mask_image(tmp_path / name)


@pytest.mark.parametrize(("labels", "words"), [([[0, -1]], "from -1 to 0"), ([[0, 70000]], "from 0 to 70000")])
def test_ids_of_more_than_16_bits_rejected(tmp_path, labels, words):
    Image.fromarray(np.array(labels, np.int32)).save(tmp_path / "mask.tif")
    with pytest.raises(InputError, match=rf"mask\.tif: not readable .object ids {words}, not 0 to"):
        read_mask_image(tmp_path / "mask.tif")


def test_turned_tiff_rejected(tmp_path):
    Image.fromarray(np.ones((4, 6), np.uint8)).save(tmp_path / "mask.tif", tiffinfo={0x0112: 3})
    with pytest.raises(InputError, match=r"mask\.tif: .*save it upright"):
        read_mask_image(tmp_path / "mask.tif")


def save_palette(path, labels, colors):
    """Save H×W indices of a list of colors."""
    image = Image.fromarray(labels.astype(np.uint8), mode="P")
    image.putpalette(bytes(np.array(colors, np.uint8)))
    image.save(path)


@pytest.mark.parametrize("order", [[1, 0, 5], [0, 5, 1], [5, 1, 0]])
def test_reordered_palette_is_asked_about(tmp_path, order):
    labels = np.array([[0, 0, 1], [5, 5, 0]])
    indices = np.vectorize(order.index)(labels)
    save_palette(tmp_path / "mask.png", indices, PALETTE[order])
    assert read_mask_image(tmp_path / "mask.png").tolist() == indices.tolist()
    assert read_mask_image(tmp_path / "mask.png", format="palette").tolist() == labels.tolist()
    with pytest.raises(InputError, match=r"colors of PASCAL VOC, .* in another order; .*--mask-format ids, .*palette"):
        read_mask_image(tmp_path / "mask.png", format=None)


@pytest.mark.parametrize("colors", [
    [(0, 0, 0), (255, 0, 0), (0, 128, 0)], [(0, 0, 0), (128, 128, 128), (64, 64, 64)], [(0, 0, 0)] * 3,
    PALETTE[[0, 1, 2]], PALETTE[[0, 0, 1]],
])  # fmt: skip
def test_indices_of_other_palettes_are_ids(tmp_path, colors):
    labels = np.array([[0, 1, 1], [2, 2, 0]])
    save_palette(tmp_path / "mask.png", labels, colors)
    assert read_mask_image(tmp_path / "mask.png", format=None).tolist() == labels.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_palette_gives_the_place_of_the_color(tmp_path, mode):
    labels = np.array([[0, 1, 20], [255, 7, 0]])
    save_palette(tmp_path / "mask.png", np.arange(6).reshape(2, 3), PALETTE[labels.ravel()])
    Image.open(tmp_path / "mask.png").convert(mode).save(tmp_path / "mask.png")
    assert read_mask_image(tmp_path / "mask.png", format="palette").tolist() == labels.tolist()
    save_palette(tmp_path / "mask.png", labels > 0, [(0, 0, 0), (1, 2, 3)])
    with pytest.raises(InputError, match=r"#010203 is not in the palette of PASCAL VOC; .*--mask-format"):
        read_mask_image(tmp_path / "mask.png", format="palette")


@pytest.mark.parametrize(("values", "dtype", "expected"), [
    ([0, 127, 128, 255], np.uint8, [0, 0, 1, 1]), ([0, 32767, 32768, 65535], np.uint16, [0, 0, 1, 1]),
    ([0, 1], bool, [0, 1]),
])  # fmt: skip
def test_soft_is_cut_at_one_half(tmp_path, values, dtype, expected):
    Image.fromarray(np.array([values], dtype)).save(tmp_path / "mask.png")
    assert read_mask_image(tmp_path / "mask.png", format="soft").tolist() == [expected]


def test_binary_is_all_but_black(tmp_path):
    for color in ((255, 255, 255), (9, 0, 0)):
        save_palette(tmp_path / "mask.png", np.array([[1, 0]]), [color, (0, 0, 0)])
        assert read_mask_image(tmp_path / "mask.png", format="binary").tolist() == [[0, 1]]
    Image.fromarray(np.array([[0, 7, 9]], np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: 2 values besides black, not one; .*--mask-format"):
        read_mask_image(tmp_path / "mask.png", format="binary")


def test_ids_of_mots_are_read_as_stored(tmp_path):
    labels = np.array([[0, 1001, 2999, 10000]], np.uint16)
    Image.fromarray(labels).save(tmp_path / "mask.png")
    assert read_mask_image(tmp_path / "mask.png", format="mots").tolist() == labels.tolist()
    Image.fromarray(labels // 1000 * 2).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: id 20 is not 1000 times a class plus an object"):
        read_mask_image(tmp_path / "mask.png", format="mots")


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "floats", "exr", "exr layer", "folder"])
def test_soft_mask_images_keep_their_values(tmp_path, kind):
    values = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    path = tmp_path / "0.tif"
    if kind == "floats":
        Image.fromarray(values).save(path)
    elif kind.startswith("exr"):
        path = tmp_path / "0.exr"
        names = ["hair.1.A"] if "layer" in kind else [*"RGB"]
        OpenEXR.File({}, {name: values.astype(np.float32) for name in names}).write(str(path))
    elif kind == "16 bits":
        Image.fromarray((values * 65535).round().astype(np.uint16)).save(path)
    else:
        path = tmp_path / "7" / "0.png" if kind == "folder" else tmp_path / "0.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((values * 255).round().astype(np.uint8)).save(path)
    video = VideoInfo("clip", (6, 8), 1, frame_names=("0",), mask_format="soft")
    found = read_annotations(tmp_path if kind in ("folder", "exr") else path, video)
    object_id = 7 if kind == "folder" else 1
    np.testing.assert_allclose(
        found.soft_masks(0)[object_id].values, values, atol=2e-3 if kind in ("8 bits", "folder") else 1e-4
    )
    np.testing.assert_array_equal(found.mask(0) == object_id, values > 0.5)


def test_values_beyond_white_rejected(tmp_path):
    Image.fromarray(np.float32([[0, 1.5]])).save(tmp_path / "0.tif")
    with pytest.raises(InputError, match="values beyond 0 and 1; scale them"):
        read_mask_image(tmp_path / "0.tif", format="soft")


def test_unknown_format_rejected(tmp_path):
    write_mask(tmp_path / "0.png", np.ones((2, 2), np.uint8))
    with pytest.raises(InputError, match=r"^format bogus: not one of ids, binary, soft, mots, palette"):
        read_mask_image(tmp_path / "0.png", format="bogus")


def test_soft_masks_of_objects_share_pixels():
    planes = np.array([[[0.75, 0.4, 0.2]], [[0.5, 0.5, 0.2]]], np.float32)
    labels, given = split_soft_mask(planes)
    assert labels.tolist() == [[1, 2, 0]]
    found = insert_soft_masks(np.full((3, 1, 3), 0.3, np.float32), (4, 1, 2), {1: given[1], 2: given[2]})
    np.testing.assert_allclose(found[1:], [[[0.6, 0.4, 0.2]], [[0.4, 0.5, 0.2]]], atol=1e-4)
    np.testing.assert_allclose(found[0], [[0, 0.1, 0.3]], atol=1e-4)
    with pytest.raises(InputError, match="mask: soft values must be 0 to 1"):
        split_soft_mask(2 * planes)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_shades_of_gray_are_soft_values_only(tmp_path, mode):
    image = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert(mode)
    image.putpixel((0, 0), Image.new("L", (1, 1), 130).convert(mode).getpixel((0, 0)))
    image.save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"colors, or shades of gray in RGB, .*--mask-format ids, binary, soft"):
        read_mask_image(tmp_path / "mask.png", format=None)
    with pytest.raises(InputError, match=r"colors, or shades of gray in RGB, .*with one object id per pixel$"):
        read_mask_image(tmp_path / "mask.png")
    assert read_mask_image(tmp_path / "mask.png", format="soft").tolist() == [[1, 1], [1, 0]]
