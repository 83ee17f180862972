"""Broken videos of every container, tags that are no text, jumping clocks, and damage that the decoder hides."""

from __future__ import annotations

import os
import random
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from aotlab.media.video import has_variable_rate, open_container, open_frames
from aotlab.media.video_writer import VideoWriter
from aotlab.utils.errors import InputError

CONTAINERS = {
    "mp4": "libx264",
    "mkv": "libx264",
    "mov": "mpeg4",
    "avi": "mpeg4",
    "ts": "libx264",
    "webm": "libvpx",
    "gif": "gif",
}
TEXTURE = np.kron(
    np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)
)


def write(path, codec="libx264", count=40, tags=None):
    """A small video of a texture that moves."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags or {})
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height = 160, 120
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for index in range(count):
            image = av.VideoFrame.from_ndarray(np.roll(TEXTURE, 3 * index, 1), format="rgb24")
            container.mux(stream.encode(image.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


def frames_of(path):
    """Number of frames that come before the end or the refusal, and the sentence of that."""
    count = 0
    try:
        for _ in open_frames(path, timeout=20):
            count += 1
    except InputError as error:
        return count, str(error)
    return count, None


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_video_cut_at_any_tenth_gives_what_it_holds_or_is_named(tmp_path, suffix):
    content = write(tmp_path / f"whole.{suffix}", CONTAINERS[suffix], count=12).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for tenth in range(11):
        path.write_bytes(content[: len(content) * tenth // 10])
        count, sentence = frames_of(path)
        assert count <= 12
        assert sentence is None or str(path) in sentence
        assert count > 0 or sentence is not None
    assert count == 12


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_video_with_changed_bytes_gives_frames_or_is_named(tmp_path, suffix):
    content = write(tmp_path / f"whole.{suffix}", CONTAINERS[suffix], count=12).read_bytes()
    path, rng = tmp_path / f"hurt.{suffix}", random.Random(0)
    for _ in range(20):
        hurt = bytearray(content)
        for _ in range(rng.randint(1, 20)):
            hurt[rng.randrange(len(hurt))] = rng.randrange(256)
        path.write_bytes(hurt)
        count, sentence = frames_of(path)
        assert count > 0 or sentence is not None
        assert sentence is None or str(path) in sentence


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_tag_that_is_not_utf8_does_not_matter(tmp_path, suffix):
    path = write(tmp_path / f"clip.{suffix}", count=5, tags={"title": "Zuerichsee"})
    content = path.read_bytes()
    assert b"Zuerichsee" in content
    path.write_bytes(content.replace(b"Zuerichsee", b"Z\xfcrichsee\xff"))
    assert len(list(open_frames(path))) == 5


@pytest.fixture
def hurt(tmp_path):
    """An MP4 with a few bytes changed inside its images, which all decode, and its frames before that."""
    path = write(tmp_path / "hurt.mp4")
    content, whole = path.read_bytes(), list(open_frames(path))
    first = content.index(b"mdat") + 2500  # behind the first image
    for seed in range(50):
        changed, rng = bytearray(content), random.Random(seed)
        at = rng.randrange(first, len(changed) - 2500)
        changed[at : at + 4] = rng.randbytes(4)
        path.write_bytes(changed)
        source = open_frames(path)
        count, sentence = frames_of(path)
        if (count, sentence) == (40, None) and len(list(source)) == 40 and source.damaged:
            return path, whole
    raise AssertionError("no damage that the decoder fills in")


def test_frames_that_the_decoder_fills_in_are_counted_and_named(hurt):
    path, whole = hurt
    source = open_frames(path)
    frames = zip(source, whole, strict=True)
    changed = [index for index, (frame, other) in enumerate(frames) if (frame != other).any()]
    assert source.damaged
    assert set(source.damaged) <= set(changed)


def test_reading_again_counts_anew(hurt):
    source = open_frames(hurt[0])
    first, again = [(len(list(source)), tuple(source.damaged)) for _ in range(2)]
    assert first == again


def test_a_whole_video_has_no_damaged_frame(tmp_path):
    source = open_frames(write(tmp_path / "whole.mp4"))
    assert (len(list(source)), list(source.damaged)) == (40, [])


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm"])
@pytest.mark.parametrize("jump", [7 * 3600, 10**6, 10**9, -3600])
def test_a_clock_that_jumps_costs_no_frame(tmp_path, suffix, jump):
    path = tmp_path / f"clip.{suffix}"
    channels = 3 if suffix == "mp4" else 4
    with VideoWriter(path, rate=Fraction(24), size=(32, 48), variable=True) as writer:
        for index in range(8):
            time = Fraction(index, 24) + (jump if index >= 4 else 0)
            writer.write(np.full((32, 48, channels), 20 * index, np.uint8), time)
    source = open_frames(path)
    greys = [int(frame.mean()) for frame in source]
    assert len(greys) == 8
    assert greys == sorted(greys)
    times = [source.time(index) for index in range(8)]
    assert times == sorted(times)
    assert times[-1] < 2 * 3600
    assert times[7] - times[4] == pytest.approx(3 / 24 if jump > 0 else times[7] - times[4], abs=0.01)


def test_a_folder_one_may_not_enter_is_named(closed_folder):
    for path in (closed_folder, closed_folder / "inside", closed_folder / "folder"):
        with pytest.raises(InputError, match=r"closed.*cannot be read"):
            open_frames(path)


def test_a_packet_too_large_to_read_ends_the_look_at_the_times():
    """FFmpeg's answer to some damaged files depends on the free memory, so it is given here."""
    packets = [SimpleNamespace(pts=pts) for pts in range(8)]
    stream = SimpleNamespace(time_base=Fraction(1, 10))

    def demux(_):
        yield from packets
        raise av.error.MemoryError(12, "Cannot allocate memory")

    container = SimpleNamespace(streams=SimpleNamespace(video=[stream]), demux=demux)
    assert not has_variable_rate(container, Fraction(10))
    del packets[1:3]
    assert has_variable_rate(container, Fraction(10))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile {}\n"),
    ],
)
def test_a_playlist_is_not_followed_to_other_files(tmp_path, name, text):
    secret = tmp_path / "secret.ts"
    with av.open(str(secret), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height = 64, 48
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    assert open_frames(secret).size == (48, 64)
    path = tmp_path / name
    path.write_text(text.format(secret.name))
    with pytest.raises(InputError, match="a playlist of other files"):
        open_frames(path)
    reader, writer = os.pipe()
    os.write(writer, text.format(secret).encode())
    os.close(writer)
    with open(reader, "rb", buffering=0) as file, pytest.raises(av.FFmpegError):
        open_container(file)
