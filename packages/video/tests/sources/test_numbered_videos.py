"""Frames of videos that seek inexactly, in order and in any order; each shows its number."""

from contextlib import suppress
from typing import Any

import pytest

from aotlab import InputError
from aotlab_testing.marks import slow
from aotlab_testing.numbered_videos import CODINGS, cut_start, lose_packets, parse_number, repeat, write_numbered
from aotlab_video import VideoReader, open_frames

LENGTH = 40
QUICK = ("h264.mp4", "h264.ts", "h264.avi", "mpeg1.mpg", "av1.mp4", "refresh.mkv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("numbered")


def read_any_order(path):
    """Return the numbers shown by each frame, the last frames first, then all in order."""
    source: Any = open_frames(path)
    reader = VideoReader(source)
    found = {index: parse_number(reader.read(index)) for index in range(source.index.length - 1, -1, -3)}
    for index in range(source.index.length):
        assert found.setdefault(index, number := parse_number(reader.read(index))) == number
    reader.close()
    return [found[index] for index in sorted(found)]


@pytest.mark.parametrize("name", [*QUICK, *slow(*(name for name in CODINGS if name not in QUICK))])
def test_frames_in_any_order_show_their_numbers(name, folder):
    length = 96 if name == "mpeg1.mpg" else LENGTH  # only late frames of it would get wrong times
    path = write_numbered(folder / name, length)
    assert [parse_number(frame) for frame in open_frames(path)] == list(range(length))
    assert read_any_order(path) == list(range(length))


@pytest.mark.parametrize("name", ["h264.ts", *slow("mpeg2.ts", "refresh.ts")])
def test_video_from_within_a_group_has_frames_as_tracked(name, folder):
    path = cut_start(write_numbered(folder / name, LENGTH), folder / f"cut_{name}", 5)
    tracked = [parse_number(frame) for frame in open_frames(path)]
    assert tracked[-1] == LENGTH - 1
    assert len(tracked) < LENGTH
    assert read_any_order(path) == tracked


@pytest.mark.parametrize("damage", [lose_packets, repeat])
@pytest.mark.parametrize("name", ["h264.ts", *slow("mpeg2.ts", "mpeg2.vob")])
def test_frames_of_inconsistent_times_equal_tracked_ones(name, damage, folder):
    path = damage(write_numbered(folder / name, LENGTH), folder / f"{damage.__name__}_{name}")
    tracked = []
    with suppress(InputError):  # the smallest one ends within a frame
        tracked.extend(frame.mean() for frame in open_frames(path))
    reader = VideoReader(open_frames(path))
    assert reader._source.index.length == len(tracked)
    for index in [*range(len(tracked) - 1, -1, -5), *range(0, len(tracked), 4)]:
        assert abs(reader.read(index).mean() - tracked[index]) < 1
    reader.close()
