"""The strips under the video: what is known of each object on each frame, one character a frame."""

from __future__ import annotations

from aotlab.annotation.state import State
from aotlab.engine.video.scores import LOST_AFTER, MIN_CONFIDENCE, Score

UNKNOWN, GIVEN, GIVEN_ABSENT, ABSENT, LOST = "-Ggal"
"""Characters of a strip; ``0`` to ``9`` is a tracked mask of this tenth of confidence."""


def frame_code(number: int, described: frozenset[int], present: bool, score: Score | None) -> str:
    """The character of one object on one frame, without what the frames before say."""
    if number in described:
        return GIVEN if present else GIVEN_ABSENT
    if score is None:
        return UNKNOWN
    return str(min(9, int(score.confidence * 10))) if score.area else ABSENT


def frame_codes(state: State, index: int) -> dict[int, str]:
    """The characters of all objects on one frame."""
    described, scores = state.described(index), state.scores(index)
    return {
        number: frame_code(number, described, state.is_given_present(index, number), scores.get(number))
        for number in state.objects.numbers
    }


def strips(state: State) -> dict[int, str]:
    """A character per frame for every object; an object that is unseen for long is lost."""
    with state.lock:
        numbers = state.objects.numbers
        rows = {number: [UNKNOWN] * state.frames.count for number in numbers}
        unseen = dict.fromkeys(numbers, 0)
        for index in sorted({*state.given_frames, *state.tracked_frames}):
            described, scores = state.described(index), state.scores(index)
            for number in numbers:
                score = scores.get(number)
                code = frame_code(number, described, state.is_given_present(index, number), score)
                seen = number in described or (
                    score is not None and score.area and score.confidence >= MIN_CONFIDENCE
                )
                unseen[number] = 0 if seen or score is None else unseen[number] + 1
                rows[number][index] = LOST if unseen[number] >= LOST_AFTER else code
    return {number: "".join(row) for number, row in rows.items()}
