"""Frames of files in any order with bounded memory."""

from contextlib import closing
from fractions import Fraction

import cv2
import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio import annotate as cli
from aotlab_studio.utils.cache import LRUCache
from aotlab_studio.utils.video import FrameStore
from aotlab_video import open_frames
from aotlab_video.sources.video_writer import VideoWriter

LENGTH = 60


def nbytes(store):
    return store._decoded.size + store._jpegs.size


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    rng = np.random.default_rng(0)
    with closing(VideoWriter(path, rate=25, size=(48, 64))) as writer:
        for index in range(LENGTH):
            frame = np.full((48, 64, 3), 4 * index, np.uint8)
            frame[:8, :8] = rng.integers(0, 255, 3)
            writer.write(frame, Fraction(index, 25))
    return path


def test_any_order_gives_the_same_frames(video):
    expected = list(open_frames(video))
    store = FrameStore(video, cache_bytes=6 * 2 * 48 * 64 * 3)
    assert store.count == LENGTH
    for index in [0, 59, 3, 2, 1, 40, 41, 42, 20, 59, 0, 31, *range(59, 30, -1)]:
        np.testing.assert_array_equal(store.read(index), expected[index])


def test_slow_frame_has_nearby_image_at_once(video):
    store = FrameStore(video)
    store.read(0)
    reader = store._readers["view"]
    reader.lock.acquire()  # another thread holds the decoder
    near = cv2.imdecode(np.frombuffer(store.read_nearest_jpeg(50), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(near[20, 20]) - 4 * store.source.index.find_key_frame(50)) < 6
    reader.lock.release()
    store.read(45)
    near = cv2.imdecode(np.frombuffer(store.read_nearest_jpeg(50), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(near[20, 20]) - 180) < 4


def test_caches_never_exceed_their_limit(video):
    limit = 10 * 48 * 64 * 3
    store = FrameStore(video, cache_bytes=limit)
    for index in range(LENGTH):
        store.read_jpeg(index)
        assert nbytes(store) <= limit


def test_empty_items_are_evicted_too():
    cache = LRUCache(3, len)
    for index in range(9):
        cache.put(index, [])
    assert [index for index in range(9) if cache.get(index) is not None] == [6, 7, 8]


def test_jpeg_shows_the_frame_and_previews_are_small(video):
    store = FrameStore(video)
    whole, large, small = (
        cv2.imdecode(np.frombuffer(store.read_jpeg(30, width), np.uint8), cv2.IMREAD_COLOR) for width in (None, 999, 32)
    )
    assert whole.shape == large.shape == (48, 64, 3)
    assert abs(whole[30, 40].astype(int) - 120).max() < 6
    assert small.shape == (24, 32, 3)


@pytest.mark.parametrize("index", [-1, LENGTH, 10**9])
def test_missing_frame_rejected(video, index):
    with pytest.raises(InputError, match=f"frame {index}: no such frame; give one from 0 to 59"):
        FrameStore(video).read(index)


def test_error_names_the_broken_frame_and_others_are_read(tmp_path, folder):
    (folder / "00003.png").write_bytes(b"broken")
    store = FrameStore(folder)
    with pytest.raises(InputError, match=r"00003\.png"):
        store.read(3)
    assert store.read(4).shape == (40, 60, 3)


@pytest.mark.parametrize("address", ["rtsp://localhost:1/live", "/dev/null"])
def test_streams_rejected_with_a_remedy(address, capsys):
    assert cli.main([address, "--no-browser"]) == 2
    assert "a stream; record it to a file first, or track it with aotlab track" in capsys.readouterr().err
