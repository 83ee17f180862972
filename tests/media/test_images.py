"""Frames of images of more than 8 bits: 16-bit PNG, TIFF, TIFF stacks and EXR, with one pair of levels a video."""

import numpy as np
import pytest
from PIL import Image

from aotlab.media.images import Levels, parse_levels, read_image
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from tests.drawn_clips import draw_clip

tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")

CLIP = draw_clip(("0", "1", "2", "3"), size=(24, 32)).frames
"""4×24×32×3 uint8"""
DEEP = CLIP.astype(np.uint16) * 257
"""the same with 16 bits"""


def frames_of(path, **options):
    return np.stack(list(open_frames(path, **options)))


def write_png(path, values):
    import cv2

    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)


@pytest.fixture
def pngs(tmp_path):
    for index, image in enumerate(DEEP):
        write_png(tmp_path / "pngs" / f"{index}.png", image)
    return tmp_path / "pngs"


@pytest.fixture
def stack(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", DEEP, photometric="rgb")
    return tmp_path / "stack.tif"


def test_a_clip_scaled_to_16_bits_is_the_8_bit_clip_under_its_whole_range(pngs, stack):
    assert (frames_of(pngs, levels="0,65535") == CLIP).all()
    assert (frames_of(stack, levels=(0, 65535)) == CLIP).all()


def test_levels_are_found_once_for_all_frames_where_none_are_stated(tmp_path):
    folder = tmp_path / "cells"
    frames = [np.tile(np.linspace(100, top, 64, dtype=np.uint16), (8, 1)) for top in (300, 1100, 4100)]
    for index, image in enumerate(frames):
        write_png(folder / f"{index}.png", image)
    source = open_frames(folder)
    assert source.levels.found
    assert 100 <= source.levels.low < 110
    assert 3900 < source.levels.high <= 4100
    brightest = [int(frame.max()) for frame in source]
    assert brightest == sorted(brightest)
    assert brightest[0] < 20  # a dark frame stays darker than the others
    assert brightest[2] == 255
    assert {frame.shape for frame in source} == {(8, 64, 3)}


def test_8_bit_images_stay_as_they_are_unless_levels_are_given(tmp_path):
    for index, image in enumerate(CLIP):
        write_png(tmp_path / "plain" / f"{index}.png", image)
    source = open_frames(tmp_path / "plain")
    assert source.levels is None
    assert (np.stack(list(source)) == CLIP).all()
    stretched = frames_of(tmp_path / "plain", levels="60,120")
    assert (stretched == Levels(60, 120)(CLIP)).all()


@pytest.mark.parametrize(
    "options", [{"compression": "lzw"}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_a_stack_is_a_video_with_numbered_frames(tmp_path, options):
    tifffile.imwrite(tmp_path / "film.tif", DEEP, photometric="rgb", **options)
    source = open_frames(tmp_path / "film.tif", levels="0,65535")
    assert (source.name, source.length, source.size, source.stem(3)) == ("film", 4, (24, 32), "00003")
    assert (np.stack(list(source)) == CLIP).all()
    assert (source.read(2) == CLIP[2]).all()


@pytest.mark.parametrize(
    ("kind", "axes", "channels"),
    [("imagej", "TYX", 1), ("imagej", "TCYX", 2), ("imagej", "TCYX", 3), ("ome", "TCYX", 2), ("ome", "CTYX", 2)],
)  # fmt: skip
def test_stacks_of_microscopes_are_read_by_their_axes(tmp_path, kind, axes, channels):
    grey = np.stack([DEEP[..., channel] for channel in range(channels)], axis=1)  # T×C×Y×X
    values = grey[:, 0] if axes == "TYX" else grey if axes == "TCYX" else grey.swapaxes(0, 1)
    tifffile.imwrite(
        tmp_path / "m.tif", values, **{kind: True}, metadata={"axes": axes}, photometric="minisblack"
    )
    shown = frames_of(tmp_path / "m.tif", levels="0,65535")
    order = {1: [0, 0, 0], 2: [0, 1, 0], 3: [0, 1, 2]}[channels]
    assert (shown == CLIP[..., order]).all()


def test_a_folder_of_tiffs_of_palettes_inverted_and_float_is_read(tmp_path):
    grey = CLIP[0, ..., 0]
    tifffile.imwrite(tmp_path / "inverted.tif", 255 - grey, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "float.tif", grey / np.float32(255))
    Image.fromarray(grey).convert("RGB").quantize(256).save(tmp_path / "palette.tif")
    shown = []
    for name in ("inverted", "palette", "float"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.tif").rename(tmp_path / name / "0.tif")
        levels = "0,1" if name == "float" else None
        shown.append(frames_of(tmp_path / name, levels=levels)[0, ..., 1])
    assert all((image == grey).all() for image in shown)


def test_exr_is_shown_with_the_curve_of_screens_and_in_its_display_window(tmp_path):
    exr = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
    part = CLIP / 255
    light = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4).astype(np.float32)
    boxes = {
        "dataWindow": (np.array([2, 1], np.int32), np.array([33, 24], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([35, 27], np.int32)),
    }
    (tmp_path / "shot").mkdir()
    for index, image in enumerate(light):
        exr.File(dict(boxes), {"RGB": image}).write(str(tmp_path / "shot" / f"f.{index:04d}.exr"))
    shown = frames_of(tmp_path / "shot", levels="0,1")
    assert shown.shape == (4, 28, 36, 3)
    assert np.abs(shown[:, 1:25, 2:34].astype(int) - CLIP).max() <= 1
    assert not shown[:, 0].any()


def test_what_is_no_number_is_black_and_what_is_infinite_white():
    values = np.array([[[np.nan], [np.inf], [-np.inf], [0.5]]], np.float32)
    assert Levels(0, 1)(values).reshape(-1).tolist() == [0, 255, 0, 128]


@pytest.mark.parametrize("text", ["wide", "5", "5,5", "9,3", "0,inf", "nan,1", "1,2,3", ""])
def test_levels_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="expected auto, or LOW,HIGH"):
        parse_levels(text)


def test_levels_are_refused_for_video_files_and_streams(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"whatever")
    with pytest.raises(InputError, match="levels auto: only for folders of images"):
        open_frames(tmp_path / "a.mp4", levels="auto")
    with pytest.raises(InputError, match="levels 0,9: only for folders of images"):
        open_frames("rtsp://127.0.0.1:9/x", levels="0,9")


def test_deep_images_are_never_cut_off_where_no_levels_are_known(tmp_path):
    write_png(tmp_path / "0.png", DEEP[0, ..., 0])
    with pytest.raises(InputError, match="more than 8 bits a channel"):
        read_image(tmp_path / "0.png")


def test_frames_of_another_depth_or_size_are_named(pngs):
    write_png(pngs / "2.png", CLIP[2])
    with pytest.raises(InputError, match=r"2\.png: has values of uint8, but the first frame of uint16"):
        frames_of(pngs)
    write_png(pngs / "2.png", DEEP[2][:20])
    with pytest.raises(InputError, match=r"2\.png: 32×20, but the first frame is 32×24"):
        frames_of(pngs)


def test_stacks_that_are_no_video_are_refused_in_a_sentence(tmp_path, stack):
    def refused(name, values, **options):
        tifffile.imwrite(tmp_path / name, values, **options)
        with pytest.raises(InputError) as error:
            open_frames(tmp_path / name)
        return str(error.value)

    volume = np.zeros((3, 4, 8, 8), np.uint16)
    assert "3 T × 4 Z" in refused("v.tif", volume, imagej=True, metadata={"axes": "TZYX"})
    assert "5 channels" in refused(
        "c.tif", np.zeros((2, 5, 8, 8), np.uint16), ome=True, metadata={"axes": "TCYX"}
    )
    assert "complex64" in refused("z.tif", np.zeros((8, 8), np.complex64))
    (tmp_path / "folder").mkdir()
    stack.rename(tmp_path / "folder" / "0.tif")
    with pytest.raises(InputError, match="holds 4 images; give a stack by itself"):
        open_frames(tmp_path / "folder")


@pytest.mark.parametrize("ending", ["tif", "png", "exr"])
def test_broken_images_are_one_sentence(tmp_path, ending):
    good = tmp_path / f"good.{ending}"
    if ending == "exr":
        exr = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
        exr.File({}, {"RGB": CLIP[0].astype(np.float32)}).write(str(good))
    elif ending == "tif":
        tifffile.imwrite(good, DEEP[:2], photometric="rgb", compression="zlib")
    else:
        write_png(good, DEEP[0])
    content = good.read_bytes()
    rng = np.random.default_rng(5)
    folder = tmp_path / "frames"
    folder.mkdir()
    sentences = []
    for trial in range(40):
        broken = bytearray(content[: int(rng.integers(30, len(content)))] if trial % 2 else content)
        for place in rng.integers(8, len(broken), 4):
            broken[place] = int(rng.integers(256))
        path = folder / f"0.{ending}"
        path.write_bytes(broken)
        try:
            frames_of(path if ending == "tif" else folder)
        except InputError as error:
            sentences.append(str(error))
    assert len(sentences) >= 10
    assert not any("\n" in sentence for sentence in sentences)


def test_a_missing_library_is_one_sentence(stack, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(
        InputError, match=r"tifffile must be installed for this; pip install 'aotlab\[images\]'"
    ):
        open_frames(stack)
