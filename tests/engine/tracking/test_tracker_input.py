"""Invalid frames and masks; packages/runtime/tests has those that both trackers reject alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aotlab.configs.schema import RulesConfig
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.fast.optimize import optimize
from aotlab.utils.errors import InputError
from aotlab_testing.fake_cuda import forget_constants
from aotlab_testing.small_model import HEIGHT, WIDTH, assert_same, build, draw_stripes, draw_texture, run_tracker


@pytest.mark.parametrize(("mask", "words"), [
    (np.ones((HEIGHT, WIDTH, 3), np.uint8), r"integer object ids of shape \(33, 49\), got uint8 of shape"),
    ([[1, 2], [3]], ""),
    ("mask.png", r"got <U8 of shape \(\)"),
    ({1: 2}, r"got object of shape \(\)"),
    (np.full((HEIGHT, WIDTH), "1"), "got <U1"),
    (np.full((HEIGHT, WIDTH), None), "got object"),
    (np.array(["a"]), ""),
    (Image.new("RGB", (WIDTH, HEIGHT)), ""),
    (draw_stripes([1]).astype("timedelta64[s]"), ""),
])  # fmt: skip
def test_invalid_mask_does_not_change_the_tracker(models, mask, words):
    frames, tracker, second = draw_texture(3), Tracker(*models["aott"]), Tracker(*models["aott"])
    with pytest.raises(InputError, match=f"mask: .*{words}"):
        tracker.step(frames[0], mask)
    assert tracker.ids == ()
    for each in (tracker, second):
        each.step(frames[0], draw_stripes([1, 2]))
    with pytest.raises(InputError, match=f"mask: .*{words}"):
        tracker.step(frames[1], mask)
    assert tracker.ids == second.ids
    np.testing.assert_array_equal(tracker.step(frames[2]).logits, second.step(frames[2]).logits)


@pytest.mark.parametrize(("frame", "words"), [
    (None, "NoneType"),
    ("frame.png", "str"),
    ([[1, 2, 3]], ""),
    ([[1], [2, 3]], ""),
    *((Image.new(mode, (WIDTH, HEIGHT)), "") for mode in ("L", "YCbCr", "HSV", "LAB")),
    (np.zeros((HEIGHT, WIDTH, 4), np.uint8), ""),
])  # fmt: skip
def test_invalid_frame_rejected_before_video_starts(small_tracker, frame, words):
    with pytest.raises(InputError, match=rf"frame: expected .*, got {words}"):
        small_tracker.step(frame, draw_stripes([1]))
    assert small_tracker.step(draw_texture(1, 17, 31)[0]).labels.shape == (17, 31)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [
    (0, 5), (-1, 5), (5.5, 5), (np.nan, 5), (np.inf, 2), (5,), (5, 2**16), "x", (None, 5), (33.0, 49.0),
    [[1], [1, 2]],
])  # fmt: skip
def test_invalid_output_size_rejected(small_tracker, size):
    with pytest.raises(InputError, match=r"size: expected \(height, width\) in whole|inhomogeneous"):
        small_tracker.step(draw_texture(1)[0], draw_stripes([1]), size=size)
    assert small_tracker.ids == ()


@pytest.mark.parametrize(("make_frame", "make_mask"), [
    (Image.fromarray, Image.fromarray),
    (torch.from_numpy, torch.from_numpy),
    (np.asarray, np.ndarray.tolist),
    (lambda frame: np.flip(np.flip(frame, 1).copy(), 1), lambda mask: mask > 0),  # not contiguous, boolean
], ids=["images", "tensors", "lists", "views"])  # fmt: skip
def test_frames_and_masks_of_other_types_are_tracked_alike(models, make_frame, make_mask):
    frames, mask = draw_texture(2), draw_stripes([1]).astype(np.uint8)
    plain, other = Tracker(*models["aott"]), Tracker(*models["aott"])
    plain.step(frames[0], mask)
    np.testing.assert_array_equal(other.step(make_frame(frames[0]), make_mask(mask)).labels, mask)
    np.testing.assert_array_equal(plain.step(frames[1]).logits, other.step(make_frame(frames[1])).logits)


def test_predict_commit_and_is_cut_check_their_inputs_as_step(models):
    frames, mask, (model, config) = draw_texture(2), draw_stripes([1]), models["aott"]
    tracker = Tracker(model, config.replace(rules=RulesConfig(cuts=True)))
    draft = tracker.predict(Image.fromarray(frames[0]), frames[0].shape[:2])
    for wrong, words in ((mask[:20], "mask: expected"), (mask * 0, "mask: no objects"), (-mask, "must be 0 to")):
        with pytest.raises(InputError, match=words):
            tracker.commit(draft, wrong)
    np.testing.assert_array_equal(tracker.commit(draft, torch.from_numpy(mask)).labels, mask)
    assert not tracker.is_cut(Image.fromarray(frames[1]))
    for call in (tracker.predict, tracker.is_cut):
        with pytest.raises(InputError, match="but the video began with"):
            call(frames[1][:20])
    for wrong in ((0, 5), (5,), "ab"):
        with pytest.raises(InputError, match="size: expected"):
            tracker.predict(frames[1], wrong)
    with pytest.raises(InputError, match="frame: expected H×W×3 uint8 RGB"):
        tracker.predict(frames[1] / 255)


IDS = st.sampled_from([0, 1, 2, 255, 256, 65535, 2**24 + 1, 2**31 - 1])
DTYPES = st.sampled_from([np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64])


@settings(max_examples=settings().max_examples // 2)
@given(ids=st.lists(IDS, min_size=1, max_size=4, unique=True), dtype=DTYPES, offset=st.integers(0, 40))
def test_integer_mask_is_returned_unchanged(models, ids, dtype, offset):
    ids = [number for number in ids if number <= np.iinfo(dtype).max]
    mask = np.roll(draw_stripes(ids or [1], dtype=dtype), offset, axis=1)
    tracker = Tracker(*models["aott"])
    if not mask.any():
        with pytest.raises(InputError, match="mask: no objects; give ids"):
            tracker.step(draw_texture(1)[0], mask)
        return
    prediction = tracker.step(draw_texture(1)[0], mask)
    np.testing.assert_array_equal(prediction.labels.astype(np.uint64), mask.astype(np.uint64))
    assert prediction.ids == tuple(int(number) for number in np.unique(mask) if number)


def test_read_only_frames_do_not_warn(models, recwarn):
    frame = np.ascontiguousarray(draw_texture(1)[0])
    frame.setflags(write=False)  # as NumPy's view of an image is
    torch.set_warn_always(True)
    try:
        Tracker(*models["aott"]).step(frame, draw_stripes([1]))
    finally:
        torch.set_warn_always(False)
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]


@pytest.mark.parametrize("preset", ["aott", "deaott"])
def test_default_dtype_has_no_effect(preset):
    model, config = build(preset)
    frames = draw_texture(3)
    masks = {0: draw_stripes([1, 2]), 2: draw_stripes([0, 3])}
    expected = run_tracker(Tracker(model, config), frames, masks)
    forget_constants()
    try:
        torch.set_default_dtype(torch.float64)
        found = run_tracker(Tracker(model, config), frames, masks)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(found, expected)
    assert {prediction.logits.dtype for prediction in found} == {torch.float32}


def test_fused_model_runs_as_it_is():
    model, config = build("aott")
    fused = optimize(model)
    assert Tracker(fused, config).model is fused
