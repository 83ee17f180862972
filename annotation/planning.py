"""What shall be tracked, and in which order; known without loading a model, or what models are made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from aotlab.annotation.state import State
from aotlab.utils.errors import InputError

DIRECTIONS = ("forward", "backward", "both")


class Tracking(Protocol):
    """What is needed of a tracker; `aotlab.Tracker` has it."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """As `Tracker.step`."""

    def forget(self, object_id: int) -> None:
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
    object_ids: tuple[int, ...] | None = None
    """whose masks are written; None: all that are not locked"""


@dataclass(frozen=True)
class Span:
    """Frames that are tracked from one reference, or from two and merged."""

    before: int | None
    """frame of the first reference, from which is tracked forward to ``last``"""
    after: int | None
    """frame of the last reference, from which is tracked backward to ``first``"""
    first: int
    last: int
    given: tuple[int, ...] = ()
    """frames whose masks are references; with both directions, they say how each object is merged"""

    @property
    def work(self) -> int:
        """Frames that go through the tracker."""
        forward = 0 if self.before is None else self.last - self.before
        return forward + (0 if self.after is None else self.after - self.first)


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
    spans = _spans(request, given, last)
    if not spans:
        raise InputError(f"frame {request.start}: no mask to track; paint an object on it first")
    spans = [span for span in spans if span.work]
    if not spans:
        raise InputError(
            f"frame {request.start}: there is no further frame in this direction; go to another frame"
        )
    return spans


def again(state: State, span: Span, position: int | None, corrected: Collection[int]) -> Span | None:
    """The rest of a span from the first correction that tracking has passed; None: there is none.

    Args:
        state: holds the corrections.
        span: of one direction, that is being tracked, or was.
        position: the frame tracked last; None: the span is done.
        corrected: frames whose given masks changed since they were read.

    Returns:
        a span from the correction on.
    """
    forward = span.before is not None
    start = span.before if span.before is not None else span.after
    assert start is not None
    end = (span.last if forward else span.first) if position is None else position
    passed = [index for index in corrected if min(start, end) <= index <= max(start, end)]
    if not passed:
        return None
    index = min(passed) if forward else max(passed)
    index = index if state.labels(index).any() else start
    return replace(span, before=index) if forward else replace(span, after=index)


def propagation(state: State, index: int) -> Request | None:
    """Results that a correction makes outdated, up to the next given mask; None: there are none."""
    tracked, given = set(state.tracked_frames), set(state.given_frames)
    last = index
    while last + 1 in tracked and last + 1 not in given:
        last += 1
    return Request(index, last=last) if last > index else None


def _spans(request: Request, given: Sequence[int], last: int) -> list[Span]:
    """Away from the nearest mask; in both directions, forward from the first and backward from the last."""
    if request.direction == "forward":
        starts = [index for index in given if index >= request.start]
        return [Span(starts[0], None, starts[0], last)] if starts else []
    if request.direction == "backward":
        starts = [index for index in given if index <= request.start]
        return [Span(None, starts[-1], request.first, starts[-1])] if starts else []
    if len(given) == 1:
        return [Span(given[0], None, given[0], last), Span(None, given[0], request.first, given[0])]
    return [Span(given[0], given[-1], request.first, last, tuple(given))] if given else []
