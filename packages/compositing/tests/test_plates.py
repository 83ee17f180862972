"""Plates: frames of video files as they are stored, with exact colors."""

import av
import numpy as np
import pytest

from aotlab_compositing.plates import read_float_rgb, read_planes, read_rgb, view_plane
from aotlab_testing.plate_files import SIZE, decode_yuv, draw_ramps, encode_yuv, write_film
from aotlab_video.sources.plates import VideoPlate
from aotlab_video.sources.video import open_frames


@pytest.mark.parametrize(("codec", "layout"), [("prores_ks", "yuv422p10le"), ("v210", "yuv422p10le")])
def test_colors_of_422_lie_on_the_first_of_two_pixels(tmp_path, codec, layout):
    video = write_film(tmp_path / "in", layout, codec, suffix="mov")
    with av.open(str(video)) as container:
        expected = decode_yuv(next(container.decode(video=0)))
    plate = open_frames(video).read_plate(0)
    np.testing.assert_allclose(read_float_rgb(plate), expected, atol=1e-5)
    np.testing.assert_allclose(read_rgb(plate) / 65535, expected.clip(0, 1), atol=0.51 / 65535)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("layout", [
    *(f"yuv{part}p{depth}" for part in (420, 422, 440, 444) for depth in ("", "10le", "12le")),
    "yuv420p9le", "yuv422p14le", "yuv411p", "nv12", "p010le", "p210le",
])  # fmt: skip
def test_white_of_every_layout_is_one(layout, full):
    planar = {"nv12": "yuv420p", "p010le": "yuv420p10le", "p210le": "yuv422p10le"}.get(layout, layout)
    grays = draw_ramps()[..., [0, 0, 0]]
    frame = encode_yuv(grays, planar, (1, 1, 1), full=full)
    depth = frame.format.components[0].bits
    black, span = (0, 2**depth - 1) if full else (16 << (depth - 8), 219 << (depth - 8))
    expected = ((grays * span + black).round() - black) / span
    same = frame.reformat(format=layout)
    same.color_range, same.colorspace = frame.color_range, 1
    for codec in ("ffv1", "mjpeg"):
        np.testing.assert_allclose(read_float_rgb(VideoPlate(same, codec)), expected, atol=1e-6)


@pytest.mark.parametrize(("codec", "expected"), [
    ("h264", [100, 150, 200, 150]), ("mpeg2video", [100, 150, 200, 150]),
    ("mpeg1video", [100, 125, 175, 175]), ("mjpeg", [100, 125, 175, 175]),
])  # fmt: skip
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p"])
def test_place_of_colors_is_that_of_the_codec(codec, expected, layout):
    frame = encode_yuv(draw_ramps(), layout, (1, 1, 1))
    columns, rows = np.uint8([100, 200] * 16), np.uint8([[100], [200]] * (SIZE[0] // 4))
    frame.planes[1].update(bytes(np.tile(columns, (frame.planes[1].height, 1))))
    frame.planes[2].update(bytes(np.tile(rows, (frame.planes[2].height // len(rows), 32))))
    _, blue, red = read_planes(VideoPlate(frame, codec)).values
    np.testing.assert_allclose(blue[4, :4], expected, atol=0.1)
    between = [100, 125, 175, 175] if layout == "yuv420p" else [100, 200, 100, 200]
    np.testing.assert_allclose(red[:4, 5], between, atol=0.1)


@pytest.mark.parametrize(("location", "weight"), [(0, 0.25), (2, 0)], ids=["between two rows", "on the upper row"])
def test_stated_vertical_location_of_colors_is_used(tmp_path, location, weight):
    options = {"x265-params": f"chromaloc={location}:lossless=1:log-level=none"}
    plate = open_frames(write_film(tmp_path / "in", "yuv420p", "libx265", **options)).read_plate(0)
    stored = view_plane(plate.frame, 1).astype(float)
    found = read_planes(plate).values[1][2::2, ::2]
    np.testing.assert_allclose(found, weight * stored[:-1] + (1 - weight) * stored[1:], atol=0.1)


@pytest.mark.parametrize(
    "layout", ["gbrp", "gbrp10le", "gbrp16le", "rgb48le", "gbrpf32le", "gray", "gray10le", "p010le"]
)
def test_other_formats_of_video_keep_their_rgb(layout):
    rgb = draw_ramps()
    rgb = rgb[..., [0, 0, 0]] if layout.startswith("gray") else rgb
    if layout == "p010le":
        frame = encode_yuv(rgb, "yuv420p10le", (9, 16, 9))
        expected = decode_yuv(frame).clip(0, 1)
        frame = frame.reformat(format=layout)
    else:
        values = rgb[..., 0] if layout.startswith("gray") else rgb
        if "f32" in layout:
            codes = values.astype(np.float32)
        else:
            depth = int("".join(filter(str.isdigit, layout.replace("rgb48", "rgb16").removesuffix("le"))) or 8)
            codes = (values * (2**depth - 1)).round().astype(np.uint8 if depth == 8 else np.uint16)
        frame = av.VideoFrame.from_ndarray(codes, format=layout)
        expected = codes / (1 if "f32" in layout else 2**depth - 1)
        expected = np.dstack([expected] * 3) if layout.startswith("gray") else expected
    plate = VideoPlate(frame)
    found = read_rgb(plate)
    white = 1 if found.dtype.kind == "f" else np.iinfo(found.dtype).max
    np.testing.assert_allclose(found / white, expected, atol=0.51 / white if white > 1 else 1e-6)
    assert np.abs(plate.to_image() / 255 - expected).mean() < 0.008
