"""Frames of files in any order with bounded memory; frames of streams."""

import threading
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest

from aotlab import InputError, VideoWriter, open_frames
from aotlab_studio import annotate as cli
from aotlab_studio.document.document import Document
from aotlab_studio.document.planning import TrackRequest
from aotlab_studio.server.session import Session
from aotlab_studio.video import MAX_KEPT_FRAMES, FrameStore, LiveFrames
from studio.tests.annotation.clips import HEIGHT, WIDTH, TruthTracker, draw, image, open_session, truth

LENGTH = 60


def nbytes(store):
    return store._decoded.nbytes + store._jpegs.nbytes


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, rate=25, size=(48, 64)) as writer:
        for index in range(LENGTH):
            frame = np.full((48, 64, 3), 4 * index, np.uint8)
            frame[:8, :8] = rng.integers(0, 255, 3)
            writer.write(frame)
    return path


def test_any_order_gives_the_same_frames(video):
    expected = list(open_frames(video))
    store = FrameStore(video, cache_bytes=6 * 2 * 48 * 64 * 3)
    assert store.count == LENGTH
    for index in [0, 59, 3, 2, 1, 40, 41, 42, 20, 59, 0, 31, *range(59, 30, -1)]:
        assert (store.read(index) == expected[index]).all()


def test_slow_frame_has_nearby_image_at_once(video):
    store = FrameStore(video)
    store._reader("view")[0].acquire()  # someone decodes on the way to the frame
    near = cv2.imdecode(np.frombuffer(store.nearest_jpeg(50), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(near[20, 20]) - 4 * store._index.find_key_frame(50)) < 6
    store._reader("view")[0].release()
    store.read(45)
    near = cv2.imdecode(np.frombuffer(store.nearest_jpeg(50), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(near[20, 20]) - 180) < 4


def test_caches_never_exceed_their_limit(video):
    limit = 10 * 48 * 64 * 3
    store = FrameStore(video, cache_bytes=limit)
    for index in range(LENGTH):
        store.jpeg(index)
        assert nbytes(store) <= limit


def test_jpeg_shows_the_frame_and_previews_are_small(video):
    store = FrameStore(video)
    image = cv2.imdecode(np.frombuffer(store.jpeg(30), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (48, 64, 3)
    assert abs(image[30, 40].astype(int) - 120).max() < 6
    assert cv2.imdecode(np.frombuffer(store.jpeg(30, 32), np.uint8), cv2.IMREAD_COLOR).shape == (24, 32, 3)


def test_warming_fills_the_cache_and_waits_for_jobs(video):
    store = FrameStore(video)
    cached = []

    def busy():
        cached.append(nbytes(store))
        return len(cached) < 3

    store.prefetch(threading.Event(), busy)
    assert cached[:3] == [0, 0, 0]
    assert all((index, None) in store._jpegs for index in range(LENGTH))


@pytest.mark.parametrize("index", [-1, LENGTH, 10**9])
def test_missing_frame_rejected(video, index):
    with pytest.raises(InputError, match=f"frame {index}; give one of 0 to 59"):
        FrameStore(video).read(index)


def test_broken_frame_is_named_and_others_are_read(tmp_path, folder):
    (folder / "00003.png").write_bytes(b"broken")
    store = FrameStore(folder)
    with pytest.raises(InputError, match=r"00003\.png"):
        store.read(3)
    assert store.read(4).shape == (40, 60, 3)


class Camera:
    """Gives the drawn images one by one, on request of the test."""

    name, size, rate, length, live, variable = "camera", (HEIGHT, WIDTH), Fraction(25), None, True, True

    def __init__(self, length=10**6, fails=None):
        self.go = threading.Semaphore(1)
        self.frames, self.fails = length, fails

    def __iter__(self):
        for index in range(self.frames):
            self.go.acquire()
            yield image(index % 20)
        if self.fails:
            raise self.fails


def open_live(tmp_path, camera, *, record=True):
    folder = tmp_path / "live.aotlab"
    frames = LiveFrames(camera, folder / "frames", record=record)
    return Session(Document.open(folder / "frames", project=folder, frames=frames), TruthTracker)


def is_object_1(labels):
    """Whether a mask is object 1 of any of the drawn images."""
    return any((labels == (truth(index) == 1)).all() for index in range(24))


def show_until(camera, condition):
    """Let the camera give images until a condition holds."""
    end = time.monotonic() + 60
    while not condition():
        camera.go.release()
        time.sleep(0.05)
        assert time.monotonic() < end


def test_stream_is_tracked_and_recorded(tmp_path):
    camera = Camera()
    session = open_live(tmp_path, camera)
    counts = []
    session.document.listeners.append(lambda event: counts.append(getattr(event, "count", None)))
    assert session.document.frames.count == 1
    draw(session, 0, 1)
    job = session.go_live(0)
    show_until(camera, lambda: job.done >= 5)
    assert session.document.frames.count >= 6
    assert 6 in counts
    assert all(is_object_1(session.document.labels(index)) for index in range(1, 6))
    assert job.report().remaining is None
    job.stop()
    show_until(camera, lambda: not job.alive)
    assert job.status == "stopped"
    session.close()
    again = open_session(tmp_path / "live.aotlab")
    assert again.document.frames.count >= 6
    assert again.document.labels(5).any()
    again.close()


def test_unrecorded_stream_drops_old_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab_studio.video.MAX_KEPT_FRAMES", 3)
    camera = Camera()
    session = open_live(tmp_path, camera, record=False)
    draw(session, 0, 1)
    job = session.go_live(0)
    show_until(camera, lambda: job.done >= 6)
    job.stop()
    show_until(camera, lambda: not job.alive)
    kept = list((tmp_path / "live.aotlab" / "frames").iterdir())
    assert len(kept) == 3
    assert len(session.document.tracked_frames) <= 4
    with pytest.raises(InputError, match="no frame 0; give one of"):
        session.document.frames.read(0)
    assert MAX_KEPT_FRAMES > 3
    session.close()


@pytest.mark.parametrize("fails", [None, InputError("camera: broke off"), RuntimeError("no more colours")])
def test_end_of_a_stream_ends_the_job(tmp_path, caplog, fails):
    camera = Camera(length=2, fails=fails)
    session = open_live(tmp_path, camera)
    draw(session, 0, 1)
    job = session.go_live(0)
    show_until(camera, lambda: not job.alive)
    assert job.status == ("failed" if fails else "done")
    assert str(fails or "None") in str(job.problem)
    assert ("Traceback" in caplog.text) == isinstance(fails, RuntimeError)
    session.close()


def test_only_streams_with_a_mask_go_live(tmp_path, session):
    with pytest.raises(InputError, match="not a stream"):
        session.take_frame()
    with pytest.raises(InputError, match="not a stream"):
        session.go_live(0)
    live = open_live(tmp_path, Camera())
    with pytest.raises(InputError, match="no mask to track"):
        live.go_live(0)
    with pytest.raises(InputError):
        live.track(TrackRequest(0))
    live.close()


def test_unreachable_address_rejected():
    with pytest.raises(InputError, match="cannot be opened"):
        cli.main(["http://127.0.0.1:9/live", "--no-browser"])
