"""Image files of 8 and more bits, levels, and broken files of every format."""

import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from aotlab.media.images import IMAGE_FORMATS, read_image
from aotlab.media.masks import write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_images, write_masks
from aotlab_testing.files import SAMPLE
from aotlab_testing.image_files import CLIP, DEEP, write_png
from aotlab_testing.limits import count_comparisons, make_pipe
from aotlab_video.masks.regions import VideoInfo
from aotlab_video.sources.frames import store_frame
from aotlab_video.sources.high_bit_depth import TiffStack, read_raw_image
from aotlab_video.sources.image_folders import list_images
from aotlab_video.sources.levels import Levels, encode_srgb, estimate_levels
from aotlab_video.sources.source_options import SourceOptions
from aotlab_video.sources.video import digest_video, open_frames

tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")

OpenEXR = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")


def read_frames(path, **options):
    return np.stack(list(open_frames(path, SourceOptions(**options))))


@pytest.fixture
def pngs(tmp_path):
    for index, image in enumerate(DEEP):
        write_png(tmp_path / "pngs" / f"{index}.png", image)
    return tmp_path / "pngs"


@pytest.fixture
def stack(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", DEEP, photometric="rgb")
    return tmp_path / "stack.tif"


def test_16_bits_under_their_whole_range_equal_8_bits(pngs, stack):
    np.testing.assert_array_equal(read_frames(pngs, levels="0,65535"), CLIP)
    np.testing.assert_array_equal(read_frames(stack, levels=(0, 65535)), CLIP)


def test_linked_folder_has_the_name_of_the_link(pngs, monkeypatch):
    (pngs.parent / "bus").symlink_to(pngs)
    monkeypatch.chdir(pngs)
    assert [open_frames(path).name for path in (pngs.parent / "bus", ".")] == ["bus", "pngs"]


def test_levels_are_estimated_once_for_all_frames(tmp_path):
    for index, top in enumerate((300, 1100, 4100)):
        ramp = np.linspace(100, top, 64, dtype=np.uint16)
        write_png(tmp_path / "cells" / f"{index}.png", np.tile(ramp, (8, 1)))
    source = open_frames(tmp_path / "cells")
    assert source.levels.estimated
    assert 100 <= source.levels.low < 110
    assert 3900 < source.levels.high <= 4100
    brightest = [int(frame.max()) for frame in source]
    assert brightest == sorted(brightest)
    assert brightest[0] < 20  # a dark frame stays darker than the others
    assert brightest[2] == 255
    assert {frame.shape for frame in source} == {(8, 64, 3)}


def test_8_bit_images_change_only_with_levels(tmp_path):
    for index, image in enumerate(CLIP):
        write_png(tmp_path / "plain" / f"{index}.png", image)
    assert open_frames(tmp_path / "plain").levels is None
    np.testing.assert_array_equal(read_frames(tmp_path / "plain"), CLIP)
    np.testing.assert_array_equal(read_frames(tmp_path / "plain", levels="60,120"), Levels(60, 120)(CLIP))


@pytest.mark.parametrize(
    "options", [{"compression": "lzw"}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_tiff_stack_is_a_video_with_numbered_frames(tmp_path, options):
    tifffile.imwrite(tmp_path / "film.tif", DEEP, photometric="rgb", **options)
    source = open_frames(tmp_path / "film.tif", SourceOptions(levels="0,65535"))
    assert (source.name, source.length, source.size, source.frame_name(3)) == ("film", 4, (24, 32), "00003")
    np.testing.assert_array_equal(np.stack(list(source)), CLIP)
    np.testing.assert_array_equal(source.read(2), CLIP[2])


@pytest.mark.parametrize(("kind", "axes", "colors"), [
    ("imagej", "TYX", [0, 0, 0]), ("imagej", "TCYX", [0, 1, 0]), ("imagej", "TCYX", [0, 1, 2]),
    ("ome", "TCYX", [0, 1, 0]), ("ome", "CTYX", [0, 1, 0]),
])  # fmt: skip
def test_microscope_stacks_are_read_by_their_axes(tmp_path, kind, axes, colors):
    values = np.einsum(f"TYXC->{axes}", DEEP[..., : max(colors) + 1])
    options = {kind: True, "metadata": {"axes": axes}, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "m.tif", values, **options)
    np.testing.assert_array_equal(read_frames(tmp_path / "m.tif", levels="0,65535"), CLIP[..., colors])


def test_inverted_palette_transparent_and_float_tiffs_are_read(tmp_path):
    gray = CLIP[0, ..., 0]
    for name in ("inverted", "palette", "float", "transparent"):
        (tmp_path / name).mkdir()
    tifffile.imwrite(tmp_path / "inverted" / "0.tif", 255 - gray, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "float" / "0.tif", gray / np.float32(255))
    Image.fromarray(gray).convert("RGB").quantize(256).save(tmp_path / "palette" / "0.tif")
    Image.merge("LA", [Image.fromarray(gray), Image.new("L", gray.shape[::-1], 99)]).save(
        tmp_path / "transparent" / "0.tif"
    )
    for name, levels in (("inverted", None), ("palette", None), ("float", "0,1"), ("transparent", None)):
        np.testing.assert_array_equal(read_frames(tmp_path / name, levels=levels)[0], np.dstack([gray] * 3))


def test_exr_is_srgb_encoded_in_its_display_window(tmp_path):
    part = CLIP / 255
    light = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4).astype(np.float32)
    boxes = {
        "dataWindow": (np.array([2, 1], np.int32), np.array([33, 24], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([35, 27], np.int32)),
    }
    for index, image in enumerate(light):
        OpenEXR.File(dict(boxes), {"RGB": image}).write(str(tmp_path / f"f.{index:04d}.exr"))
    shown = read_frames(tmp_path, levels="0,1")
    assert shown.shape == (4, 28, 36, 3)
    assert np.abs(shown[:, 1:25, 2:34].astype(int) - CLIP).max() <= 1
    assert not shown[:, 0].any()


def test_nan_is_black_and_infinity_white():
    values = np.array([[[np.nan], [np.inf], [-np.inf], [0.5]]], np.float32)
    assert Levels(0, 1)(values).reshape(-1).tolist() == [0, 255, 0, 128]


def test_linear_light_is_encoded_with_the_srgb_curve():
    light = np.array([[[0], [0.001], [0.0025], [0.01], [0.18], [0.5], [1]]], np.float32)
    assert Levels(0, 1, curve="linear")(light).reshape(-1).tolist() == [0, 3, 8, 25, 118, 188, 255]
    assert Levels(0, 1)(light).reshape(-1).tolist() == [0, 0, 1, 3, 46, 128, 255]


@pytest.mark.parametrize("text", ["wide", "5", "5,5", "9,3", "0,inf", "nan,1", "1,2,3", "", "x" * 5000])
def test_invalid_levels_rejected(text):
    with pytest.raises(InputError, match="expected auto, or LOW,HIGH") as caught:
        open_frames("gone", {"levels": text})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("options", [{"levels": "auto"}, {"fps": 5}])
def test_missing_folder_is_reported_before_its_options(tmp_path, options):
    with pytest.raises(InputError, match="gone: no such file or folder"):
        open_frames(tmp_path / "gone", SourceOptions(**options))


@pytest.mark.parametrize("source", ["a.mp4", "rtsp://127.0.0.1:9/x"])
def test_levels_of_videos_and_streams_rejected(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"whatever")
    with pytest.raises(InputError, match="source levels: only for folders of images"):
        open_frames(source, SourceOptions(levels="0,9"))


@pytest.mark.parametrize(("values", "words"), [
    (CLIP[2], r"2\.png: values are uint8, but uint16 on the first frame"),
    (DEEP[2][:20], r"2\.png: 32×20, but the first frame is 32×24"),
])  # fmt: skip
def test_error_names_the_frame_of_another_depth_or_size(pngs, values, words):
    write_png(pngs / "2.png", values)
    with pytest.raises(InputError, match=words):
        read_frames(pngs)


@pytest.mark.parametrize(("values", "options", "words"), [
    (np.zeros((3, 4, 8, 8), np.uint16), {"imagej": True, "metadata": {"axes": "TZYX"}}, "unsupported axes TZYX"),
    (np.zeros((2, 5, 8, 8), np.uint16), {"ome": True, "metadata": {"axes": "TCYX"}}, "unsupported axes TCYX"),
    (np.zeros((8, 8), np.complex64), {}, "complex64"),
    (np.zeros((8, 8, 4), np.uint8), {"photometric": "separated"}, "colors are CMYK; expected RGB"),
    (np.zeros((8, 8, 3), np.uint8), {"photometric": "cielab"}, "colors are CIELAB"),
])  # fmt: skip
def test_tiff_that_is_not_a_video_rejected(tmp_path, values, options, words):
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(InputError, match=words):
        open_frames(tmp_path / "a.tif")


def test_stack_among_images_rejected(stack):
    with pytest.raises(InputError, match="has 4 images; give the file itself, not its folder"):
        open_frames(stack.parent)


def test_missing_library_names_its_extra(stack, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(
        InputError, match=r"tifffile must be installed .* pip install './packages/video\[images\]' in a checkout"
    ):
        open_frames(stack)


@pytest.mark.parametrize("part", ["pipe.tif", "../other.tif", "/etc/passwd"])
def test_ome_tiff_part_that_is_not_beside_it_rejected(part, tmp_path):
    make_pipe(tmp_path / "pipe.tif")
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 16, 16), np.uint8), metadata={"axes": "TYX"}, ome=True)
    planes = f'<TiffData FirstT="1" IFD="0"><UUID FileName="{part}">urn:uuid:1</UUID></TiffData></Pixels>'
    description = tifffile.TiffFile(path).ome_metadata.replace("</Pixels>", planes)
    tifffile.tiffcomment(path, description.encode())
    with pytest.raises(InputError, match="is not a file next to it"):
        TiffStack(path)


def test_pipe_among_images_rejected(tmp_path):
    make_pipe(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"0\.png: not a regular file"):
        open_frames(tmp_path)


def test_mask_beside_frames_is_not_a_frame(tmp_path, caplog):
    write_images(tmp_path, CLIP[:3], "{}.jpg")
    write_mask(tmp_path / "mask.png", np.ones((24, 32), np.uint8))
    assert open_frames(tmp_path).length == 3
    assert "mask.png has a palette, like a mask; ignored" in caplog.text
    Image.fromarray(CLIP[3]).save(tmp_path / "3.webp")
    (tmp_path / "mask.png").unlink()
    assert open_frames(tmp_path).length == 4
    assert "all images are frames: 3 .jpg, 1 .webp" in caplog.text


def test_digest_covers_the_frames_only(tmp_path):
    write_images(tmp_path, CLIP[:3], "{}.jpg")
    before = digest_video(tmp_path)
    (tmp_path / "._0.jpg").write_bytes(b"resource fork")
    (tmp_path / "out").mkdir()
    write_mask(tmp_path / "mask.png", np.ones((24, 32), np.uint8))
    assert digest_video(tmp_path) == before
    Image.fromarray(CLIP[3]).save(tmp_path / "3.jpg")
    assert digest_video(tmp_path) != before


@pytest.mark.parametrize("reverse", [False, True])
def test_masks_beside_equally_many_frames_are_not_frames(tmp_path, monkeypatch, caplog, reverse):
    write_images(tmp_path, CLIP[:3], "{}.jpg")
    write_masks(tmp_path, np.ones((3, 24, 32), np.uint8), "{}.png")
    names = sorted(tmp_path.iterdir(), key=lambda path: path.suffix, reverse=reverse)
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(names))
    assert [path.name for path in list_images(tmp_path)] == ["0.jpg", "1.jpg", "2.jpg"]
    assert open_frames(tmp_path).length == 3
    assert "0.png has a palette, like a mask; ignored" in caplog.text


@pytest.mark.parametrize("orientation", range(10))
def test_images_are_upright_by_their_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, stored in (("8.png", CLIP[0]), ("16.png", CLIP[0, ..., 0].astype(np.uint16))):
        Image.fromarray(stored).save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as image:
            upright = np.array(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(read_raw_image(tmp_path / name).squeeze(), upright)


def test_exif_orientation_is_reported_once(tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6
    write_images(tmp_path, CLIP[:2], "{}.jpg", exif=exif)
    assert read_frames(tmp_path).shape == (2, 32, 24, 3)
    assert caplog.text.count("images are turned by their EXIF orientation") == 1
    assert VideoInfo.from_source(open_frames(tmp_path)).size == (32, 24)
    write_images(tmp_path / "other", CLIP[:1], "{}.jpg", exif=exif)
    read_image(tmp_path / "other" / "0.jpg")  # as train, eval and mask read
    assert f"{tmp_path / 'other'}: images are turned" in caplog.text
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(tmp_path / "deep.png", exif=exif)
    assert read_raw_image(tmp_path / "deep.png").shape == (32, 24, 1)


def test_time_to_list_images_is_proportional_to_their_number(tmp_path, monkeypatch):
    image = Image.new("P", (2, 2))
    for index in range(100):
        (tmp_path / f"{index:03d}.jpg").touch()
        image.save(tmp_path / f"m{index:03d}.png")
    comparisons = count_comparisons(monkeypatch)
    assert len(list_images(tmp_path)) == 100
    assert comparisons() < 2000


@pytest.mark.parametrize("suffix", [".mp4", ".mpg", ".M2TS"])
def test_folder_of_videos_is_not_a_video(tmp_path, suffix):
    for stem in ("a", "b"):
        (tmp_path / f"{stem}{suffix}").touch()
    write_png(tmp_path / "a.png", CLIP[0])
    with pytest.raises(
        InputError, match=rf"contains videos, not frames; give one, such as .*a\{suffix}, or track all with --jobs"
    ):
        open_frames(tmp_path)


def test_error_names_the_unreadable_frame_to_store(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    source = open_frames(tmp_path)
    (tmp_path / "0.png").unlink()
    with pytest.raises(InputError, match=r"0\.png: not readable"):
        store_frame(source, 0, np.zeros((8, 8, 3), np.uint8), tmp_path / "copy")


@pytest.mark.parametrize(("values", "levels"), [
    ([np.nan, np.inf], (0, 1)), ([7, 7], (7, 8)), ([3] * 9999 + [9], (3, 9)), ([2, 4, np.nan], (2, 4)),
    ([np.nan, np.inf, -np.inf, 5], (5, 6)),
])  # fmt: skip
def test_estimated_levels_of_few_values_are_a_range(values, levels):
    found = estimate_levels(lambda _: np.array(values, np.float32), count=1)
    assert found == pytest.approx(levels, abs=0.01)


def read_values(source):
    """Return the first image as stored."""
    return source.read_plate(0).values


def test_input_transform_changes_only_what_the_tracker_sees(tmp_path):
    for index, image in enumerate(CLIP):
        OpenEXR.File({}, {"RGB": (image / 255).astype(np.float32)}).write(str(tmp_path / f"{index}.exr"))
    options = {name: SourceOptions(levels="0,1", input_transform=name) for name in (None, "srgb")}
    shown = {name: open_frames(tmp_path, item) for name, item in options.items()}
    np.testing.assert_array_equal(shown["srgb"].read(0), CLIP[0])
    assert shown[None].read(0).mean() > CLIP[0].mean()  # linear light
    for source in shown.values():
        np.testing.assert_array_equal(read_values(source), (CLIP[0] / 255).astype(np.float32))


def test_color_spaces_of_opencolorio_are_shown(tmp_path, monkeypatch):
    pytest.importorskip("PyOpenColorIO", reason="needs the extra ocio")
    monkeypatch.delenv("OCIO", raising=False)
    light = np.float32([[[0.18, 0.18, 0.18], [0.5, 0.1, 0.02]]])
    OpenEXR.File({}, {"RGB": light}).write(str(tmp_path / "0.exr"))
    found = open_frames(tmp_path, SourceOptions(levels="0,1", input_transform="ocio:ACEScg")).read(0)
    # the matrix from ACEScg to BT.709 (Academy, with Bradford adaptation)
    matrix = [[1.7050, -0.6218, -0.0833], [-0.1303, 1.1408, -0.0105], [-0.0240, -0.1290, 1.1529]]
    np.testing.assert_allclose(found, 255 * encode_srgb((light @ np.transpose(matrix)).clip(0, 1)), atol=1)
    gray = np.full((1, 1, 3), round(0.391007 * 65535), np.uint16)  # 0.18 of linear light (ALEXA Log C Curve, 2017)
    shown = Levels(6082, 37396, "ocio:ARRI LogC3 (EI800)", white=65535)(gray)  # LogC3 of 0 and 1
    np.testing.assert_allclose(shown, 118, atol=2)
    with pytest.raises(InputError, match="Could not find source color space 'x'"):
        open_frames(tmp_path, SourceOptions(input_transform="ocio:x"))


def test_color_space_without_opencolorio_rejected(pngs, monkeypatch):
    """On opening, as `--dry-run` reads no frame."""
    monkeypatch.setitem(sys.modules, "PyOpenColorIO", None)
    with pytest.raises(InputError, match="PyOpenColorIO"):
        open_frames(pngs, SourceOptions(levels="0,65535", input_transform="ocio:Raw"))


def test_layers_of_exr_are_chosen(tmp_path):
    channels = {f"ViewLayer.Combined.{name}": np.full((4, 4), 0.5, np.float16) for name in "RGBA"}
    channels |= {f"ViewLayer.Normal.{name}": np.zeros((4, 4), np.float32) for name in "XYZ"}
    path = tmp_path / "0.exr"
    OpenEXR.File({}, channels).write(str(path))
    assert (read_values(open_frames(tmp_path)) == 0.5).all()
    OpenEXR.File({}, channels | {f"Hair.{name}": np.zeros((4, 4), np.float16) for name in "RGB"}).write(str(path))
    with pytest.raises(InputError, match=r"0\.exr: has the layers Hair, ViewLayer\.Combined; give one with --layer"):
        open_frames(tmp_path)
    assert (read_values(open_frames(tmp_path, SourceOptions(layer="ViewLayer.Combined"))) == 0.5).all()
    with pytest.raises(InputError, match=r"no channel x\.Y among"):
        open_frames(tmp_path, SourceOptions(layer="x"))


def write_dpx(path, codes):
    """Write H×W×3 codes of 10 bits by SMPTE ST 268-1, with 25 frames per second from 01:02:03:04 on."""
    header = bytearray(2048)
    height, width, _ = codes.shape
    struct.pack_into(">4sI8sI", header, 0, b"SDPX", 2048, b"V1.0", 2048 + 4 * width * height)
    struct.pack_into(">HHII", header, 768, 0, 1, width, height)
    struct.pack_into(">BBBBHHI", header, 800, 50, 2, 2, 10, 1, 0, 2048)  # RGB, filled to 32 bits
    struct.pack_into(">I", header, 1920, 0x01020304)
    struct.pack_into(">f", header, 1940, 25)
    packed = codes.astype(np.uint32) @ np.array([1 << 22, 1 << 12, 1 << 2], np.uint32)
    path.write_bytes(bytes(header) + packed.astype(">u4").tobytes())


def test_dpx_codes_and_times_are_exact(tmp_path):
    codes = np.arange(48).reshape(4, 4, 3) * 21
    write_dpx(tmp_path / "shot.1001.dpx", codes)
    source = open_frames(tmp_path)
    np.testing.assert_array_equal(read_values(source), np.round(codes * (65535 / 1023)))
    assert (source.rate, str(source.timecode), source.frame_name(0)) == (25, "01:02:03:04", "shot.1001")
    (tmp_path / "shot.1001.dpx").write_bytes((tmp_path / "shot.1001.dpx").read_bytes()[:2060])
    with pytest.raises(InputError, match=r"shot\.1001\.dpx: not readable"):
        open_frames(tmp_path)


@pytest.mark.parametrize("suffix", [".jfif", ".avif"])
def test_other_suffixes_are_frames(tmp_path, suffix):
    if suffix == ".avif" and "AVIF" not in IMAGE_FORMATS:
        pytest.skip("this Pillow does not read AVIF")
    Image.new("RGB", (16, 16), (200, 30, 30)).save(
        tmp_path / f"0{suffix}", format="JPEG" if suffix == ".jfif" else "AVIF"
    )
    np.testing.assert_allclose(open_frames(tmp_path).read(0)[8, 8], (200, 30, 30), atol=3)


def test_unknown_input_transform_rejected(tmp_path):
    with pytest.raises(InputError, match="input_transform gamma: not one of linear, srgb, ocio:SPACE"):
        open_frames(tmp_path, {"input_transform": "gamma"})


def test_input_transform_of_video_rejected():
    with pytest.raises(InputError, match="source input_transform: only for folders of images"):
        open_frames(SAMPLE / "rabbit.mp4", SourceOptions(input_transform="srgb"))


def test_exr_states_rate_aspect_and_time_code(tmp_path):
    header = {"framesPerSecond": Fraction(25), "pixelAspectRatio": 2.0}
    header["timeCode"] = OpenEXR.TimeCode(10, 0, 0, 7, *[False] * 6, *[0] * 8)
    OpenEXR.File(header, {"Y": np.zeros((4, 4), np.float16)}).write(str(tmp_path / "0.exr"))
    source = open_frames(tmp_path)
    assert (source.rate, source.pixel_aspect, str(source.timecode)) == (25, 2, "10:00:00:07")
    assert open_frames(tmp_path, SourceOptions(fps=24)).rate == 24


def test_hyphens_that_may_be_minus_signs_rejected(tmp_path):
    for name in ("shot-2", "shot-1", "shot0"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="shot-1: the hyphen before its number may be a minus sign; rename the frames"):
        open_frames(tmp_path)
