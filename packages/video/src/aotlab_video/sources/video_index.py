"""Times and key frames of a video file, for seeking."""

from bisect import bisect_right
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from aotlab.utils.errors import InputError
from aotlab_video.sources.decoding import decode, demux, find_video_stream, open_video

PROGRAM_STREAM = "mpeg"
"""FFmpeg's reader of .mpg and .vob; the times that it gives frames after a seek may be wrong."""


class Packet(NamedTuple):
    """Times of a packet by the file's clock, in units of the stream's time base."""

    pts: int | None
    """Presentation time of its frame."""
    dts: int | None
    """Decoding time."""
    key: bool
    """Whether decoding can start here after a seek."""
    corrupt: bool


class VideoIndex:
    """Times and key frames of a video file, up to the first packet that cannot be read.

    Packets are read without decoding, unless their times are doubtful. ``start``: seconds of the first frame that
    decodes, by the file's clock; earlier packets have no frame, as their key frame is missing.
    """

    def __init__(self, path: Path, start: Fraction | None = None) -> None:
        packets, self.time_base, reorders = _read_packets(path)
        times = [packet.pts for packet in packets if packet.pts is not None]
        in_order = all(
            not packet.corrupt and (packet.dts is None or earlier.dts is None or earlier.dts < packet.dts)
            for earlier, packet in pairwise(packets)
        )
        # AVI stores no times; with B-frames, those of FFmpeg are then in the order of storage
        guessed = reorders and times == sorted(times)
        if in_order and not guessed and len(set(times)) == len(packets):
            times = sorted(time for time in times if start is None or time * self.time_base >= start)
            self.seekable, self.length = True, len(times)
        else:  # damaged, joined from several files, or without times
            decoded = _decode_times(path)
            times = [time for time in decoded if time is not None]
            self.seekable = len(times) == len(decoded) and all(a < b for a, b in pairwise(times))
            self.length = len(decoded)
        self.damaged = any(packet.corrupt for packet in packets)
        """Whether packets are damaged, so that frames may be missing."""
        self.times = times if self.seekable else []
        """Times of the frames; empty if they are not distinct, so that the file can only be read from its beginning."""
        self.index_by_time: dict[int | None, int] = {time: index for index, time in enumerate(self.times)}
        """Frame number by time."""
        self.seek_times = {0: 0} | {
            self.index_by_time[packet.pts]: packet.pts if packet.dts is None else min(packet.pts, packet.dts)
            for packet in packets
            if packet.key and packet.pts is not None and packet.pts in self.index_by_time
        }
        """Time at which to seek each key frame, in units of `time_base`; not later than its packet."""
        self._keys = sorted(self.seek_times)

    def find_key_frame(self, index: int) -> int:
        """Return the last key frame up to this one."""
        return self._keys[bisect_right(self._keys, index) - 1]

    def time(self, index: int, rate: Fraction) -> Fraction:
        """Return seconds from the first frame; by the rate if the file has no distinct times."""
        return (self.times[index] - self.times[0]) * self.time_base if self.seekable else index / rate


def _read_packets(path: Path) -> tuple[list[Packet], Fraction, bool]:
    """Return the packets up to the first one that cannot be read, the time base, and whether there may be B-frames."""
    import av

    packets: list[Packet] = []
    with open_video(path) as container:
        stream = find_video_stream(container)
        with suppress(av.FFmpegError, OSError):
            for packet in demux(container):
                if packet.size and not packet.is_discard:
                    key = packet.is_keyframe and container.format.name != PROGRAM_STREAM
                    packets.append(Packet(packet.pts, packet.dts, key, packet.is_corrupt))
        return packets, Fraction(stream.time_base or 0), bool(stream.codec_context.has_b_frames)


def _decode_times(path: Path) -> list[int | None]:
    """Return the times of all frames in order, in units of the time base, up to the first that does not decode."""
    times: list[int | None] = []
    with open_video(path) as container, suppress(InputError):
        times.extend(frame.pts for frame in decode(path, container))
    return times
