"""Tracking from given masks through the frames of a state: forward, backward, or both and merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch

from aotlab.annotation.merging import Found, Opinion, merge
from aotlab.annotation.state import State
from aotlab.engine.video.directions import Spill, as_bytes
from aotlab.utils.errors import InputError

DIRECTIONS = ("forward", "backward", "both")
REFERENCES = 4
"""Given masks on the other side of the start that a run may look back on."""


class Tracking(Protocol):
    """What is needed of a tracker; `aotlab.Tracker` has it."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """As `Tracker.step`."""

    def forget(self, number: int) -> None:
        """As `Tracker.forget`."""

    def reset(self, length: int | None = None) -> None:
        """As `Tracker.reset`."""


@dataclass(frozen=True)
class Request:
    """What shall be tracked."""

    start: int
    """the frame whose masks are the reference"""
    direction: str = "forward"
    """``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, merged between given masks"""
    first: int = 0
    last: int | None = None
    """the last frame; None: the video's"""
    objects: tuple[int, ...] | None = None
    """whose masks are written; None: all that are not locked"""


@dataclass(frozen=True)
class Span:
    """Frames that are tracked in one go."""

    before: int | None
    """frame of the reference before them"""
    after: int | None
    """frame of the reference after them; with both, they are tracked twice"""
    frames: range

    @property
    def work(self) -> int:
        """Frames that go through the tracker."""
        return len(self.frames) * (2 if self.before is not None and self.after is not None else 1)


def plan(state: State, request: Request) -> list[Span]:
    """The spans of a request, in the order in which they are tracked.

    Raises:
        InputError: unknown direction, empty range, a start outside it, or no mask to begin with.
    """
    last = state.frames.count - 1 if request.last is None else request.last
    for index in (request.start, request.first, last):
        state.frames.check(index)
    if request.direction not in DIRECTIONS:
        raise InputError(f"direction {request.direction!r}: give one of {', '.join(DIRECTIONS)}")
    if not request.first <= request.start <= last:
        raise InputError(
            f"range {request.first} to {last}: does not hold frame {request.start}, where tracking starts"
        )
    given = [index for index in state.given_frames if request.first <= index <= last]
    if state.labels(request.start).any():
        given = sorted({*given, request.start})
    given = [index for index in given if state.labels(index).any()]
    if request.direction == "forward":
        starts = [index for index in given if index >= request.start]
        spans = [Span(starts[0], None, range(starts[0] + 1, last + 1))] if starts else []
    elif request.direction == "backward":
        starts = [index for index in given if index <= request.start]
        spans = [Span(None, starts[-1], range(request.first, starts[-1]))] if starts else []
    else:
        spans = _both(given, request.first, last)
    if not spans:
        raise InputError(f"frame {request.start}: no mask to track; paint an object on it first")
    spans = [span for span in spans if len(span.frames)]
    if not spans:
        raise InputError(
            f"frame {request.start}: there is no further frame in this direction; go to another frame"
        )
    return spans


def _both(given: Sequence[int], first: int, last: int) -> list[Span]:
    """Backward to the first mask, both ways between two masks, forward from the last."""
    if not given:
        return []
    between = [Span(before, after, range(before + 1, after)) for before, after in pairwise(given)]
    head = Span(None, given[0], range(first, given[0]))
    return [*between, Span(given[-1], None, range(given[-1] + 1, last + 1)), head]


def results(tracker: Tracking, state: State, spans: Iterable[Span]) -> Iterator[Found]:
    """Yield what is found, frame by frame; frames between two references come twice, merged the second time.

    Whoever iterates stores it: frames are read and masks looked up as tracking comes to them.
    """
    for span in spans:
        if span.before is None:
            assert span.after is not None
            yield from _one_way(tracker, state, span.after, reversed(span.frames))
        elif span.after is None:
            yield from _one_way(tracker, state, span.before, span.frames)
        else:
            yield from _both_ways(tracker, state, span)


def _one_way(tracker: Tracking, state: State, start: int, frames: Iterable[int]) -> Iterator[Found]:
    """Track away from a reference; given masks on the way are taken in as further references."""
    frames = list(frames)
    begin(tracker, state, start, backward=bool(frames) and frames[0] < start)
    for index in frames:
        with state.lock:
            described, given = state.described(index), state.given(index)
        for number in described & set(tracker.ids) - set(np.unique(given).tolist()):
            tracker.forget(number)
        prediction = tracker.step(state.frames.read(index, "track"), given if given.any() else None)
        yield Found(index, np.asarray(prediction.labels), prediction.confidence)


def begin(tracker: Tracking, state: State, start: int, *, backward: bool) -> None:
    """Give the tracker its references: masks given on the far side of the start, and then the start itself."""
    tracker.reset(state.frames.length)
    with state.lock:
        known = [index for index in state.given_frames if (index > start if backward else index < start)]
        # the nearest ones, nearest last, as short-term memory is of the frame before
        nearest = sorted(known, key=lambda index: -abs(index - start))[-REFERENCES:]
        present = set(np.unique(state.labels(start)).tolist()) - {0}
        masks = [(index, state.labels(index)) for index in (*nearest, start)]
    for index, labels in masks:
        mask = np.where(np.isin(labels, list(present)), labels, 0)
        if mask.any():
            try:
                picture = state.frames.read(index, "track")
            except InputError:
                if index == start:
                    raise
                continue  # of a stream that is not recorded, older frames are gone
            tracker.step(picture, mask)


def _both_ways(tracker: Tracking, state: State, span: Span) -> Iterator[Found]:
    """Track a span backward, keeping probabilities on disk, and then forward, merging."""
    assert span.before is not None
    assert span.after is not None
    silent = [_silent(state, index) for index in (span.before, span.after)]
    with Spill(state.project.folder, compress=True) as stored:
        begin(tracker, state, span.after, backward=True)
        ids = tracker.ids
        for index in reversed(span.frames):
            prediction = tracker.step(state.frames.read(index, "track"))
            stored.append(as_bytes(prediction))
            yield Found(index, np.asarray(prediction.labels), prediction.confidence)
        begin(tracker, state, span.before, backward=False)
        for position, index in enumerate(span.frames):
            prediction = tracker.step(state.frames.read(index, "track"))
            forward = Opinion(tuple(prediction.ids), prediction.probabilities, silent[0])
            share = torch.from_numpy(stored[len(span.frames) - 1 - position].astype(np.float32))
            backward = Opinion(ids, share / share.sum(0).clamp(min=1), silent[1])
            yield merge(index, forward, backward, (position + 1) / (len(span.frames) + 1))


def _silent(state: State, index: int) -> frozenset[int]:
    """Objects of which a frame's masks say nothing: neither given there nor shown."""
    shown = set(np.unique(state.labels(index)).tolist())
    return frozenset(state.objects.numbers) - state.described(index) - shown
