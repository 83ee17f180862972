"""Planes of video files, made of plates."""

from typing import Any

import av
import numpy as np
import pytest

from aotlab_compositing.planes import make_planes
from aotlab_testing.plate_files import decode_yuv, draw_ramps, write_film
from aotlab_video.sources.plates import ColorTags, VideoPlate
from aotlab_video.sources.video import open_frames


def test_planes_beyond_white_survive(tmp_path):
    video = write_film(tmp_path / "in", "yuv420p10le", tags=(1, 1, 1))
    plate: Any = open_frames(video).read_plate(0)
    plate.frame.planes[0].update(bytes(np.full(plate.frame.planes[0].buffer_size // 2, 1000, np.uint16)))
    assert make_planes(plate, 10).values[0].max() == 1000
    assert make_planes(plate, 10).tags == ColorTags(1, 1, 1)


def test_colors_of_422_lie_on_the_first_of_two_pixels(tmp_path):
    video = write_film(tmp_path / "in", "yuv422p10le", "prores_ks", suffix="mov")
    with av.open(str(video)) as container:
        expected = decode_yuv(next(container.decode(video=0)))
    planes = make_planes(open_frames(video).read_plate(0), 10)
    np.testing.assert_allclose(planes.to_rgb(), expected, atol=0.003)


@pytest.mark.parametrize("layout", ["gbrp10le", "gbrpf32le", "gray10le"])
def test_other_formats_of_video_keep_their_rgb(layout):
    rgb = draw_ramps()[..., [0, 0, 0]]
    values = rgb[..., 0] if layout.startswith("gray") else rgb
    codes = values.astype(np.float32) if "f32" in layout else (values * 1023).round().astype(np.uint16)
    planes = make_planes(VideoPlate(av.VideoFrame.from_ndarray(codes, format=layout)), 10)
    np.testing.assert_allclose(planes.to_rgb(), rgb, atol=0.004)
