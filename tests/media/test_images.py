"""Images of 8 bits."""

import os
from contextlib import suppress

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from aotlab.evaluation.archive import standardize_mask
from aotlab.media.images import read_image
from aotlab.utils.errors import InputError
from aotlab_testing.image_files import CLIP, DEEP, READERS, write_png


@pytest.fixture
def pngs(tmp_path):
    for index, image in enumerate(DEEP):
        write_png(tmp_path / "pngs" / f"{index}.png", image)
    return tmp_path / "pngs"


def test_deep_image_without_levels_rejected(pngs):
    write_png(pngs / "0.png", DEEP[0, ..., 0])
    with pytest.raises(InputError, match="more than 8 bits a channel"):
        read_image(pngs / "0.png")


def test_postscript_never_reaches_ghostscript(tmp_path, monkeypatch):
    gs, ran = tmp_path / "bin" / "gs", tmp_path / "ran"
    gs.parent.mkdir()
    gs.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 10.0 || touch {ran}\n')
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(gs.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    path = tmp_path / "frame.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n%%EndComments\nshowpage\n%%EOF\n")
    for read in (*READERS, lambda path: standardize_mask(path, (24, 32), [])):
        with suppress(InputError, ValueError):
            read(path)
    with pytest.raises(InputError, match="unknown image format"):
        read_image(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("damage", "progressive"), [("half", True), ("last bytes", False), ("zeros", False), ("zeros", True)]
)
def test_truncated_jpeg_rejected(tmp_path, progressive, damage):
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, progressive=progressive)
    whole = path.read_bytes()
    half = len(whole) // 2
    cut = {"half": whole[:half], "last bytes": whole[:-2], "zeros": whole[:half].ljust(len(whole), b"\0")}
    path.write_bytes(cut[damage])
    with pytest.raises(InputError, match=r"cut\.jpg: not readable"):
        read_image(path)


def test_jpeg_with_a_movie_appended_is_read(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    image.save(tmp_path / "photo.jpg")
    expected = read_image(tmp_path / "photo.jpg")
    with (tmp_path / "photo.jpg").open("ab") as file:
        file.write(b"\0\0\0\x18ftypmp42\xff\xda\0\x08")
    np.testing.assert_array_equal(read_image(tmp_path / "photo.jpg"), expected)


@pytest.mark.parametrize("orientation", range(10))
def test_photo_is_upright_by_its_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(CLIP[0]).save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        upright = np.array(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), upright)
