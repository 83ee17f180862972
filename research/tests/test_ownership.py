"""Ownership of components: claims of lost objects, their limits, and their end."""

import numpy as np
import pytest
import torch

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO
from aotlab.engine.tracking.groups import Group
from aotlab.engine.tracking.prediction import Draft, Prediction
from aotlab.engine.tracking.state import VideoState
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.numbers import MAX_COUNT
from research.ownership.hook import (
    AREA_HISTORY,
    MAX_CLAIMS,
    UNDO_FRAMES,
    ComponentOwnership,
    Reassignment,
    measure_colors,
    swap_logits,
)
from tests.engine.small_model import assert_same, build, draw_stripes, draw_texture, run_tracker

SIZE = (60, 120)
RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)


def draw_squares(*squares):
    """Draw squares of 12 pixels: labels H×W and a frame, from (object id, row, column, color)."""
    labels, frame = np.zeros(SIZE, np.int32), np.full((*SIZE, 3), 90, np.uint8)
    for object_id, row, column, color in squares:
        labels[row : row + 12, column : column + 12] = object_id
        frame[row : row + 12, column : column + 12] = color
    return labels, frame


def start_rule(*squares, frames=3):
    """A rule that has seen the squares as given masks."""
    rule = ComponentOwnership()
    labels, frame = draw_squares(*squares)
    for index in range(frames):
        annotated = [square[0] for square in squares] if index == 0 else []
        rule.update(labels, frame, annotated)
    return rule


def apply_rule(rule, *squares):
    """Correct and observe a frame; return the reassignments as (source, target, column of the pixels)."""
    labels, frame = draw_squares(*squares)
    reassigned = rule.find_reassignments(labels, frame)
    for move in reassigned:
        labels[move.pixels] = move.target
    rule.update(labels, frame, reassignments=reassigned)
    return [(move.source, move.target, int(np.nonzero(move.pixels)[1].min())) for move in reassigned]


TWO_RED = (1, 20, 10, RED), (2, 20, 40, RED)
DIFFERENT_COLORS = (1, 20, 10, GREEN), (2, 20, 40, RED)
THREE_COLORS = *DIFFERENT_COLORS, (3, 20, 60, BLUE)
LARGE_ID = (1, 20, 10, RED), (MAX_COUNT, 20, 40, RED)
AT_BOTTOM_EDGE = (1, 48, 10, RED), (2, 48, 40, RED)
SHADES = (1, 20, 10, (0, 30, 30)), (2, 20, 40, (250, 30, 30))
FOUR_RED_PARTS = [(1, row, column, RED) for row in (8, 20) for column in (44, 56)]
CASES = {
    "part of another goes to the lost object": (TWO_RED, [TWO_RED[0], (1, 20, 44, RED)], [(1, 2, 44)]),
    "main component is the one that overlaps": (TWO_RED, [(2, 20, 36, RED), (2, 20, 12, RED)], [(2, 1, 12)]),
    "objects changed places": (DIFFERENT_COLORS, [(1, 20, 12, RED), (1, 20, 36, GREEN)], [(1, 2, 12)]),
    "no object is lost": (TWO_RED, [*TWO_RED, (1, 20, 70, RED)], []),
    "part is just near enough": (TWO_RED, [TWO_RED[0], (1, 20, 76, RED)], [(1, 2, 76)]),
    "part is too far away": (TWO_RED, [TWO_RED[0], (1, 20, 77, RED)], []),
    "part is four times as large": (TWO_RED, [TWO_RED[0], *FOUR_RED_PARTS], [(1, 2, 44)]),
    "part is five times as large": (TWO_RED, [TWO_RED[0], *FOUR_RED_PARTS, (1, 32, 44, RED)], []),
    "part is just large enough": (AT_BOTTOM_EDGE, [AT_BOTTOM_EDGE[0], (1, 57, 44, RED)], [(1, 2, 44)]),
    "part is too small": (AT_BOTTOM_EDGE, [AT_BOTTOM_EDGE[0], (1, 58, 44, RED)], []),
    "object is just lost": (AT_BOTTOM_EDGE, [AT_BOTTOM_EDGE[0], (2, 56, 40, RED), (1, 48, 60, RED)], [(1, 2, 60)]),
    "object is not yet lost": (AT_BOTTOM_EDGE, [AT_BOTTOM_EDGE[0], (2, 55, 40, RED), (1, 48, 60, RED)], []),
    "just enough would remain": (AT_BOTTOM_EDGE, [(1, 55, 10, RED), (1, 48, 44, RED)], [(1, 2, 44)]),
    "too little would remain": (AT_BOTTOM_EDGE, [(1, 56, 10, RED), (1, 48, 44, RED)], []),
    "color is just similar enough": (SHADES, [SHADES[0], (1, 20, 44, (100, 30, 30))], [(1, 2, 44)]),
    "color is not similar enough": (SHADES, [SHADES[0], (1, 20, 44, (99, 30, 30))], []),
    "part has another color": (DIFFERENT_COLORS, [DIFFERENT_COLORS[0], (1, 20, 44, GREEN)], []),
    "part is in the shade": (DIFFERENT_COLORS, [DIFFERENT_COLORS[0], (1, 20, 44, (110, 20, 20))], [(1, 2, 44)]),
    "color decides for the second": (THREE_COLORS, [DIFFERENT_COLORS[0], (1, 20, 52, RED)], [(1, 2, 52)]),
    "color decides for the third": (THREE_COLORS, [DIFFERENT_COLORS[0], (1, 20, 52, BLUE)], [(1, 3, 52)]),
    "main component is as similar": (TWO_RED, [(1, 20, 12, (188, 30, 30)), (1, 20, 44, (190, 30, 30))], [(1, 2, 44)]),
    "main component is less similar": (TWO_RED, [(1, 20, 12, (187, 30, 30)), (1, 20, 44, (190, 30, 30))], [(1, 2, 12)]),
    "largest id costs no memory": (LARGE_ID, [TWO_RED[0], (1, 20, 44, RED)], [(1, MAX_COUNT, 44)]),
}
"""Squares given, squares predicted on the next frame, and what is reassigned."""


@pytest.mark.parametrize("case", CASES)
def test_detached_part_goes_to_the_lost_object_that_it_fits(case):
    annotated, predicted, expected = CASES[case]
    assert apply_rule(start_rule(*annotated), *predicted) == expected


def test_component_is_given_away_once():
    rule = start_rule((1, 20, 10, GREEN), (2, 20, 40, RED))
    parts = (1, 20, 40, RED), (1, 20, 10, GREEN), (1, 20, 70, GREEN)
    rule.main_labels = draw_squares((1, 20, 40, RED))[0]  # the red component continues object 1
    assert apply_rule(rule, *parts) == [(1, 2, 40)]


def test_claimed_component_becomes_the_main_one():
    rule = start_rule(*AT_BOTTOM_EDGE)
    assert apply_rule(rule, AT_BOTTOM_EDGE[0], (2, 57, 40, RED), (1, 48, 56, RED)) == [(1, 2, 56)]
    assert np.nonzero(rule.main_labels == 2)[1].min() == 56


@pytest.mark.parametrize(("width", "moves"), [(3, False), (4, True)])  # MIN_AREA is 3.5 pixels of this frame
def test_part_of_three_pixels_stays(width, moves):
    rule, labels, frame = ComponentOwnership(), np.zeros(SIZE, np.int32), np.full((*SIZE, 3), RED, np.uint8)
    labels[20:23, 10:14], labels[20:23, 40:44] = 1, 2
    for annotated in ([1, 2], [], []):
        rule.update(labels, frame, annotated)
    labels[labels == 2] = 0
    labels[20, 44 : 44 + width] = 1
    assert bool(rule.find_reassignments(labels, frame)) == moves


@pytest.mark.parametrize(("rows", "median"), [(5, 60), (4, 144)])  # an object with 4 of 12 rows is lost
def test_usual_area_is_the_median_of_the_last_frames(rows, median):
    rule = start_rule(*TWO_RED, frames=AREA_HISTORY)
    labels, frame = draw_squares(*TWO_RED)
    labels[20 + rows :] = 0
    for _ in range(AREA_HISTORY // 2 + 1):
        rule.update(labels, frame)
    assert [history.median for history in rule.objects.values()] == [median, median]


def test_claim_is_undone_when_the_object_shows_up():
    between, unclaimed = (217, 30, 30), (230, 30, 30)
    rule = start_rule((1, 20, 10, RED), (2, 20, 40, unclaimed))
    claimed = (1, 20, 10, RED), (1, 20, 44, between)
    assert apply_rule(rule, *claimed) == [(1, 2, 44)]
    assert apply_rule(rule, (1, 20, 10, RED), (2, 20, 44, between), (2, 20, 70, RED)) == []  # less similar
    assert apply_rule(rule, (1, 20, 10, RED), (2, 20, 44, between), (2, 20, 70, unclaimed)) == [(2, 1, 44)]
    assert rule.objects[1].claim_streak == 0  # it claimed nothing
    for _ in range(UNDO_FRAMES):
        assert apply_rule(rule, *claimed) == []
    assert apply_rule(rule, *claimed) == [(1, 2, 44)]


@pytest.mark.parametrize(("frames", "undone"), [(UNDO_FRAMES, [(2, 1, 44)]), (UNDO_FRAMES + 1, [])])
def test_claim_is_undone_within_a_limit(frames, undone):
    rule = start_rule((1, 20, 10, RED), (2, 20, 40, BLUE))
    assert apply_rule(rule, (1, 20, 10, RED), (1, 20, 44, (60, 30, 170))) == [(1, 2, 44)]
    following = (1, 20, 10, RED), (2, 20, 44, (60, 30, 170))
    for _ in range(frames - 1):
        assert apply_rule(rule, *following) == []
    assert apply_rule(rule, *following, (2, 20, 70, BLUE)) == undone


def test_colors_are_measured_on_a_frame_of_another_size():
    labels, frame = draw_squares(*DIFFERENT_COLORS)
    large = frame.repeat(3, 0).repeat(2, 1)
    assert measure_colors(labels == 1, large) == measure_colors(labels == 1, frame) == [*GREEN, 0, 0, 0]


def test_claims_end_after_a_limit():
    rule = start_rule(*TWO_RED)
    claims = [apply_rule(rule, (1, 20, 10, RED), (1, 20, 44, RED)) for _ in range(MAX_CLAIMS + 1)]
    assert all(claims[:-1])
    assert not claims[-1]


def test_unstored_reassignment_is_not_a_claim():
    rule = start_rule(*TWO_RED)
    labels, frame = draw_squares((1, 20, 10, RED), (1, 20, 44, RED))
    reassigned = rule.find_reassignments(labels, frame)
    assert [move.target for move in reassigned] == [2]
    # as with the mean of an ensemble, which has not reassigned it
    rule.update(labels, frame, reassignments=reassigned)
    assert rule.objects[2].claim_streak == rule.objects[2].undo_frames_left == 0


def make_draft(*squares, short_term=True):
    """A draft of a frame whose objects 1 and 2 are predicted as the squares."""
    labels, frame = draw_squares(*squares)
    indices, state = torch.from_numpy(labels).long(), VideoState(None, groups=[Group([1, 2], MemoryBank(FIFO(1)))])
    return Draft(state, 1, frame, SIZE, short_term, None, [], torch.zeros(3, *SIZE), indices, {})


def store_draft(rule, draft):
    rule.stored(draft, Prediction(draft.ids, draft.logits, draft.indices), None)


def test_draft_of_another_frame_keeps_claims():
    rule = start_rule(*TWO_RED)
    draft = rule.correct(make_draft((1, 20, 10, RED), (1, 20, 44, RED)))
    rule.correct(make_draft(*TWO_RED))
    store_draft(rule, draft)
    assert rule.objects[2].claim_streak == 1


def test_nothing_is_claimed_after_a_cut():
    rule = start_rule(*TWO_RED)
    rule.clear_positions()
    squares = (1, 20, 10, RED), (1, 20, 44, RED)
    assert apply_rule(rule, *squares) == []
    rule = start_rule(*TWO_RED)
    draft = make_draft(*squares, short_term=False)
    assert rule.correct(draft) is draft
    store_draft(rule, draft)
    assert apply_rule(rule, *squares) == []


def test_prediction_of_another_size_clears_positions():
    rule, (labels, frame) = start_rule(*TWO_RED), draw_squares(TWO_RED[0], (1, 20, 44, RED))
    twice = labels.repeat(2, 0).repeat(2, 1)
    assert rule.find_reassignments(twice, frame) == []
    rule.update(twice, frame)
    assert [history.areas for history in rule.objects.values()] == [[2 * 24 * 24], []]


def test_forgotten_object_makes_no_claim():
    rule = start_rule(*TWO_RED)
    rule.forget(2)
    assert apply_rule(rule, (1, 20, 10, RED), (1, 20, 44, RED)) == []


def test_reused_object_id_has_no_history():
    """Of two parts, the larger one is the main component of a new object, not the one where the old object was."""
    rule = start_rule(*TWO_RED)
    rule.forget(1)
    labels, frame = draw_squares((1, 20, 10, RED), (1, 20, 80, RED), (1, 28, 80, RED), TWO_RED[1])
    for annotated in ([1], []):
        rule.update(labels, frame, annotated)
    assert rule.objects[1].center[1] > 80


def test_restored_rule_decides_the_same(tmp_path):
    rule = start_rule(*TWO_RED)
    torch.save(rule.state_dict(), tmp_path / "state.pt")
    other = ComponentOwnership()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        squares = (1, 20, 10, RED), (1, 20, 44, RED)
        assert apply_rule(other, *squares) == apply_rule(rule, *squares)


def test_swapped_logits_agree_with_channels():
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    channels = logits.max(0).indices
    pixels = (channels == 1).numpy()
    swapped, found = swap_logits(logits, channels, [Reassignment(pixels, 7, 9)], (7, 9))
    np.testing.assert_array_equal(found, swapped.max(0).indices)
    np.testing.assert_array_equal(channels, logits.max(0).indices)  # the prediction stays as it is
    assert not (found == 1).any()


def test_tracker_with_the_hook_resumes(tmp_path):
    model, config = build("aott", "model.max_objects=3")
    frames, mask, path = draw_texture(6), draw_stripes([4, 9]), tmp_path / "state.pt"
    tracker, other = (Tracker(model, config, [ComponentOwnership()]) for _ in range(2))
    run_tracker(tracker, frames[:3], {0: mask})
    torch.save(tracker.state_dict(), path)
    other.load_state_dict(torch.load(path, weights_only=True))
    assert_same(run_tracker(other, frames[3:], {}), run_tracker(tracker, frames[3:], {}))


def test_forgotten_object_has_no_history():
    hook = ComponentOwnership()
    tracker = Tracker(*build("aott", "model.max_objects=3"), [hook])
    tracker.step(draw_texture(1)[0], draw_stripes([4, 9]))
    tracker.forget(9)
    assert [*hook.objects] == [4]
