"""The runtime's prompts compared with the framework's: equal crops, planes and masks, rejected prompts."""

import json
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch

import aotlab
import aotlab_runtime
from aotlab import InputError
from aotlab.export.graphs import PROMPTING
from aotlab.prompting import network
from aotlab.prompting.network import REFINE_MARGIN
from aotlab.prompting.planes import MIN_CROP, find_crop
from aotlab_runtime import components, segment
from aotlab_runtime.inputs import check_prompts
from aotlab_testing.drawn_clips import draw_parts
from aotlab_testing.marks import slow
from aotlab_testing.small_model import draw_stripes, draw_texture
from runtime.tests.exports import assert_equal_prompted_masks


def test_pair_is_a_point_and_ids_are_integers(tracker):
    prediction = tracker.prompt(draw_texture(1)[0], {np.uint8(1): (20, 16), 2: np.array([40, 16])})
    assert prediction.ids == (1, 2)
    assert json.dumps(prediction.confidence)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64])
def test_prompts_with_a_mask_of_any_integers(exported, dtype):
    frame, mask = draw_texture(1)[0], draw_stripes([1]).astype(dtype)
    results = []
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        tracker = tracker.fresh()
        prediction = tracker.step(frame, mask, prompts={200: package.Prompt(box=(5, 5, 20, 20))})
        assert all(type(object_id) is int for object_id in prediction.ids)
        assert prediction.labels.dtype.kind == "u"
        results.append(prediction)
    assert results[0].ids == results[1].ids == (1, 200)
    assert (results[0].labels == results[1].labels).mean() >= 0.999


def test_prompted_masks_with_pytorchs_network_equal_pytorch(exported):
    assert_equal_prompted_masks(exported[1:])


@pytest.mark.parametrize("name", ["points", "labels", "box"])
@pytest.mark.parametrize("convert", [
    lambda values: torch.tensor(values, device="meta"),  # like one on a GPU
    lambda values: torch.tensor(values, dtype=torch.float).requires_grad_(),
])  # fmt: skip
def test_tensors_without_numpy_rejected(exported, name, convert):
    values = {"points": [1, 1], "labels": [1], "box": [1, 1, 9, 9]}
    prompt = values | {name: convert(values[name])}
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        with pytest.raises(package.InputError, match=rf"^{name if name == 'box' else 'prompt'}.*tensor\("):
            tracker.prompt(draw_texture(1)[0], {1: package.Prompt(**prompt)})


def test_prompts_on_few_pixels_equal_pytorch(exported):
    logits = [
        tracker.prompt(draw_texture(1)[0][:2, :2], {1: package.Prompt(box=(0, 0, 2, 2))}).logits
        for tracker, package in zip([x.fresh() for x in exported[1:]], (aotlab_runtime, aotlab), strict=True)
    ]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)


NOT_POINTS = (
    None, "abc", ["1", "2"], [(1, 2), (3,)], [(np.nan, 1)], (np.nan, 1), [(1, 2, 3)], np.ones((2, 3)),
)  # fmt: skip
NOT_BOXES = "abc", (1, 2, (3, 4), 5), (0, 0, 9), (0, 0, 1, 1), (0, 0, np.nan, 9), [[1, 2], [9, 9]], np.eye(4)
OUTSIDE_POINTS = (500, 1), (-1, 1), (1, -1), (49.5, 1), (1, 33.5)
NOT_LABELS = [2], "abc", [[1], []], np.ones((2, 2))


@pytest.mark.parametrize(("prompt", "message"), [
    ({}, "prompt: .*give a box.* or a point on the object"),
    *(({"points": x}, "prompt: points must be pairs .x, y. of finite numbers in pixels, got ") for x in NOT_POINTS),
    ({"points": (100, 60, 50, 40)}, r"got \(100, 60, 50, 40\); give a box as Prompt\(box=...\)"),
    *(({"box": x}, "box .*: expected left, top, width and height in pixels, at least 2 each") for x in NOT_BOXES),
    ({"points": [(1, 1), (2, 2)], "labels": 1}, "prompt: expected a label of 0 or 1 for each of 2 points"),
    *(({"points": [(1, 1)], "labels": x}, "a label of 0 or 1 for each") for x in NOT_LABELS),
    *(({"points": [xy]}, f"point {xy[0]:g},{xy[1]:g}: outside the image of 49×33") for xy in OUTSIDE_POINTS),
    *(({"points": x}, "points .*: not in pixels; multiply fractions") for x in ((0.4, 0.6), [(0.1, 0), (1, 1)])),
    ({"box": (0.1, 0.2, 0.5, 0.5)}, r"box \(0.1, 0.2, 0.5, 0.5\): not in pixels; multiply fractions of the image"),
    ({"box": (30, 10, 40, 30)}, "box 30,10,40,30: extends beyond .* 49×33, .* two corners; .*, here 30,10,10,20$"),
    ({"box": (30, 10, 49, 33)}, "box 30,10,49,33: .*, here 30,10,19,23$"),
    *(({"box": (left, 0, 9, 9)}, f"box {left},0,9,9: outside the image of 49×33") for left in (48, 100)),
])  # fmt: skip
def test_bad_prompts_rejected(exported, prompt, message):
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        with pytest.raises(package.InputError, match=message) as raised:
            tracker.prompt(draw_texture(1)[0], {1: package.Prompt(**prompt)})
        assert len(str(raised.value)) < 160
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [aotlab.Prompt((5, 5)), aotlab_runtime.Prompt(aotlab_runtime.Prompt((5, 5)))])
def test_prompt_in_place_of_points_rejected(value):
    with pytest.raises(aotlab_runtime.InputError, match=r"^prompt: points must be pairs .* got Prompt"):
        check_prompts({1: value}, (33, 49))


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [(0.4, 0.6), (3, 4)]},
        {"points": (0.4, 1.5)},
        {"points": (3, 4), "labels": 1},
        {"points": [(0, 0), (1, 1)], "labels": [1, 0]},
        {"points": np.array([[3, 4], [5, 6]]), "labels": np.array([True, False])},
        {"points": [(-0.5, -0.5), (49, 33)]},
        {"box": (0.5, 0.5, 2, 2)},
        {"box": np.array([-4, -4, 90, 90])},
        {"points": [], "box": [1, 1, 9, 9]},
    ],
)
def test_same_prompts_are_accepted(prompt):
    size = (33, 49)
    assert check_prompts({1: aotlab_runtime.Prompt(**prompt)}, size)
    aotlab.Prompt(**prompt).crop_box(size)


@pytest.mark.parametrize(
    ("box", "count"),
    [((30, 10, 31, 30), 2), ((30, 10, 50, 20), 2), ((30, 10, 22, 9), 2), ((30, 10, 20, 24), 0), ((1, 1, 9, 9), 0)],
)
def test_box_far_beyond_the_frame_is_logged(caplog, box, count):
    check_prompts({3: aotlab_runtime.Prompt(box=box)}, (33, 49))
    aotlab.Prompt(box=box).crop_box((33, 49), 3)
    assert len(caplog.messages) == count
    assert len({*caplog.messages}) == count // 2


@pytest.mark.parametrize("prompt", [{"box": (600, 100, 200, 90)}, {"points": [(400, 240), (300, 9)]}])
@pytest.mark.parametrize("part", [np.s_[20:240, 20:140], np.s_[400:480, 700:854], np.s_[:0]])
def test_crops_equal_framework(prompt, part):
    rough_mask = np.full((480, 854), 0.45)
    rough_mask[part] = 0.55
    expected = find_crop(aotlab.Prompt(**prompt), (480, 854), REFINE_MARGIN, rough_mask)
    (checked,) = check_prompts({1: aotlab_runtime.Prompt(**prompt)}, (480, 854)).values()
    rows, columns = segment.find_crop(checked, rough_mask, REFINE_MARGIN, MIN_CROP)
    assert (columns.start, rows.start, columns.stop, rows.stop) == expected


def assert_same_pixels_are_far(mask, point):
    far = components.find_pixels_far_from_points(mask, np.array([point]), PROMPTING["max_part_distance"])
    np.testing.assert_array_equal(far, network.find_pixels_far_from_points(mask, aotlab.Prompt(points=point)))


@pytest.mark.parametrize("seed", [0, 1, *slow(*range(2, 6))])
def test_pixels_far_from_points_equal_framework(seed):
    mask = draw_parts(seed)
    for x, y in np.random.default_rng(seed).uniform(-1, (854, 480), (8, 2)):
        assert_same_pixels_are_far(mask, (x, y))


@pytest.mark.parametrize(
    ("parts", "point"),
    [
        ([np.s_[10:30, 10:30], np.s_[37:44, 37:44]], (20, 20)),  # diagonal
        ([np.s_[10:30, 10:30], np.s_[40:60, 70:80]], (200, 200)),  # a point beside all parts
        ([np.s_[10:30, 10:30], np.s_[40:60, 70:80]], (69.6, 50)),  # nearest to a pixel of the smaller part
        ([np.s_[10:30, 10:30], np.s_[30:40, 30:40]], (20, 20)),  # touching corners
        ([np.s_[0:1, 0:1]], (5, 5)),
        ([], (5, 5)),
        ([np.s_[::40], np.s_[:, :850:2], np.s_[:, 853]], (500, 400)),  # a comb of many runs
    ],
)
def test_pixels_far_from_few_parts_equal_framework(parts, point):
    mask = np.zeros((480, 854), bool)
    for part in parts:
        mask[part] = True
    assert_same_pixels_are_far(mask, point)


def test_components_of_noise_equal_opencv():
    random = np.random.default_rng(0)
    for height, width in random.integers(1, 9, (300, 2)):
        mask = random.random((height, width)) > 0.5
        _, expected = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        found = components.label_components(mask)
        pairs = {*zip(found.ravel(), expected.ravel(), strict=True)}
        assert len(pairs) == len(np.unique(found)) == len(np.unique(expected))
        np.testing.assert_array_equal(found > 0, mask)


@pytest.mark.parametrize(
    ("prompt", "coarse"), [({"box": (60, 40, 20, 20)}, (30, 50, 40, 40)), ({"points": (70, 50)}, (0, 0, 120, 160))]
)
def test_passes_segment_crops_around_the_object(prompt, coarse):
    frame, crops = np.stack([*np.indices((120, 160)), np.zeros((120, 160))], axis=2).astype(np.uint8), []

    def run(image, points, labels, rough_mask, size):
        crops.append((*image[0, 0, :2], *image.shape[:2]))  # top, left, height, width
        is_object = np.abs(image[..., :2] - [49.5, 69.5]).max(2) < 10
        return dict.fromkeys(("logits", "refined_logits"), np.where(is_object, 1, -1))

    settings = PROMPTING | {"min_crop": 8, "align_corners": True}
    graphs = Mock(prompt_settings=settings, token_size=16, temperature=1, segment_prompt=run)
    prompts = check_prompts({1: aotlab_runtime.Prompt(**prompt)}, (120, 160))
    labels = segment.segment_prompts(graphs, frame, prompts, np.zeros((120, 160), int)).labels
    assert crops == [coarse, (37, 57, 26, 26)]
    np.testing.assert_array_equal(np.pad(np.ones((20, 20)), ((40, 60), (60, 80))), labels)


@pytest.mark.parametrize(("align_corners", "extra"), [(False, 0), (True, 1)])
def test_crops_have_sizes_of_the_prompt_network(align_corners, extra):
    """Its grid may differ from that of the tracking model."""
    settings, sizes = PROMPTING | {"align_corners": align_corners}, []
    graphs = Mock(prompt_settings=settings, token_size=16, temperature=1)

    def run(image, points, labels, rough_mask, size):
        sizes.extend(size)
        return dict.fromkeys(("logits", "refined_logits"), np.ones(image.shape[:2], np.float32))

    graphs.segment_prompt = run
    prompts = check_prompts({1: aotlab_runtime.Prompt(box=(5, 5, 20, 20))}, (40, 60))
    segment.segment_prompts(graphs, np.zeros((40, 60, 3), np.uint8), prompts, np.zeros((40, 60), int))
    assert {side % 16 for side in sizes} == {extra}


def test_parts_behind_another_object_are_far():
    outputs = dict.fromkeys(("logits", "refined_logits"), np.ones((40, 60), np.float32))
    graphs = Mock(prompt_settings={**PROMPTING, "align_corners": True}, token_size=16, temperature=1)
    graphs.segment_prompt.return_value = outputs
    mask = np.zeros((40, 60), int)
    mask[:, 10:50] = 7
    prompts = check_prompts({1: (5, 20)}, mask.shape)
    labels = segment.segment_prompts(graphs, np.zeros((40, 60, 3), np.uint8), prompts, mask).labels
    np.testing.assert_array_equal(labels[:, :10], 1)
    np.testing.assert_array_equal(labels[:, 10:], 0)


@pytest.mark.parametrize(
    "prompts", [*({number: (20, 16)} for number in (0, -1, 2**31, "1", True)), [(20, 16)], [], 0, np.array([[20, 16]])]
)
def test_prompts_without_ids_rejected(tracker, prompts):
    frame = draw_texture(1)[0]
    for call in (
        lambda: tracker.step(frame, prompts=prompts),
        lambda: tracker.step(frame, draw_stripes([3]), prompts=prompts),
        lambda: tracker.prompt(frame, prompts),
    ):
        with pytest.raises((InputError, aotlab_runtime.InputError), match=r"^prompts: (give a dict|object id)"):
            call()
    assert tracker.ids == ()


def test_step_without_prompts_tracks_and_prompt_needs_one(tracker):
    frames = draw_texture(2)
    tracker.step(frames[0], draw_stripes([1]))
    assert tracker.step(frames[1], prompts={}).ids == (1,)
    with pytest.raises((InputError, aotlab_runtime.InputError), match="dict of prompts by object id from 1"):
        tracker.prompt(frames[1], {})


def test_framework_rejects_prompt_of_the_runtime(exported):
    with pytest.raises(InputError, match=r"import Prompt from aotlab$"):
        exported[2].prompt(draw_texture(1)[0], {1: aotlab_runtime.Prompt(points=(5, 5))})
