"""Written videos: frames, rates and times."""

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import av
import numpy as np
import pytest

from aotlab.utils.errors import InputError
from aotlab_testing.video.written_video import write_video
from aotlab_testing.video_files import (
    CLOCK_JUMPS,
    draw_smooth,
    list_jump_times,
    require_jump_kept,
)
from aotlab_video.sources.video import open_frames
from aotlab_video.sources.video_writer import VideoWriter


@pytest.mark.parametrize(("rate", "size"), [
    (Fraction(24), (48, 64)), (Fraction(30000, 1001), (47, 64)), (Fraction(15, 2), (48, 63)),
    (Fraction(1000, 33), (47, 63)),
])  # fmt: skip
def test_video_keeps_rate_size_and_every_frame(tmp_path, rate, size):
    frames = draw_smooth(*size)
    source = open_frames(write_video(tmp_path / "clip.mp4", frames, rate))
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert (source.rate, source.size, source.length, source.name) == (rate, even, 5, "clip")
    assert [source.frame_name(index) for index in (0, 12)] == ["00000", "00012"]
    assert source.time(3) == 3 / rate
    back = np.stack(list(source))[:, : size[0], : size[1]]
    assert np.abs(back.astype(int) - frames).mean() < 4
    assert np.abs(back[:, -1].astype(int) - frames[:, -1]).mean() < 6  # the row next to the padding
    assert len(list(source)) == len(back) == 5
    with av.open(str(tmp_path / "clip.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(1), Fraction(8, 9)])
def test_pixel_aspect_and_color_tags_are_written(tmp_path, aspect):
    path, tags = tmp_path / "clip.mp4", (9, 16) if aspect > 1 else (1, 1)
    options = {"size": (48, 64), "pixel_aspect": aspect, "color_tags": tags}
    with closing(VideoWriter(path, rate=Fraction(24), **options)) as writer:
        for index, frame in enumerate(np.zeros((3, 48, 64, 3), np.uint8)):
            writer.write(frame, index / Fraction(24))
    source = open_frames(path)
    assert (source.pixel_aspect, source.length, len(list(source))) == (aspect, 3, 3)
    assert source.color_tags == tags


@pytest.mark.parametrize("jump", CLOCK_JUMPS)
def test_clock_jump_keeps_every_frame(tmp_path, jump):
    frames = [np.full((32, 48, 3), 20 * index, np.uint8) for index in range(8)]
    require_jump_kept(open_frames(write_video(tmp_path / "clip.mp4", frames, times=list_jump_times(jump))), jump)


def test_full_disk_is_reported_and_the_file_removed(tmp_path):
    full = Mock(side_effect=OSError(28, "No space left on device"))
    writer = VideoWriter(tmp_path / "a.mp4", rate=Fraction(24), size=(48, 64))
    writer.write(draw_smooth(48, 64)[0], Fraction(0))
    real, writer._container = writer._container, SimpleNamespace(mux=full)
    with pytest.raises(InputError, match=r"a\.mp4: cannot be written \(No space left"):
        writer.write(draw_smooth(48, 64)[0], Fraction(1))
    writer._container.mux = Mock(side_effect=av.FFmpegError(5, "Input/output error"))
    with pytest.raises(InputError, match=r"a\.mp4: cannot be written \(Input/output error"):
        writer.close()
    real.close()
    assert list(tmp_path.iterdir()) == []


def test_error_names_the_missing_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with pytest.raises(InputError, match=r"\.mp4: this PyAV has no encoder libx264; pip install av"):
        write_video(tmp_path / "clip.mp4", draw_smooth(47, 63))


def test_relative_path_with_a_colon_is_not_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = open_frames(write_video(Path("12:30.mp4"), draw_smooth(48, 64)))
    assert source.length == 5
