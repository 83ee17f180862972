"""Options and results of tracking a video."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from aotlab.engine.video.frame_range import ALL_FRAMES, FrameNumbers, FrameRange
from aotlab.engine.video.outputs import find_output, list_outputs
from aotlab.utils.errors import InputError


@dataclass(frozen=True)
class TrackOptions:
    """Options of `track`."""

    write: tuple[str, ...] = ("masks", "overlay")
    """outputs to write, names of `list_outputs`"""
    both_directions: bool = False
    """track forward and backward from every annotated frame and merge the predictions"""
    realtime: bool = False
    """drop frames to keep up with the source"""
    timeout: float = 30.0
    """seconds without a frame after which tracking stops"""
    removals: tuple[tuple[int, int], ...] = ()
    """(frame, object id) pairs: stop tracking the object at that frame"""
    class_names: Mapping[int, str] = field(default_factory=dict)
    """class names by object id, for outputs that store them"""
    frames: FrameRange = ALL_FRAMES
    """frames to track"""
    by_name: bool = False
    """frame numbers of masks and removals are those of file names; see `located`"""
    frame_number: Callable[[int], int] = int
    """number by which the user calls a frame, by its index"""
    progress: bool = True
    """show a progress bar if stderr is a terminal"""

    def __post_init__(self) -> None:
        if not self.write:
            raise InputError(f"write: no output; give some of {', '.join(list_outputs())}")
        for name in self.write:
            find_output(name)
        if not 0 < self.timeout < math.inf:
            raise InputError(f"timeout {self.timeout:g}: give a number of seconds above 0")
        if self.realtime and self.both_directions:
            raise InputError("realtime: cannot go with both_directions, which needs later frames; give one")
        if self.removals and self.both_directions:
            raise InputError(
                "remove: cannot go with both_directions, where each mask shows all objects of its frame; "
                "give a mask without the object"
            )


def located(options: TrackOptions, numbers: FrameNumbers, start: int | None, end: int | None) -> TrackOptions:
    """Return the options with frame numbers of a video turned into indices.

    Args:
        options: removals are in ``numbers``.
        numbers: of the video.
        start: number of the first frame to track; None: the first of the video.
        end: number of the last frame to track; None: the last of the video.

    Raises:
        InputError: the video does not have such a frame.
    """
    removals = tuple((numbers.index(frame), object_id) for frame, object_id in options.removals)
    return replace(
        options,
        removals=removals,
        frames=numbers.range(start, end),
        by_name=False,
        frame_number=numbers.number,
    )


@dataclass(frozen=True)
class TrackResult:
    """Results of `track`."""

    frames: int
    """number of frames written"""
    seconds: float
    """seconds spent in the tracker, without reading and writing"""
    written: dict[str, Path] = field(default_factory=dict)
    """completed outputs by name; after an early stop they hold the frames until then"""
    summaries: tuple[str, ...] = ()
    """what the outputs have to print, see `Output.summary`"""
    restored: int = 0
    """number of written frames that an earlier, interrupted run had tracked"""
    dropped: int = 0
    """number of frames dropped to keep up"""
    damaged: tuple[int, ...] = ()
    """indices of damaged frames concealed by the decoder"""
    lost: int = 0
    """number of undecodable packets of a stream"""
    interrupted: bool = False
    """whether Ctrl-C or SIGTERM stopped it"""
    error: str | None = None
    """reason for an early stop or missing outputs; None on success"""

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the tracker only; 0 without frames."""
        return (self.frames - self.restored) / self.seconds if self.seconds > 0 else 0.0
