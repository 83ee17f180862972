"""One table of tests for all trackers, aotlab's among them."""

import threading

import numpy as np
import pytest
import torch

from aotlab import InputError, Prompt, VideoTracker
from trackers.tests.models import HEIGHT, WIDTH, draw_frames, draw_mask, make_tracker

NAMES = ("aot", "flow", "sam2", "sam3", "edgetam", "cutie")
FIRST = draw_mask(o1=(4, 24, 4, 30), o300=(28, 46, 34, 60))


@pytest.fixture(scope="module", params=NAMES)
def made(request):
    return make_tracker(request.param)


@pytest.fixture
def tracker(made) -> VideoTracker:
    return made.fresh()


def run(tracker, frames, masks, forget=()):
    """Predictions of a video; ``forget``: pairs of frame index and object id."""
    predictions = []
    for index, frame in enumerate(frames):
        for object_id in (object_id for at, object_id in forget if at == index):
            tracker.forget(object_id)
        predictions.append(tracker.step(frame, masks.get(index)))
    return predictions


def test_frames_before_the_first_mask_are_background(tracker):
    frames = draw_frames(2)
    before = tracker.step(frames[0])
    assert (before.ids, before.labels.shape, before.labels.any()) == ((), (HEIGHT, WIDTH), False)
    assert tracker.step(frames[1], FIRST).ids == tracker.ids == (1, 300)


def test_prediction_of_a_mask_is_the_mask(tracker):
    prediction = tracker.step(draw_frames(1)[0], FIRST)
    np.testing.assert_array_equal(prediction.labels, FIRST)
    assert prediction.labels.dtype == np.uint16
    assert prediction.confidence == {1: 1.0, 300: 1.0}


def test_tracked_frames_have_probabilities_of_all_objects(tracker):
    first, second = run(tracker, draw_frames(2), {0: FIRST})
    assert second.probabilities.shape == (3, HEIGHT, WIDTH)
    torch.testing.assert_close(second.probabilities.sum(0), torch.ones(HEIGHT, WIDTH))
    assert set(np.unique(second.labels)) <= {0, 1, 300}
    assert second.confidence.keys() == {1, 300}
    assert not np.array_equal(first.labels, second.labels)


def test_reversed_channels_equal_a_copy_of_them(tracker):
    frames = [frame[..., ::-1] for frame in draw_frames(2)]
    expected = run(tracker.fresh(), [frame.copy() for frame in frames], {0: FIRST})
    found = run(tracker, frames, {0: FIRST[:, ::-1][:, ::-1]})
    for left, right in zip(found, expected, strict=True):
        assert torch.equal(left.logits, right.logits)


def test_later_mask_adds_an_object_and_keeps_the_others(tracker):
    late = draw_mask(o7=(0, 10, 50, 64))
    predictions = run(tracker, draw_frames(4), {0: FIRST, 2: late})
    assert [prediction.ids for prediction in predictions] == [(1, 300)] * 2 + [(1, 300, 7)] * 2
    np.testing.assert_array_equal(predictions[2].labels == 7, late == 7)
    assert set(np.unique(predictions[2].labels)) > {7}


def test_later_mask_corrects_one_object_and_keeps_the_others(tracker):
    corrected = draw_mask(o300=(0, 10, 50, 64))
    predictions = run(tracker, draw_frames(4), {0: FIRST, 2: corrected})
    np.testing.assert_array_equal(predictions[2].labels == 300, corrected == 300)
    assert all(prediction.ids == (1, 300) for prediction in predictions)
    plain = run(tracker.fresh(), draw_frames(4), {0: FIRST})
    kept = (plain[2].labels == 1) & (corrected == 0)
    if not hasattr(tracker, "core"):  # Cutie weighs the other objects anew
        assert (predictions[2].labels[kept] == 1).all()
    assert not np.array_equal(predictions[3].labels, plain[3].labels)


def test_mask_in_another_order_than_the_ids_is_accepted(tracker):
    masks = {0: draw_mask(o300=(4, 24, 4, 30)), 1: draw_mask(o300=(4, 24, 6, 32), o2=(28, 46, 34, 60))}
    predictions = run(tracker, draw_frames(3), masks)
    np.testing.assert_array_equal(predictions[1].labels, masks[1])
    assert predictions[2].ids == (300, 2)


def test_forgotten_object_is_gone_and_its_id_can_return(tracker):
    again = draw_mask(o1=(30, 40, 2, 20))
    predictions = run(tracker, draw_frames(6), {0: FIRST, 4: again}, forget=[(2, 1)])
    assert [prediction.ids for prediction in predictions[2:]] == [(300,), (300,), (300, 1), (300, 1)]
    assert not (predictions[3].labels == 1).any()
    np.testing.assert_array_equal(predictions[4].labels == 1, again == 1)


def test_returning_id_has_no_memory_of_the_forgotten_object(tracker):
    again, frames = draw_mask(o1=(30, 40, 2, 20)), draw_frames(5)
    first = {0: FIRST}
    returned = run(tracker, frames, first | {3: again}, forget=[(2, 1)])
    other = again * 9
    expected = run(tracker.fresh(), frames, first | {3: other}, forget=[(2, 1)])
    np.testing.assert_array_equal(returned[4].labels == 1, expected[4].labels == 9)


def test_video_begins_anew_once_all_objects_are_forgotten(tracker):
    frames, later = draw_frames(6), draw_mask(o5=(10, 30, 10, 40))
    forgotten = run(tracker, frames, {0: FIRST, 3: later}, forget=[(2, 1), (2, 300)])
    assert [prediction.ids for prediction in forgotten[2:]] == [(), (5,), (5,), (5,)]
    expected = run(tracker.fresh(), frames[3:], {0: later})
    np.testing.assert_array_equal(forgotten[5].labels, expected[2].labels)


def test_reset_and_fresh_begin_a_new_video(tracker):
    frames = draw_frames(4)
    first = run(tracker, frames, {0: FIRST})
    other = tracker.fresh()
    assert other.ids == ()
    tracker.reset(4)
    assert tracker.ids == ()
    for again in (run(tracker, frames, {0: FIRST}), run(other, frames, {0: FIRST})):
        for left, right in zip(first, again, strict=True):
            assert torch.equal(left.logits, right.logits)


@pytest.mark.parametrize("size", [(24, 32), (96, 130)])
def test_prediction_has_the_size_asked_for(tracker, size):
    frames = draw_frames(2)
    first, second = tracker.step(frames[0], FIRST, size=size), tracker.step(frames[1], size=size)
    assert first.labels.shape == second.labels.shape == size
    assert second.logits.shape == (3, *size)


@pytest.mark.parametrize(("call", "words"), [
    (lambda tracker, frame: tracker.step(frame[:, :-1]), "frame: 63×48, but the video began with 64×48"),
    (lambda tracker, frame: tracker.step(frame.astype(float)), "frame: expected H×W×3 uint8"),
    (lambda tracker, frame: tracker.step(frame, FIRST[1:]), "mask: expected integer object ids"),
    (lambda tracker, frame: tracker.step(frame, FIRST * -1), "mask: object ids must be"),
    (lambda tracker, frame: tracker.step(frame, size=(0, 4)), "size: expected"),
    (lambda tracker, frame: tracker.step(frame, prompts=[1]), "prompts"),
    (lambda tracker, frame: tracker.step(frame, prompts={4: (900, 900)}), "outside"),
    (lambda tracker, frame: tracker.forget(8), "object 8 is not tracked"),
], ids=range(8))  # fmt: skip
def test_refused_input_leaves_the_tracker_unchanged(tracker, call, words):
    frames = draw_frames(3)
    expected = run(tracker.fresh(), frames, {0: FIRST})[2]
    run(tracker, frames[:2], {0: FIRST})
    with pytest.raises(InputError, match=words):
        call(tracker, frames[2])
    assert torch.equal(tracker.step(frames[2]).logits, expected.logits)


def test_box_and_point_add_and_correct_objects(tracker):
    frames = draw_frames(4)
    added = tracker.step(frames[0], prompts={1: Prompt(box=(4, 4, 30, 24)), 300: (50, 36)})
    assert added.ids == tracker.ids
    assert set(added.ids) == {1, 300}
    assert (added.labels == 300).any()
    tracker.step(frames[1])
    both = tracker.step(frames[2], draw_mask(o7=(0, 8, 0, 8)), prompts={1: Prompt([(20, 20), (50, 40)], [1, 0])})
    assert set(both.ids) == {1, 300, 7}
    assert (both.labels[:8, :8] == 7).all()
    assert tracker.step(frames[3]).ids == both.ids


@pytest.mark.parametrize("name", NAMES[2:])
def test_compiled_parts_and_precision_are_those_that_run(name, monkeypatch):
    compiled, called, dtypes = [], set(), set()

    def compile_module(call):
        compiled.append(part := call.__self__)
        part.register_forward_hook(lambda *_: dtypes.add(torch.get_autocast_dtype("cpu")))
        return lambda *args, **kwargs: (called.add(part), call(*args, **kwargs))[1]

    monkeypatch.setattr(torch, "compile", compile_module)
    frames = draw_frames(3)
    tracker = make_tracker(name, compile=True, precision="bfloat16")
    found = run(tracker, frames, {0: FIRST})[2].logits
    assert compiled
    assert called == {*compiled}
    assert dtypes == {torch.bfloat16}
    plain = run(make_tracker(name), frames, {0: FIRST})[2].logits
    assert 0 < (found - plain).abs().max() < 0.2 * plain.abs().max()


def test_two_trackers_run_in_threads(tracker):
    frames = draw_frames(5)
    masks = ({0: FIRST}, {0: draw_mask(o9=(10, 40, 10, 40))})
    expected = [run(tracker.fresh(), frames, mask) for mask in masks]
    found = {}

    def track(number):
        found[number] = run(tracker.fresh(), frames, masks[number])

    threads = [threading.Thread(target=track, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        assert torch.equal(found[number][-1].logits, expected[number][-1].logits)


def test_interrupted_step_asks_for_a_reset(tracker, monkeypatch):
    if not hasattr(tracker, "track"):
        pytest.skip("aotlab's tracker has its own tests")
    frames = draw_frames(2)
    tracker.step(frames[0], FIRST)
    monkeypatch.setattr(tracker, "track", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tracker.step(frames[1])
    monkeypatch.undo()
    with pytest.raises(InputError, match="a step failed; call reset"):
        tracker.step(frames[1])
    tracker.reset()
    assert tracker.step(frames[1], FIRST).ids == (1, 300)


def count_bytes(value, seen):
    """Bytes of all tensors and arrays that a value holds."""
    if id(value) in seen or isinstance(value, torch.nn.Module):
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        return 0 if storage.data_ptr() in seen or seen.add(storage.data_ptr()) else storage.nbytes()
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
    items = [*items, *vars(value).values()] if hasattr(value, "__dict__") and not isinstance(value, type) else items
    return sum(count_bytes(item, seen) for item in items)


def test_memory_stays_flat(tracker):
    frames, sizes = draw_frames(8), []
    tracker.step(frames[0], FIRST)
    for index in range(1, 60):
        tracker.step(frames[index % 8])
        if index >= 30:
            sizes.append(count_bytes(tracker, set()))
    assert sizes[0] > 0
    assert max(sizes[15:]) <= max(sizes[:15])
