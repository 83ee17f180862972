"""Frames of video files and folders: in order, in any order, broken, rotated, with uneven times."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from threading import Event
from unittest.mock import Mock

import av
import numpy as np
import pytest
from PIL import Image

from aotlab.utils.errors import InputError
from aotlab_testing import numbered_videos
from aotlab_testing.files import SAMPLE
from aotlab_testing.marks import slow
from aotlab_testing.numbered_videos import cut_end, lose_packets
from aotlab_testing.plate_files import write_film
from aotlab_testing.processes import run_python
from aotlab_testing.video.written_video import write_video
from aotlab_testing.video_files import (
    CONTAINERS,
    QUARTER_TURN,
    TEXTURE,
    draw_smooth,
    encode,
    set_display_matrix,
    write_texture,
)
from aotlab_video.sources.decoding import count_ignored_streams, find_video_stream, open_container
from aotlab_video.sources.source_options import SourceOptions
from aotlab_video.sources.video import VideoReader, open_frames
from aotlab_video.sources.video_index import VideoIndex
from aotlab_video.sources.video_writer import VideoWriter

RABBIT = SAMPLE / "rabbit.mp4"
MIRROR = [-(1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
ROUNDED = [(1 << 16) - 1, 1, 0, -1, (1 << 16) - 1, 0, 0, 0, 1 << 30]


def read_all(path):
    """Return the number of frames before the end or the error, and the error's message."""
    count = 0
    try:
        for _ in open_frames(path):
            count += 1
    except InputError as error:
        return count, str(error)
    return count, None


@pytest.mark.parametrize(("matrix", "show"), [
    (QUARTER_TURN, lambda image: np.rot90(image, -1)),
    (MIRROR, lambda image: image[:, ::-1]),
    (ROUNDED, lambda image: image),
])  # fmt: skip
def test_display_matrix_is_applied(tmp_path, matrix, show):
    frames = draw_smooth(48, 64)
    path, expected = write_video(tmp_path / "phone.mp4", frames), show(frames[0])
    set_display_matrix(path, matrix)
    source = open_frames(path)
    assert source.size == expected.shape[:2]
    assert np.abs(next(iter(source)).astype(int) - expected).mean() < 4


def write_streams(path, *sizes, dispositions=()):
    """Write a file with a video stream of three frames for each size (height, width)."""
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("mpeg4", rate=24) for _ in sizes]
        for stream, (height, width) in zip(streams, sizes, strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for stream, disposition in zip(streams, dispositions, strict=False):
            stream.disposition = disposition
        for stream, size in zip(streams, sizes, strict=True):
            for _ in range(3):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((*size, 3), np.uint8), format="rgb24")))
            file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("dispositions", "size"), [((0, 0), (48, 64)), ((1, 0), (24, 32)), ((0, 1), (48, 64))])
def test_video_stream_is_chosen_as_by_ffmpeg(tmp_path, caplog, dispositions, size):
    source = open_frames(write_streams(tmp_path / "two.mkv", (24, 32), (48, 64), dispositions=dispositions))
    assert (source.size, source.length, len(list(source)), source.read(2).shape[:2]) == (size, 3, 3, size)
    assert "1 further video stream ignored" in caplog.text


def test_source_that_is_no_location_rejected():
    with pytest.raises(InputError, match=r"^video: expected a path, a URL or the number of a camera, got None$"):
        open_frames(None)


def test_cover_art_is_not_the_video():
    cover, video = (
        Mock(disposition=disposition, codec_context=Mock(width=side, height=side), frames=0)
        for disposition, side in ((1 | 1024, 900), (0, 8))
    )
    container = Mock(**{"streams.video": [cover, video]})
    assert find_video_stream(container) is video
    assert count_ignored_streams(container) == 0
    assert find_video_stream(Mock(**{"streams.video": [cover]})) is cover


def test_animated_avif_is_read_whole(tmp_path, caplog):
    images = [Image.new("RGB", (64, 48), (40 * index, 0, 0)) for index in range(6)]
    images[0].save(tmp_path / "a.avif", save_all=True, append_images=images[1:], duration=100)
    found = [frame.mean() for frame in open_frames(tmp_path / "a.avif")]
    assert len(found) == 6
    assert found == sorted(found)
    assert "ignored" not in caplog.text


@pytest.mark.parametrize(("size", "default"), [((576, 720), "bt601"), ((720, 1280), "bt709")])
def test_matrix_of_video_that_states_none(tmp_path, size, default):
    codes = np.full((size[0] * 3 // 2, size[1]), 120, np.uint8)
    codes[size[0] * 5 // 4 :] = 200  # V
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="yuv420p")))
        container.mux(stream.encode(None))
    found = {
        name: open_frames(tmp_path / "a.mkv", SourceOptions(matrix=name)) for name in ("bt601", "bt709", "bt2020", None)
    }
    luma = (120 - 16) / 219
    for name, red in (("bt601", 0.299), ("bt709", 0.2126), ("bt2020", 0.2627)):
        expected = luma + 2 * (1 - red) * (200 - 128) / 224
        assert found[name].read(0)[0, 0, 0] == pytest.approx(255 * min(1, expected), abs=2)
    np.testing.assert_array_equal(found[None].read(0), found[default].read(0))


def test_stated_matrix_is_not_overruled(tmp_path):
    path = write_film(tmp_path / "in", "yuv420p", tags=(1, 1, 1))
    with pytest.raises(InputError, match=r"matrix bt601: .*film\.mkv states another one; remove it"):
        open_frames(path, SourceOptions(matrix="bt601"))
    assert open_frames(path, SourceOptions(matrix="bt709")).read(0).any()
    with pytest.raises(InputError, match="source matrix: only for video files, not for"):
        open_frames(tmp_path, SourceOptions(matrix="bt709"))


def test_options_of_a_source_may_be_a_dict(tmp_path):
    path = write_film(tmp_path / "in", "yuv420p")
    assert open_frames(path, {"timeout": 5}).options == SourceOptions(timeout=5)
    with pytest.raises(InputError, match=r"unknown key fp; did you mean fps\?"):
        open_frames(path, {"fp": 3})


def test_pixel_aspect_is_turned_with_the_image(tmp_path):
    with closing(VideoWriter(tmp_path / "a.mp4", rate=24, size=(48, 64), pixel_aspect=Fraction(64, 45))) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), Fraction(0))
    set_display_matrix(tmp_path / "a.mp4", QUARTER_TURN)
    assert open_frames(tmp_path / "a.mp4").pixel_aspect == Fraction(45, 64)


UNEVEN = [Fraction(at, 100) for at in (0, 4, 8, 30, 34, 50, 54, 90)]
EVEN = [Fraction(index, 30) for index in range(8)]  # Matroska stores milliseconds


@pytest.mark.parametrize(("suffix", "times"), [("mp4", UNEVEN), ("mkv", UNEVEN), ("mkv", EVEN)])
def test_times_are_read_and_written_unchanged(tmp_path, suffix, times):
    black = np.zeros((8, 48, 64, 3), np.uint8)
    source = open_frames(encode(tmp_path / f"phone.{suffix}", "mpeg4", black, rate=30, times=times))
    assert [source.time(index) for index in range(8)] == times  # before anything is read
    written = open_frames(write_video(tmp_path / "out.mp4", list(source), source.rate, times))
    assert len(list(written)) == 8
    assert [written.time(index) for index in range(8)] == times
    assert [source.time(index) for index in range(8)] == times


@pytest.mark.parametrize("times", [None, [index / 24 for index in range(12)]])  # the second has ticks of 1 ms
def test_times_of_avi_with_b_frames_follow_the_rate(tmp_path, times):
    source = open_frames(encode(tmp_path / "clip.avi", "libx264", [TEXTURE] * 12, times=times))
    assert [source.time(index) for index, _ in enumerate(source)] == [Fraction(i, 24) for i in range(12)]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", CONTAINERS["mp4"]),
        ("h264", "libx264"),
        *slow(*(item for item in CONTAINERS.items() if item[0] != "mp4")),
    ],
)  # frames of a raw stream have no times
def test_frames_in_any_order_equal_those_in_order(tmp_path, suffix, codec):
    path = write_texture(tmp_path / f"clip.{suffix}", codec)
    expected, source = list(open_frames(path)), open_frames(path)
    for index in (0, 39, 3, 2, 1, 30, 31, 32, 20, 39, 0):
        np.testing.assert_array_equal(source.read(index), expected[index])
    for index in (-1, 40):
        with pytest.raises(InputError, match=f"clip: no frame {index}; its last frame is 39"):
            source.read(index)


@pytest.mark.parametrize(("length", "part"), [(12, 0.85), (40, 0.6)])  # 0.85: little time is missing
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi"])
def test_cut_video_ends_with_an_error(tmp_path, suffix, length, part):
    path = cut_end(write_texture(tmp_path / f"cut.{suffix}", CONTAINERS[suffix], length), part)
    count, message = read_all(path)
    assert 0 < count < length
    assert open_frames(path).length == count
    problem = rf"cut off after frame {count - 1}, at least \d+ bytes are missing \((\d+) frames\); copy it again"
    assert (match := re.fullmatch(f"{path}: {problem}", message))
    assert count + int(match[1]) == length


def test_frames_of_lost_packets_are_counted(tmp_path):
    path = lose_packets(numbered_videos.write_numbered(tmp_path / "h264.ts", 40), tmp_path / "lost.ts")
    count, message = read_all(path)
    assert count == 28
    assert message == f"{path}: damaged packets, 12 frames lost; copy it again"
    with pytest.raises(InputError, match="12 frames"):
        list(open_frames(path).iterate_plates(26))


@pytest.mark.parametrize("tag", [b"DURATION", b"X_LENGTH"])  # mkvmerge writes it at the end, where a cut file lacks it
def test_damage_that_hides_the_rest_of_a_file_is_named(tmp_path, tag):
    path = write_texture(tmp_path / "clip.mkv", count=60)
    assert len(list(open_frames(path))) == 60
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        start = [packet.pos for packet in container.demux(video=0)][20]
    content[start : start + 4] = bytes(4)  # the header of a block
    path.write_bytes(content.replace(b"DURATION", tag))
    with pytest.raises(InputError, match=r"damaged after frame \d+, 1\.\d s are missing \(\d+ frames\); copy it again"):
        list(open_frames(path))


@pytest.mark.parametrize(
    ("name", "codec", "unit"), [("a.ts", "mpeg2video", 188), ("b.ts", "libx264", 188), ("a.m2ts", "libx264", 192)]
)
def test_transport_stream_cut_within_a_frame_is_reported(tmp_path, name, codec, unit):
    path = write_texture(tmp_path / name, codec)
    assert read_all(path) == (40, None)
    with av.open(str(path)) as container:
        packets = [(packet.size, packet.pos) for packet in container.demux(video=0) if packet.size]
    size, start = max(packets[12:])
    path.write_bytes(path.read_bytes()[: (start + size // 2) // unit * unit])
    count, message = read_all(path)
    assert 12 <= count < 40
    assert "cut off within frame" in message


def test_stream_cut_between_frames_equals_a_shorter_one(tmp_path):
    write_texture(tmp_path / "all.ts")
    with av.open(str(tmp_path / "all.ts")) as old:
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for count in (40, 25):
            with av.open(str(tmp_path / f"{count}.ts"), "w") as new:
                stream = new.add_stream_from_template(old.streams.video[0])
                for packet in packets[:count]:
                    packet.stream = stream
                    new.mux(packet)
    content = (tmp_path / "25.ts").read_bytes()
    assert (tmp_path / "40.ts").read_bytes()[: len(content)] == content
    assert read_all(tmp_path / "25.ts") == (25, None)


def test_edit_list_with_fewer_frames_is_complete(tmp_path):
    path = write_texture(tmp_path / "edited.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"elst") + 12
    content[start : start + 4] = (500).to_bytes(4, "big")  # milliseconds of the movie
    path.write_bytes(content)
    assert open_frames(path).length == 12
    assert read_all(path) == (12, None)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_tags_that_are_not_utf8_do_not_matter(tmp_path, suffix):
    path = write_texture(tmp_path / f"clip.{suffix}", count=5, tags={"title": "Zuerichsee"})
    content = path.read_bytes()
    assert b"Zuerichsee" in content
    path.write_bytes(content.replace(b"Zuerichsee", b"Z\xfcrichsee\xff"))
    assert len(list(open_frames(path))) == 5
    assert open_frames(path).read(4).shape == (120, 160, 3)


def test_frames_filled_in_by_the_decoder_are_counted(tmp_path):
    path = write_texture(tmp_path / "a.mp4")
    whole = open_frames(path)
    frames, content = list(whole), path.read_bytes()
    assert whole.damaged_frames == []
    with av.open(str(path)) as container:
        packet = list(container.demux(video=0))[19]
        fifth = packet.size // 5
        end = packet.pos + packet.size
    path.write_bytes(content[: end - fifth] + b"\xff" * fifth + content[end:])
    source = open_frames(path)
    assert len(list(source)) == 40
    damaged = list(source.damaged_frames)
    pairs = enumerate(zip(source, frames, strict=True))
    changed = [index for index, (frame, other) in pairs if (frame != other).any()]
    assert damaged
    assert set(damaged) <= set(changed)
    assert source.damaged_frames == damaged  # counted again


@pytest.mark.parametrize(("name", "text"), [
    ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
    ("list.mp4", "ffconcat version 1.0\nfile {}\n"),
])  # fmt: skip
def test_playlist_is_not_followed_to_other_files(tmp_path, name, text):
    secret, path = write_texture(tmp_path / "secret.ts", "mpeg4", count=2), tmp_path / name
    path.write_text(text.format(secret.name))
    with pytest.raises(InputError, match="not a playlist"):
        open_frames(path)
    reader, writer = os.pipe()
    os.write(writer, text.format(secret).encode())
    os.close(writer)
    with open(reader, "rb", buffering=0) as file, pytest.raises(av.FFmpegError):
        open_container(file)


def write_empty_video(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


@pytest.mark.parametrize(("name", "write", "words"), [
    ("none.mp4", lambda path: None, "no such file or folder"),
    (300 * "n", lambda path: None, "not readable"),
    ("a.mp4", lambda path: path.write_bytes(b""), "not readable"),
    ("a.txt", lambda path: path.write_bytes(b"these are words\n" * 50), "not a video"),
    ("a.mp4", lambda path: path.write_bytes(b"these are words\n" * 50), "not readable"),
    ("photo.jpg", lambda path: Image.new("RGB", (64, 48)).save(path), "not a video"),
    ("a.mp4", write_empty_video, "contains no frames"),
    ("a.mkv", write_empty_video, "(contains no frames|not readable)"),
    ("a.avi", write_empty_video, "contains no frames"),
    ("folder", lambda path: path.mkdir(), "contains no frames"),
])  # fmt: skip
def test_path_without_frames_rejected(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: {words}"):
        open_frames(tmp_path / name)


@pytest.mark.parametrize("name", ["", "inside", "folder"])
def test_error_names_the_closed_folder_of_a_video(closed_folder, name):
    with pytest.raises((InputError, OSError), match="closed"):
        open_frames(closed_folder / name)


def test_folder_is_sorted_with_numbers_by_value(tmp_path):
    for name, value in [("10.png", 10), ("2.jpg", 2), ("1.bmp", 1), ("3.webp", 3)]:
        Image.new("RGB", (6, 4), (value * 20,) * 3).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._2.jpg").write_text("left by a computer")
    source = open_frames(str(tmp_path))
    assert [source.frame_name(index) for index in range(source.length)] == ["1", "2", "3", "10"]
    assert [round(frame.mean() / 20) for frame in source] == [1, 2, 3, 10]
    assert source.read(2).mean() == pytest.approx(60, abs=2)
    assert (source.size, source.rate, source.name) == ((4, 6), 24, tmp_path.name)
    with pytest.raises(InputError, match="no frame 4; its last frame is 3"):
        source.read(4)


def write_numbered(folder, count):
    """Write gray images of brightness 0, 10, 20, ... into a folder."""
    folder.mkdir()
    for index in range(count):
        Image.new("RGB", (6, 4), (10 * index,) * 3).save(folder / f"{index}.png")
    return folder


def test_stored_frames_have_indices(tmp_path):
    for path in (write_numbered(tmp_path / "images", 7), write_texture(tmp_path / "a.mp4", count=7)):
        frames, expected = open_frames(path), list(open_frames(path))
        assert len(frames) == len(expected) == 7
        for index in (0, 3, -1, -7, np.int64(2)):
            np.testing.assert_array_equal(frames[index], expected[index])


def test_index_beyond_the_frames_rejected(tmp_path):
    frames = open_frames(write_numbered(tmp_path / "images", 4))
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"images: index {index} is out of range for 4 frames"):
            frames[index]
    for wrong in (1.5, slice(1, 3)):
        with pytest.raises(TypeError):
            frames[wrong]


def test_first_frame_is_read_without_an_index_of_the_file(tmp_path, monkeypatch):
    frames = open_frames(write_texture(tmp_path / "a.mp4", count=3))
    monkeypatch.setattr("aotlab_video.sources.video.VideoIndex", None)
    assert frames[0].shape == (120, 160, 3)


@pytest.mark.parametrize(("name", "words"), [("1.png", r"1\.png: 8×4.*6×4"), ("0.jpg", "2 images are named 0")])
def test_frames_that_do_not_fit_together_rejected(tmp_path, name, words):
    Image.new("RGB", (6, 4)).save(tmp_path / "0.png")
    Image.new("RGB", (8, 4)).save(tmp_path / name)
    with pytest.raises(InputError, match=words):
        list(open_frames(tmp_path))


STRESS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
import numpy as np
from aotlab_video import open_frames

expected = list(islice(open_frames(sys.argv[1]), 12))
with ThreadPoolExecutor(4) as pool:
    for _ in range(int(sys.argv[2])):
        source, order = open_frames(sys.argv[1]), [*range(12)] * 2
        for index, frame in zip(order, pool.map(source.read, order), strict=True):
            np.testing.assert_array_equal(frame, expected[index], str(index))
"""


@pytest.mark.parametrize("opens", [3, *slow(40)])
def test_threads_read_one_source(opens):
    result = run_python("-c", STRESS, RABBIT, opens, timeout=1200)
    assert result.returncode == 0, result.stderr


def test_threads_convert_one_kept_frame():
    kept, source = {}, open_frames(RABBIT)
    VideoReader(source).read(3, kept.__setitem__)
    expected = source.read(3)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda _: kept[3].to_image(), range(100)))
    for image in images:
        np.testing.assert_array_equal(image, expected)


def test_slow_index_of_a_video_does_not_block_others(tmp_path, monkeypatch):
    slow, other = open_frames(write_texture(tmp_path / "slow.mp4")), open_frames(write_texture(tmp_path / "other.mp4"))
    begun, released = Event(), Event()

    def index(path, start):
        if path == slow.path:
            begun.set()
            assert released.wait(60)
        return VideoIndex(path, start)

    monkeypatch.setattr("aotlab_video.sources.video.VideoIndex", index)
    with ThreadPoolExecutor(2) as pool:
        lengths = [pool.submit(lambda: slow.length)]
        assert begun.wait(60)
        lengths.append(pool.submit(lambda: other.length))
        try:
            assert lengths[1].result(10) == 40
        finally:
            released.set()
        assert lengths[0].result() == 40


def test_two_iterations_keep_their_own_times(tmp_path):
    times = [*map(Fraction, (0, 1, 3, 7))]
    source = open_frames(write_video(tmp_path / "a.mp4", np.zeros((4, 48, 64, 3), np.uint8), times=times))
    for _ in zip(source, source, strict=True):
        pass
    assert [source.time(index) for index in range(4)] == times


def test_messages_of_codecs_do_not_reach_python(tmp_path):
    path = tmp_path / "clip.mp4"
    write_texture(path, count=2)
    av.logging.set_level(av.logging.ERROR)  # as importing torchvision 0.25
    open_frames(path).read(1)
    assert av.logging.get_level() is None
