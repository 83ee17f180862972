"""Frames from sources that can be read only once: pipes, addresses, standard input."""

import errno
import os
from fractions import Fraction
from itertools import islice
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.streaming import ReadAhead
from aotlab_testing.limits import make_pipe
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import run_python
from aotlab_testing.video_files import write_gray
from aotlab_video.sources.location import locate_video
from aotlab_video.sources.source_options import SourceOptions
from aotlab_video.sources.video import open_frames


def brightness(source):
    return [round(float(frame.mean()) / 20) * 20 for frame in source]


GRAYS = [40, 60, 80, 100, 120, 140]


def test_address_is_read_once_in_order_with_its_times(tmp_path, file_server):
    write_gray(tmp_path / "clip.mkv")
    source = open_frames(f"{file_server.url}/clip.mkv")
    assert (source.name, source.size, source.rate, source.length) == ("clip", (48, 64), 12, None)
    assert brightness(source) == GRAYS
    assert [round(source.time(index) * 12) for index in range(6)] == list(range(6))
    assert not source.is_live
    with pytest.raises(InputError, match="only once"):
        list(source)
    with pytest.raises(InputError, match="can only be read sequentially"):
        source.read(0)
    for call in (lambda: len(source), lambda: source[0]):
        with pytest.raises(TypeError, match="clip: a stream has no length or indices; iterate over it or save"):
            call()


def test_error_names_the_address_without_its_password(file_server):
    address = file_server.url.replace("http://", "http://me:secret@")
    with pytest.raises(InputError, match=r"none\.mkv: not readable") as caught:
        open_frames(f"{address}/none.mkv")
    assert "secret" not in str(caught.value)


def test_truncated_stream_yields_received_frames(tmp_path, file_server):
    content = write_gray(tmp_path / "whole.ts", 30).read_bytes()
    (tmp_path / "cut.ts").write_bytes(content[: len(content) * 2 // 3])
    count = len(list(open_frames(f"{file_server.url}/cut.ts")))
    assert 5 < count < 30


def test_damaged_packets_are_skipped(tmp_path, file_server):
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    with av.open(str(tmp_path / "damaged.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index, image in enumerate(noise):
            packets = stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
            for packet in packets:
                if index == 5:
                    broken = av.Packet(bytes(packet.size))
                    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                    broken.stream = stream
                    packet = broken
                container.mux(packet)
    source = open_frames(f"{file_server.url}/damaged.mkv")
    assert len(list(source)) == 11
    assert source.corrupt_packets == 1
    assert source.time(5) == Fraction(1, 2)


def test_standard_input_is_read(tmp_path):
    code = (
        "from aotlab_video import SourceOptions, open_frames\n"
        "source = open_frames('-', SourceOptions(timeout=120))\n"
        "print(source.name, *[round(frame.mean() / 20) * 20 for frame in source])"
    )
    with write_gray(tmp_path / "clip.mkv").open("rb") as stdin:
        out = run_python("-c", code, stdin=stdin, check=True)
    assert out.stdout.split() == ["stdin", *map(str, GRAYS)]


@pytest.mark.skipif(os.name != "posix", reason="closes a file descriptor of a child process")
def test_closed_standard_input_is_reported_in_one_sentence(tmp_path):
    words = f"-m aotlab track - --box 1,2,30,40 --output {tmp_path}/out".split()
    done = run_python(*words, preexec_fn=lambda: os.close(0))  # <&-
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard input: not readable")


def test_silent_stream_times_out(tmp_path):
    make_pipe(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: no frame within 0\.3 seconds"):
        open_frames(tmp_path / "pipe", SourceOptions(timeout=0.3))
    (tmp_path / "pipe").write_bytes(b"")  # ends the thread that waits for it


def test_garbage_rejected(tmp_path, file_server):
    (tmp_path / "words.mp4").write_bytes(b"these are words\n" * 100)
    with pytest.raises(InputError, match=r"words\.mp4: (not readable|contains no video|not a video)"):
        open_frames(f"{file_server.url}/words.mp4")


@pytest.mark.parametrize(("source", "words"), [
    # only the reader of cameras asks for it
    pytest.param("/dev/null", r"/dev/null: not readable \(Inappropriate ioctl", marks=needs_posix),
    ("63", "camera 63: not readable"),
])  # fmt: skip
def test_error_names_the_missing_camera(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        open_frames(source)


class Recorder:
    """Stands for FFmpeg's readers of cameras: opens a clip, whose packets come after some delay."""

    def __init__(self, clip):
        self.clip, self.calls, self.delays, self.open, self.closed = clip, [], 2, av.open, False

    def __call__(self, file, format=None, options=None, **_):
        self.calls.append((file, format, options))
        self.container = self.open(str(self.clip))
        return self

    def demux(self, stream):
        self.delays -= 1
        if self.delays > 0:
            raise BlockingIOError
        return self.container.demux(stream)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.close()
        self.closed = True

    @property
    def streams(self):
        return self.container.streams


@pytest.fixture
def cameras(tmp_path, monkeypatch):
    """Eight cameras and a microphone of the system."""
    recorder = Recorder(write_gray(tmp_path / "clip.mkv"))
    devices = [SimpleNamespace(name="microphone", media_types=["audio"])]
    devices += [SimpleNamespace(name=f"camera {number}", media_types=["video"]) for number in range(8)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(av, "open", recorder)
    monkeypatch.setattr(av, "enumerate_input_devices", lambda _: devices, raising=False)
    return recorder


@pytest.mark.parametrize(("system", "call"), [
    ("linux", ("/dev/video7", "v4l2", {})),
    ("darwin", ("7", "avfoundation", {"framerate": "30"})),
    ("win32", ("video=camera 7", "dshow", {})),
])  # fmt: skip
def test_camera_is_opened_by_its_number(cameras, monkeypatch, system, call):
    monkeypatch.setattr("sys.platform", system)
    source = open_frames("7")
    assert (source.name, source.is_live, brightness(source)) == ("camera7", True, GRAYS)
    assert cameras.calls == [call]


def test_camera_is_closed_before_its_end(cameras, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    source = open_frames("7")
    frames: Any = iter(source)
    next(frames)
    frames.close()
    assert cameras.closed


def test_camera_that_fails_is_an_error_not_an_end(cameras, monkeypatch):
    def fail_after_three_packets(stream):
        yield from islice(cameras.container.demux(stream), 3)
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(cameras, "demux", fail_after_three_packets)
    frames = []
    with pytest.raises(InputError, match=r"camera 7: interrupted \(No such device\); check the source"):
        frames.extend(ReadAhead(open_frames("7")))
    assert len(frames) == 3


def test_file_with_a_number_as_its_name_is_not_a_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_gray(tmp_path / "clip.mkv").rename("0")
    assert brightness(open_frames("0")) == GRAYS


def test_file_address_is_a_path(tmp_path):
    assert brightness(open_frames(f"file://{write_gray(tmp_path / 'clip#1.mkv')}")) == GRAYS
    assert locate_video("C://videos/clip.mkv").kind == "stored"
