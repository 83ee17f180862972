"""The sound of a source beside the images made of it, in time, and sizes that every player shows."""

from fractions import Fraction

import av
import numpy as np
import pytest

from aotlab.media.video import open_frames
from aotlab.media.video_writer import VideoWriter

RATE, SAMPLES = 10, 16000
SECONDS = 3


def film(path, codec="aac", delay=0.0, size=(32, 48)):
    """Grey frames with a click of 0.1 s at 1 s and at 2 s; a ``delay`` moves images and sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        audio = container.add_stream(codec, rate=SAMPLES, layout="mono")
        for index in range(SECONDS * RATE):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + round(delay * RATE), Fraction(1, RATE)
            container.mux(video.encode(frame))
        time = np.arange(SECONDS * SAMPLES) / SAMPLES
        loud = ((time % 1 < 0.1) & (time >= 1)) * np.sin(2000 * time) * 0.8
        block = 1024
        for start in range(0, len(loud), block):
            samples = (loud[start : start + block] * 32767).astype(np.int16)[None]
            piece = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            piece.sample_rate, piece.time_base = SAMPLES, Fraction(1, SAMPLES)
            piece.pts = start + round(delay * SAMPLES)
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def clicks(path):
    """Seconds from the first frame at which it becomes loud, and the codec; None without sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        first = next(container.decode(video=0))
        start = float(first.pts * first.time_base)
    found, loud = [], False
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            values = frame.to_ndarray().astype(np.float64).reshape(-1)
            values = values / 32768 if frame.format.name.startswith("s16") else values
            for place in range(0, len(values), 128):
                now = np.abs(values[place : place + 128]).max() > 0.2
                if now and not loud and (not found or seconds_since(found, frame, place) > 0.3):
                    found.append(float(frame.pts * frame.time_base) + place / frame.sample_rate - start)
                loud = now
        return found, container.streams.audio[0].codec_context.name


def seconds_since(found, frame, place):
    return float(frame.pts * frame.time_base) + place / frame.sample_rate - found[-1]


def copied(source, path, frames=None):
    """The frames written again, as overlays are, perhaps a range of them."""
    images = list(source)
    with VideoWriter(
        path, rate=source.rate, size=source.size, variable=source.variable, sound=source.sound
    ) as writer:
        for index in frames or range(len(images)):
            writer.write(images[index], source.time(index))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "becomes"),
    [("a.mp4", "aac", "aac"), ("a.mov", "pcm_s16le", "aac"), ("a.mkv", "flac", "flac"), ("a.mp4", "mp3", "mp3float")],
)  # fmt: skip
def test_sound_comes_along_and_stays_in_time(tmp_path, name, codec, becomes):
    heard, found = clicks(copied(open_frames(film(tmp_path / name, codec)), tmp_path / "out.mp4"))
    assert found == becomes
    assert np.abs(np.array(heard) - [1, 2]).max() < 0.05


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_of_a_range_begins_where_the_range_does(tmp_path, codec):
    path = tmp_path / ("a.mp4" if codec == "aac" else "a.mov")
    out = copied(open_frames(film(path, codec)), tmp_path / "out.mp4", range(15, 28))
    heard, _ = clicks(out)
    assert heard == pytest.approx([0.5], abs=0.05)
    with av.open(str(out)) as container:
        assert container.duration / 1e6 == pytest.approx(1.3, abs=0.1)


def test_a_clock_that_begins_later_does_not_move_the_sound(tmp_path):
    source = open_frames(film(tmp_path / "a.mkv", "flac", delay=5.0))
    heard, _ = clicks(copied(source, tmp_path / "out.mp4"))
    assert heard == pytest.approx([1, 2], abs=0.05)


def test_broken_sound_does_not_cost_the_images(tmp_path):
    path = film(tmp_path / "a.mov", "pcm_s16le")
    source = open_frames(path)
    frames = list(source)
    path.write_bytes(path.read_bytes()[:4000])
    with VideoWriter(tmp_path / "b.mp4", rate=source.rate, size=source.size, sound=source.sound) as writer:
        for frame in frames:
            writer.write(frame)
    assert len(list(open_frames(tmp_path / "b.mp4"))) == len(frames)


@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (47, 63)])
def test_every_video_for_people_has_even_sizes_and_usual_colours(tmp_path, size):
    frame = np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "a.mp4", rate=Fraction(24), size=size) as writer:
        writer.write(frame)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.height, context.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
