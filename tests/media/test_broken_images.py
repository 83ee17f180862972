"""Broken images of every format, behind every name: one sentence that names the file, from every reader."""

from __future__ import annotations

import io
import os
import random

import numpy as np
import pytest
import tifffile
from PIL import Image

from aotlab.dataloaders.lint import check_frame, check_mask
from aotlab.dataloaders.training.labelled import read_ids, read_saliency
from aotlab.masks.id_maps import read_mask
from aotlab.media.images import read_image
from aotlab.media.tiff import TiffStack
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError

FORMATS = (
    "AVIF",
    "WEBP",
    "JPEG",
    "PNG",
    "BMP",
    "GIF",
    "TIFF",
    "JPEG2000",
    "PPM",
    "TGA",
    "SGI",
    "PCX",
    "DDS",
    "ICO",
)
READERS = (read_image, read_mask, read_ids, read_saliency)


def encoded(kind, mode="RGB"):
    """An image of noise in a format."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, format=kind)
    return out.getvalue()


def broken(content):
    """The content cut at every tenth, and with bytes changed in places that a seed draws."""
    yield from (content[: len(content) * tenth // 10] for tenth in range(10))
    rng = random.Random(0)
    for _ in range(12):
        flipped = bytearray(content)
        for _ in range(rng.randint(1, 8)):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        yield bytes(flipped)


def refusal(read, path):
    """The sentence with which a reader refuses a file; None where it reads it."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["00000.jpg", "00000.png"])
@pytest.mark.filterwarnings("ignore")
def test_a_broken_image_is_read_or_named(tmp_path, kind, name):
    path = tmp_path / name
    for content in broken(encoded(kind)):
        path.write_bytes(content)
        for read in READERS:
            sentence = refusal(read, path)
            assert sentence is None or sentence.startswith(f"{path}: ")
            assert "object at 0x" not in str(sentence)
            assert "\n" not in str(sentence)
        for check in (check_frame, check_mask):
            facts = check(path, decode=True)
            assert facts.size is not None or facts.finding


def test_an_empty_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png: not a readable image \(in no image format"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("name", ["mask.png", "mask.jpg"])
def test_a_mask_in_a_lossy_format_is_refused(tmp_path, kind, name):
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:30] = 255
    Image.fromarray(labels).save(tmp_path / name, format=kind)
    with pytest.raises(InputError, match=rf"{name}: a {kind} file, whose compression changes object ids"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("GIF", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_a_mask_in_a_format_without_loss_is_read(tmp_path, kind, options):
    labels = np.arange(40, dtype=np.uint8).reshape(5, 8)
    Image.fromarray(labels).save(tmp_path / "mask", format=kind, **options)
    assert (read_mask(tmp_path / "mask") == labels).all()


def test_a_tiff_mask_with_jpeg_inside_is_refused(tmp_path):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "mask.tif", compression="jpeg")
    with pytest.raises(InputError, match="whose compression changes object ids"):
        read_mask(tmp_path / "mask.tif")


@pytest.mark.parametrize("read", READERS)
def test_a_folder_one_may_not_enter_is_named_by_every_reader(closed_folder, read):
    with pytest.raises(InputError, match=r"closed/inside: cannot be read \(Permission denied\)"):
        read(closed_folder / "inside")


def ome(folder, part):
    """An OME-TIFF whose second plane is in another file."""
    path = folder / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 16, 16), np.uint8), metadata={"axes": "TYX"}, ome=True)
    description = tifffile.TiffFile(path).ome_metadata
    planes = f'<TiffData FirstT="1" IFD="0"><UUID FileName="{part}">urn:uuid:1</UUID></TiffData></Pixels>'
    tifffile.tiffcomment(path, description.replace("</Pixels>", planes).encode())
    return path


@pytest.mark.parametrize("part", ["pipe.tif", "../other.tif", "/etc/passwd"])
def test_a_part_of_an_ome_tiff_that_is_not_a_file_beside_it_is_refused_at_once(part, tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(InputError, match="is not a file beside it"):
        TiffStack(ome(tmp_path, part))


def test_a_pipe_among_images_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"0\.png: no such image file"):
        open_frames(tmp_path)
