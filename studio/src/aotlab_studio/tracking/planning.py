"""Spans of frames to track, in order; independent of models."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from aotlab import InputError
from aotlab_studio.project.state import State
from aotlab_studio.protocol import Direction


@dataclass(frozen=True)
class TrackRequest:
    """Frames and objects to track."""

    start: int
    """frame whose masks are the reference"""
    direction: Direction = "forward"
    """``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, merged between given masks"""
    first: int = 0
    last: int | None = None
    """last frame; None: the video's"""
    object_ids: Sequence[int] | None = None
    """objects to write; None: all that are not locked"""
    before: int | None = None
    """with ``forward``: given frame before ``start``; the frames between are then tracked from both"""


@dataclass(frozen=True)
class Span:
    """Frames tracked from one reference, or from two and merged."""

    forward_from: int | None
    """first reference frame, tracked forward to ``last``"""
    backward_from: int | None
    """last reference frame, tracked backward to ``first``"""
    first: int
    last: int
    keyframes: tuple[int, ...] = ()
    """reference frames; with both directions, they weight the merge of each object"""

    @property
    def num_frames(self) -> int:
        """Number of frames to pass through the tracker."""
        forward = 0 if self.forward_from is None else self.last - self.forward_from
        return forward + (0 if self.backward_from is None else self.backward_from - self.first)

    @property
    def passes(self) -> int:
        """Passes over the frames: one for each direction."""
        return (self.forward_from is not None) + (self.backward_from is not None)


def plan_spans(state: State, request: TrackRequest) -> list[Span]:
    """Return the spans of a request in the order of tracking.

    Raises:
        InputError: an empty range, a start outside it, or no mask to start from.
    """
    last = state.frames.count - 1 if request.last is None else request.last
    for index in (request.start, request.first, last):
        state.frames.require_frame(index)
    if not request.first <= request.start <= last:
        raise InputError(
            f"range {request.first} to {last}: does not hold frame {request.start}, where tracking starts"
        )
    given = [index for index in state.keyframes if request.first <= index <= last]
    given = [index for index in sorted({*given, request.start}) if state.labels(index).any()]
    spans = _build_spans(request, given, last)
    if not spans:
        raise InputError(f"frame {request.start}: no mask to track; paint an object on it first")
    spans = [span for span in spans if span.num_frames]
    if not spans:
        raise InputError(f"frame {request.start}: no further frame in this direction; go to another frame")
    return spans


def restart_after_correction(
    state: State, span: Span, position: int | None, corrected: Collection[int]
) -> Span | None:
    """Return the rest of a span from the first correction that tracking has passed; None if it has passed none.

    Args:
        state: holds the corrections.
        span: a span of one direction, being tracked or finished.
        position: frame tracked last; None: the span is finished.
        corrected: frames whose given masks changed since they were read.
    """
    forward = span.forward_from is not None
    start = span.forward_from if span.forward_from is not None else span.backward_from
    assert start is not None
    end = (span.last if forward else span.first) if position is None else position
    passed = [index for index in corrected if min(start, end) <= index <= max(start, end)]
    if not passed:
        return None
    index = min(passed) if forward else max(passed)
    index = index if state.labels(index).any() else start
    return replace(span, forward_from=index) if forward else replace(span, backward_from=index)


def plan_propagation(state: State, index: int) -> TrackRequest | None:
    """Return the request to replace results that a correction outdates, between its given neighbours; None if none."""
    tracked, given = set(state.tracked_frames), set(state.keyframes)
    last = first = index
    while last + 1 in tracked - given:
        last += 1
    while first - 1 in tracked - given:
        first -= 1
    before = first - 1
    between = (
        first < index and before in given and state.list_described(index) <= state.list_described(before)
    )
    between = between and all(state.labels(frame).any() for frame in (before, index))
    if last == index and not between:
        return None
    return TrackRequest(index, last=last, before=before if between else None)


def find_stale_ranges(state: State) -> list[tuple[int, int]]:
    """Return the first and last frames whose tracked masks are older than a queued correction."""
    with state.lock:
        plans = [plan_propagation(state, index) for index in state.corrections]
    return [
        (
            plan.start if plan.before is None else plan.before + 1,
            plan.start if plan.last is None else plan.last,
        )
        for plan in plans
        if plan is not None
    ]


def _build_spans(request: TrackRequest, given: Sequence[int], last: int) -> list[Span]:
    """Return the spans from the nearest mask; for both directions, from the first and the last mask."""
    if request.direction == "forward":
        starts = [index for index in given if index >= request.start]
        spans = [Span(starts[0], None, starts[0], last)] if starts else []
        before, start = request.before, request.start
        return spans if before is None else [*spans, Span(before, start, before, start, (before, start))]
    if request.direction == "backward":
        starts = [index for index in given if index <= request.start]
        return [Span(None, starts[-1], request.first, starts[-1])] if starts else []
    if len(given) == 1:
        return [Span(given[0], None, given[0], last), Span(None, given[0], request.first, given[0])]
    return [Span(given[0], given[-1], request.first, last, tuple(given))] if given else []
