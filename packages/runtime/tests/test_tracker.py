"""The runtime's tracker compared with `aotlab.Tracker`: equal masks, the same behavior, rejected input."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import aotlab
import aotlab_runtime
from aotlab.engine.tracking.tracker import Tracker
from aotlab_testing.small_model import HEIGHT, WIDTH, draw_stripes, draw_texture
from runtime.tests.exports import MASKS, assert_equal_masks


@pytest.mark.parametrize("masks", [
    MASKS,
    {0: draw_stripes(range(1, 13)), 2: draw_stripes(range(1, 25))},
    {0: draw_stripes([1, 2]), 2: draw_stripes([3]), 3: draw_stripes([1]), 4: draw_stripes([2])},
    {0: draw_stripes([1, 2], 32, 48), 3: draw_stripes([0, 3], 32, 48)},  # resized to 33×49 in the network
])  # fmt: skip
def test_masks_equal_pytorch(exported, masks):
    pair = [tracker.fresh() for tracker in exported[1:]]
    assert_equal_masks(pair, masks)


def test_temperature_changes_confidence_like_pytorchs():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    tensor = torch.from_numpy(logits)
    expected = aotlab.Prediction((5, 7), tensor, tensor.max(0).indices, temperature=2.0)
    found = aotlab_runtime.Prediction((5, 7), logits, temperature=2.0)
    assert found.confidence == pytest.approx(expected.confidence, abs=1e-6)


def test_background_before_the_first_mask(tracker):
    prediction = tracker.step(draw_texture(1)[0])
    assert prediction.ids == ()
    assert prediction.labels.shape == (HEIGHT, WIDTH)
    assert not prediction.labels.any()


def test_images_tensors_and_views_are_accepted(tracker):
    frame, mask = draw_texture(1)[0], MASKS[0].astype(np.uint8)
    for convert in (Image.fromarray, torch.from_numpy, np.asfortranarray, np.ma.masked_array):
        prediction = tracker.fresh().step(convert(frame), convert(mask))
        np.testing.assert_array_equal(prediction.labels, mask)
    flipped = tracker.fresh().step(frame[::-1, ::-1], mask[::-1, ::-1])
    np.testing.assert_array_equal(flipped.labels, mask[::-1, ::-1])


def test_trackers_in_threads_share_graphs(tracker):
    frames = draw_texture(4)

    def track(other):
        other.step(frames[0], MASKS[0])
        return [other.step(frame).logits for frame in frames[1:]]

    expected = track(tracker)
    with ThreadPoolExecutor(3) as pool:
        for results in pool.map(track, [tracker.fresh() for _ in range(3)]):
            assert all(map(np.array_equal, results, expected))


def test_prediction_is_printed_in_one_line(tracker):
    assert repr(tracker.step(draw_texture(1)[0], MASKS[0])).startswith("Prediction(ids=[1, 2], height=33, width=49")


def test_object_without_a_pixel_in_the_network_is_logged(exported, caplog):
    mask = draw_stripes([1], 66, 98)
    mask[1, 1] = 2  # between the pixels that 33×49 takes
    tracker, frame = exported[1].fresh(), np.zeros((66, 98, 3), np.uint8)
    assert tracker.step(frame, mask).ids == (1, 2)
    tracker.step(frame, np.where(mask == 2, 1, 0))  # a correction of a tracked object
    assert caplog.messages == ["object 2: too small to be tracked; export with a larger input.scale"]


@pytest.mark.parametrize(("size", "count"), [((49, 33), 2), ((33, 97), 2), ((66, 98), 0), ((30, 47), 0)])
def test_stretched_frames_logged_once_a_video(exported, caplog, size, count):
    tracker = exported[1].fresh()
    for _ in range(2):
        for _ in range(3):
            tracker.step(np.zeros((*size, 3), np.uint8))
        tracker.reset()
    height, width = size
    assert caplog.messages == count * [
        f"frames of {width}×{height} are stretched to 49×33 in the network; export with --size {width}x{height}"
    ]


def test_reset_starts_another_video(tracker):
    tracker.step(draw_texture(1)[0], MASKS[0])
    tracker.reset()
    assert tracker.ids == ()
    tracker.step(np.zeros((65, 97, 3), np.uint8), draw_stripes([7], 65, 97))
    assert tracker.ids == (7,)


def test_fresh_tracker_has_no_objects(tracker):
    tracker.step(draw_texture(1)[0], MASKS[0])
    assert tracker.fresh().ids == ()
    assert tracker.ids == (1, 2)


def test_forgotten_object_has_no_pixel(tracker):
    frames = draw_texture(3)
    tracker.step(frames[0], MASKS[0])
    tracker.forget(np.uint8(1))
    prediction = tracker.step(frames[1])
    assert prediction.ids == tracker.ids == (2,)
    assert len(prediction.logits) == 2
    assert not (prediction.labels == 1).any()
    tracker.forget(2)
    assert not tracker.step(frames[2]).labels.any()
    with pytest.raises(ValueError, match="object 2 is not tracked"):
        tracker.forget(2)
    other = tracker.fresh()
    tracker.step(frames[0], MASKS[0])  # begins like the first one
    other.step(frames[0], MASKS[0])
    np.testing.assert_array_equal(tracker.step(frames[1]).logits, other.step(frames[1]).logits)


@pytest.mark.parametrize("count", [3, 12])
def test_pixels_of_forgotten_object_are_background(tracker, count):
    masks, forgot, seen = {0: draw_stripes(range(1, count + 1)), 6: draw_stripes([0, 99])}, tracker.fresh(), 0
    for index, frame in enumerate(draw_texture(12)):
        if index == 2:
            forgot.forget(2)
        labels, without = (one.step(frame, masks.get(index)).labels for one in (tracker, forgot))
        if index >= 2:
            np.testing.assert_array_equal(without, np.where(labels == 2, 0, labels))
            seen += (labels == 2).any()
    assert seen > 2


def test_full_group_stays_full_after_forgetting(tracker):
    frames = draw_texture(3)
    tracker.step(frames[0], draw_stripes(range(1, 11)))
    tracker.forget(1)
    tracker.step(frames[1], draw_stripes([99]))  # in a new group, as stored frames contain the identity of object 1
    assert tracker.step(frames[2]).ids == tracker.ids == (*range(2, 11), 99)


def test_masks_after_forgetting_equal_pytorch(exported):
    masks, labels = {0: draw_stripes(range(1, 13)), 3: draw_stripes([20, 2])}, []
    for tracker in (tracker.fresh() for tracker in exported[1:]):
        for index, frame in enumerate(draw_texture(5)):
            prediction = tracker.step(frame, masks.get(index))
            if index in (0, 1):
                tracker.forget(1 + 10 * index)  # of the first group, then of the second
        labels.append(prediction.labels)
        assert prediction.ids == (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 20)
    assert (labels[0] == labels[1]).mean() >= 0.999  # ties


@pytest.mark.parametrize("object_id", [0, -1, 3, 2**70, True, 1.0, "1", None, np.ones((3, 3))])
def test_object_that_is_not_tracked_cannot_be_forgotten(tracker, object_id):
    tracker.step(draw_texture(1)[0], MASKS[0])
    with pytest.raises(ValueError, match=r"^forget: object .* is not tracked$"):
        tracker.forget(object_id)
    assert tracker.ids == (1, 2)


@pytest.mark.parametrize("length", [None, 1, np.int64(9)])
def test_length_of_a_video_accepted(tracker, length):
    tracker.reset(length)
    assert tracker.step(draw_texture(1)[0], MASKS[0]).ids == (1, 2)


@pytest.mark.parametrize("length", [-3, 9.7, "5", 2**40, True, "1\n"])
def test_invalid_length_of_a_video_rejected(tracker, length):
    with pytest.raises(ValueError, match=f"reset: length must be a number of frames, got {str(length).strip()}$"):
        tracker.reset(length)


@pytest.mark.parametrize(("name", "call", "mask"), [
    ("encode", 1, None),
    ("propagate", 2, None),
    ("decode", 1, None),
    ("assign_identities", 1, None),
    ("memorize", 2, None),
    ("propagate", 3, draw_stripes(range(1, 25))),
    ("assign_identities", 2, draw_stripes(range(1, 25))),
    ("memorize", 2, draw_stripes(range(1, 25))),
])  # fmt: skip
def test_failed_step_does_not_change_the_state(tracker, monkeypatch, name, call, mask):
    frames, other, calls = draw_texture(4), tracker.fresh(), []
    for same_tracker in (tracker, other):
        same_tracker.step(frames[0], draw_stripes(range(1, 13)))
        same_tracker.step(frames[1])

    def fail(method, graph, *args, **options):
        calls.extend([graph] if graph.replace("reference", "propagate") == name else [])
        if len(calls) == call:
            raise MemoryError
        return method(*args, **options)

    with monkeypatch.context() as patch:
        if isinstance(tracker, Tracker):
            patch.setattr(tracker.model, name, partial(fail, getattr(tracker.model, name), name))
        else:
            run = tracker.graphs.run
            patch.setattr(tracker.graphs, "run", lambda graph, tensors: fail(run, graph, graph, tensors))
        with pytest.raises(MemoryError):
            tracker.step(frames[2], mask)
    assert tracker.ids == other.ids
    for frame, frame_mask in ((frames[2], mask), (frames[3], None)):
        prediction, expected = tracker.step(frame, frame_mask), other.step(frame, frame_mask)
        assert prediction.ids == expected.ids
        np.testing.assert_array_equal(prediction.logits, expected.logits)


class BrokenArray:
    def __array__(self, *_, **options):
        raise RuntimeError("two\nlines")


@pytest.mark.parametrize(("frame", "mask", "message"), [
    *((np.zeros(shape, np.uint8), MASKS[0], "frame: ") for shape in ((HEIGHT, WIDTH), (0, 9, 3))),
    (np.full((HEIGHT, WIDTH, 3), np.nan), MASKS[0], "frame: .*float64"),
    (None, MASKS[0], "frame: .*NoneType"),
    ([[1], [1, 2]], MASKS[0], "frame: expected an array, got list"),
    (draw_texture(1)[0], [[1], [1, 2]], "mask: expected an array, got list"),
    (draw_texture(1)[0], BrokenArray(), r"mask: expected an array, got BrokenArray \(two lines\)"),
    *((Image.new(mode, (WIDTH, HEIGHT)), MASKS[0], f"frame: expected RGB, got an image of mode {mode}; call convert")
      for mode in ("YCbCr", "L")),
    *((draw_texture(1)[0], MASKS[0][part], "mask: ") for part in (np.s_[1:], None, np.s_[..., None])),
    (draw_texture(1)[0], np.full((HEIGHT, WIDTH), 1j), "mask: .*complex128"),
    (draw_texture(1)[0], -MASKS[0], "mask: .*-2"),
    (draw_texture(1)[0], 2**31 + MASKS[0], "mask: .*2147483647"),
    (draw_texture(1)[0], 0 * MASKS[0], "mask: no objects; give ids above 0"),
])  # fmt: skip
def test_bad_frames_and_masks_rejected(exported, frame, mask, message):
    sentences = []
    for tracker in (tracker.fresh() for tracker in exported[1:]):
        with pytest.raises(ValueError, match=message) as raised:
            tracker.step(frame, mask)
        assert tracker.ids == ()
        sentences.append(str(raised.value))
    assert sentences[0] == sentences[1]
    assert "\n" not in sentences[0]


def test_frame_of_another_size_rejected_in_a_video(tracker):
    tracker.step(draw_texture(1)[0], MASKS[0])
    with pytest.raises(ValueError, match=r"65×33, but the video began with 49×33; .*call reset"):
        tracker.step(np.zeros((33, 65, 3), np.uint8))
