"""Written movies: alpha, tags, times."""

from contextlib import closing
from fractions import Fraction

import av
import numpy as np
import pytest

from aotlab_compositing.outputs import DEPTH, PRORES
from aotlab_compositing.planes import rgb_to_planes
from aotlab_compositing.plates import fill_frame
from aotlab_testing.video_files import CLOCK_JUMPS, draw_smooth, list_jump_times, require_jump_kept
from aotlab_video.sources.plates import ColorTags
from aotlab_video.sources.video import open_frames
from aotlab_video.sources.video_writer import VideoWriter


def write_movie(path, frames, rate=Fraction(24), times=None, tags=(1, 1), **options):
    """Write frames H×W×4 uint8 RGBA to a .mov file; return the path."""
    with closing(VideoWriter(path, rate=rate, size=frames[0].shape[:2], encoding=PRORES, **options)) as writer:
        for index, frame in enumerate(frames):
            rgb, alpha = frame[..., :3] / np.float32(255), frame[..., 3] / np.float32(255)
            planes = rgb_to_planes(rgb, ColorTags(*tags), DEPTH)
            planes.values.append((alpha * (2**DEPTH - 1)).round())
            time = index / rate if times is None else times[index]
            writer.write_image(fill_frame(planes, PRORES.pixel_format), time, planes.tags)
    return path


@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(8, 9)])
def test_pixel_aspect_and_color_tags_are_written(tmp_path, aspect):
    tags = (9, 16) if aspect > 1 else (1, 1)
    frames = np.zeros((3, 48, 64, 4), np.uint8)
    path = write_movie(tmp_path / "clip.mov", frames, tags=tags, pixel_aspect=aspect)
    source = open_frames(path)
    assert (source.pixel_aspect, source.length, len(list(source))) == (aspect, 3, 3)
    assert source.color_tags == tags


def test_alpha_is_read_back(tmp_path):
    frames = np.concatenate([draw_smooth(47, 63), np.zeros((5, 47, 63, 1), np.uint8)], axis=-1)
    frames[:, 10:30, 20:, 3] = 255
    path = write_movie(tmp_path / "alpha.mov", frames, Fraction(12))
    with av.open(str(path)) as container:
        back = [*container.decode(video=0)]
    assert len(back) == 5
    # the encoder is lossy
    assert np.abs(back[4].to_ndarray(format="rgba").astype(int) - frames[4]).mean() < 4
    assert (back[4].to_ndarray(format="rgba")[15:25, 30:60, 3] > 250).all()


def test_prores_alpha_is_exact(tmp_path):
    frame = np.zeros((480, 214, 4), np.uint8)  # rows that the scaler's blocks of 8 pixels do not fill
    frame[100:300, 75:125] = 255
    for _ in range(10):
        with av.open(str(write_movie(tmp_path / "alpha.mov", [frame]))) as container:
            for back in container.decode(video=0):
                np.testing.assert_array_equal(back.to_ndarray(format="rgba")[..., 3], frame[..., 3])


@pytest.mark.parametrize("jump", CLOCK_JUMPS)
def test_clock_jump_keeps_every_frame(tmp_path, jump):
    frames = [np.full((32, 48, 4), 20 * index, np.uint8) for index in range(8)]
    require_jump_kept(open_frames(write_movie(tmp_path / "clip.mov", frames, times=list_jump_times(jump))), jump)
