"""Frames from files and folders, and video files."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from aotlab.media.video import open_frames
from aotlab.media.video_writer import VideoWriter
from aotlab.utils.errors import InputError

QUARTER_TURN = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
"""Display matrix of a phone video: the stored image is turned to the right to be shown."""

MIRROR = [-(1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]


def write(path, frames, rate=Fraction(24)):
    with VideoWriter(path, rate=rate, size=frames[0].shape[:2]) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def smooth(height, width, frames=5):
    """Frames without fine detail, which compression keeps: T×H×W×3."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([255 * x / width, 255 * y / height, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    return np.stack(
        [np.clip(ramp.astype(int) - 6 * index, 0, 255).astype(np.uint8) for index in range(frames)]
    )


def set_display_matrix(path, matrix):
    """Overwrite the display matrix in the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    content[start : start + 36] = np.array(matrix, dtype=">i4").tobytes()
    path.write_bytes(content)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(15, 2), Fraction(1000, 33)])
@pytest.mark.parametrize("size", [(48, 64), (47, 64), (48, 63), (47, 63)])
def test_a_written_video_keeps_rate_size_and_every_frame(tmp_path, rate, size):
    frames = smooth(*size)
    source = open_frames(write(tmp_path / "clip.mp4", frames, rate))
    assert source.rate == rate
    assert source.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert source.length == 5
    assert source.name == "clip"
    assert [source.stem(index) for index in (0, 12)] == ["00000", "00012"]
    back = np.stack(list(source))[:, : size[0], : size[1]]
    assert np.abs(back.astype(int) - frames).mean() < 4
    assert len(list(source)) == len(back) == 5


def test_a_turned_video_comes_upright(tmp_path):
    frames = smooth(48, 64)
    path = write(tmp_path / "phone.mp4", frames)
    set_display_matrix(path, QUARTER_TURN)
    source = open_frames(path)
    assert source.size == (64, 48)
    assert np.abs(next(iter(source)).astype(int) - np.rot90(frames[0], -1)).mean() < 4


def test_a_mirrored_video_comes_mirrored(tmp_path):
    frames = smooth(48, 64)
    path = write(tmp_path / "selfie.mp4", frames)
    set_display_matrix(path, MIRROR)
    assert np.abs(next(iter(open_frames(path))).astype(int) - frames[0][:, ::-1]).mean() < 4


UNEVEN = [Fraction(at, 100) for at in (0, 4, 8, 30, 34, 50, 54, 90)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_uneven_times_are_read_and_written_as_they_are(tmp_path, suffix):
    frames = smooth(48, 64, 8)
    path = tmp_path / f"phone.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, time in zip(frames, UNEVEN, strict=True):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = int(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    source = open_frames(path)
    assert source.variable
    with VideoWriter(tmp_path / "out.mp4", rate=source.rate, size=(48, 64), variable=True) as writer:
        for index, frame in enumerate(source):
            writer.write(frame, source.time(index))
    written = open_frames(tmp_path / "out.mp4")
    assert len(list(written)) == 8
    assert [written.time(index) for index in range(8)] == UNEVEN
    assert [source.time(index) for index in range(8)] == UNEVEN


def test_even_times_follow_from_the_rate(tmp_path):
    rate = Fraction(30000, 1001)
    source = open_frames(write(tmp_path / "clip.mp4", smooth(48, 64, 12), rate))
    assert not source.variable
    assert source.time(7) == 7 / rate


@pytest.mark.parametrize(("suffix", "decoder"), [("mov", "prores"), ("webm", "libvpx-vp9")])
def test_a_file_with_alpha_gives_the_alpha_back(tmp_path, suffix, decoder):
    frames = np.concatenate([smooth(47, 63), np.zeros((5, 47, 63, 1), np.uint8)], axis=-1)
    frames[:, 10:30, 20:, 3] = 255
    path = write(tmp_path / f"alpha.{suffix}", frames, Fraction(12))
    with av.open(str(path)) as container:
        codec = av.CodecContext.create(decoder, "r")
        codec.extradata = container.streams.video[0].codec_context.extradata
        back = [f for packet in container.demux(video=0) if packet.size for f in codec.decode(packet)]
    assert len(back) == 5
    # both encoders are lossy
    assert np.abs(back[4].to_ndarray(format="rgba").astype(int) - frames[4]).mean() < 4
    assert (back[4].to_ndarray(format="rgba")[15:25, 30:60, 3] > 250).all()


def test_a_full_disk_is_an_error_of_one_sentence_and_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    writer = VideoWriter(tmp_path / "a.mp4", rate=Fraction(24), size=(48, 64))
    writer.write(smooth(48, 64)[0])
    real, writer._container = writer._container, SimpleNamespace(mux=full)
    with pytest.raises(InputError, match=r"a\.mp4: cannot be written \(No space left"), writer:
        writer.write(smooth(48, 64)[0])
    real.close()
    assert list(tmp_path.iterdir()) == []


def test_without_libx264_a_video_is_still_written(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    source = open_frames(write(tmp_path / "clip.mp4", smooth(47, 63), Fraction(30000, 1001)))
    assert (source.rate, source.size, len(list(source))) == (Fraction(30000, 1001), (48, 64), 5)


def write_and_fail(path):
    with VideoWriter(path, rate=Fraction(24), size=(48, 64)) as writer:
        writer.write(smooth(48, 64)[0])
        raise RuntimeError("stop")


def test_a_failed_block_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        write_and_fail(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.mp4: no such file or folder"):
        open_frames(tmp_path / "none.mp4")


@pytest.mark.parametrize("name", ["video.mp4", "notes.txt"])
@pytest.mark.parametrize("content", [b"", b"these are words, not a video\n" * 50, bytes(range(256)) * 40])
def test_garbage_is_not_a_video(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: (not a|holds no frames)"):
        open_frames(tmp_path / name)


def test_a_single_image_is_not_a_video(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.jpg")
    with pytest.raises(InputError, match="not a video"):
        open_frames(tmp_path / "photo.jpg")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_without_frames_is_refused(tmp_path, suffix):
    path = tmp_path / f"empty.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(InputError, match=rf"empty\.{suffix}: holds no frames"):
        open_frames(path)


def test_a_folder_is_read_by_name_with_numbers_by_value(tmp_path):
    for name, value in [("10.png", 10), ("2.jpg", 2), ("1.bmp", 1), ("3.webp", 3)]:
        Image.new("RGB", (6, 4), (value * 20,) * 3).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._2.jpg").write_text("left by a computer")
    source = open_frames(tmp_path)
    assert [source.stem(index) for index in range(source.length)] == ["1", "2", "3", "10"]
    assert [round(frame.mean() / 20) for frame in source] == [1, 2, 3, 10]
    assert (source.size, source.rate, source.name) == ((4, 6), 24, tmp_path.name)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no frames"):
        open_frames(tmp_path)


def test_a_frame_of_another_size_in_a_folder_is_named(tmp_path):
    Image.new("RGB", (6, 4)).save(tmp_path / "0.png")
    Image.new("RGB", (8, 4)).save(tmp_path / "1.png")
    frames = iter(open_frames(tmp_path))
    next(frames)
    with pytest.raises(InputError, match=r"1\.png: 8×4.*6×4"):
        next(frames)


def test_two_frames_of_one_stem_are_refused(tmp_path):
    for name in ("0.png", "0.jpg"):
        Image.new("RGB", (6, 4)).save(tmp_path / name)
    with pytest.raises(InputError, match="2 images are named 0"):
        open_frames(tmp_path)
