"""Frames in any order are the frames that reading in order gives, and memory stays bounded."""

import threading

import cv2
import numpy as np
import pytest

from aotlab import InputError, VideoWriter, open_frames
from aotlab_studio.video import FrameStore
from studio.tests.annotation.clips import write_long_video

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


def test_any_order_gives_the_frames_of_reading_in_order(video):
    expected = list(open_frames(video))
    store = FrameStore(video, cache_bytes=6 * 2 * 48 * 64 * 3)
    assert store.count == LENGTH
    for index in [0, 59, 3, 2, 1, 40, 41, 42, 20, 59, 0, 31, *range(59, 30, -1)]:
        assert (store.read(index) == expected[index]).all()


def test_a_frame_that_takes_long_has_an_image_at_once_that_is_near_it(tmp_path):
    path = tmp_path / "long.mp4"
    write_long_video(path, 2, size=(48, 64), group=120)
    store = FrameStore(path)
    store._reader("view")[0].acquire()  # someone decodes on the way to the frame
    near = cv2.imdecode(np.frombuffer(store.near_jpeg(110), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(near[20, 20]) - 0) < 6  # the key frame
    store._reader("view")[0].release()
    store.read(105)
    near = cv2.imdecode(np.frombuffer(store.near_jpeg(110), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(near[20, 20]) - int(store.read(105)[20, 20, 0])) < 3
    expected = list(open_frames(path))
    assert len(expected) == store.count == 240
    for index in (239, 100, 130, 99, 231, 3):
        assert (store.read(index) == expected[index]).all()


def test_the_caches_never_hold_more_than_their_limit(video):
    limit = 10 * 48 * 64 * 3
    store = FrameStore(video, cache_bytes=limit)
    for index in range(LENGTH):
        store.jpeg(index)
        assert nbytes(store) <= limit


def test_readers_of_two_names_do_not_disturb_each_other(video):
    store = FrameStore(video, cache_bytes=0)
    expected = list(open_frames(video))
    for index in range(20):
        assert (store.read(index, "track") == expected[index]).all()
        assert (store.read(59 - index, "view") == expected[59 - index]).all()


def test_a_jpeg_shows_the_frame_and_a_preview_is_small(video):
    store = FrameStore(video)
    image = cv2.imdecode(np.frombuffer(store.jpeg(30), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (48, 64, 3)
    assert abs(image[30, 40].astype(int) - 120).max() < 6
    assert cv2.imdecode(np.frombuffer(store.jpeg(30, 32), np.uint8), cv2.IMREAD_COLOR).shape == (24, 32, 3)


def test_warming_prepares_frames_and_waits_while_something_else_runs(video):
    store = FrameStore(video)
    stop = threading.Event()
    busy = [True]
    thread = threading.Thread(target=store.warm, args=(stop, lambda: busy[0]), daemon=True)
    thread.start()
    thread.join(0.3)
    assert nbytes(store) == 0
    busy[0] = False
    thread.join(20)
    assert not thread.is_alive()
    assert all((index, None) in store._jpegs for index in range(LENGTH))


@pytest.mark.parametrize("index", [-1, LENGTH, 10**9])
def test_a_frame_that_there_is_not_is_refused(video, index):
    with pytest.raises(InputError, match=f"frame {index}; give one of 0 to 59"):
        FrameStore(video).read(index)


def test_a_broken_frame_is_named_and_the_others_are_read(tmp_path, folder):
    (folder / "00003.png").write_bytes(b"broken")
    store = FrameStore(folder)
    with pytest.raises(InputError, match=r"00003\.png"):
        store.read(3)
    assert store.read(4).shape == (40, 60, 3)
