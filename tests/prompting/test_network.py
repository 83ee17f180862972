"""Segmenter of the prompt network: its two passes, parts, caching and precision; prompts of a tracker."""

import numpy as np
import pytest
import torch
from torch import nn

from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.prompt import Prompt
from aotlab.prompting.config import PromptConfig
from aotlab.prompting.load import load_segmenter
from aotlab.prompting.network import (
    EXCLUDED,
    FrameSegmenter,
    NetworkLoader,
    NetworkSegmenter,
    crop_input_size,
    find_pixels_far_from_box,
    find_pixels_far_from_points,
    suppress_overlaps,
)
from aotlab.prompting.weights import load_prompt_network, save_prompt_network
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import build, build_prompts, draw_texture


class Echo(nn.Module):
    """Answers with the pixels that are like those under the clicks, near a box, or in the mask."""

    config = PromptConfig()

    def __init__(self):
        super().__init__()
        self.projector = nn.Conv2d(1, 1, 1)
        self.sizes, self.masks = [], []

    def encode(self, image):
        self.sizes.append(tuple(image.shape[2:]))
        return [image]

    def forward(self, features, planes):
        image, answers = features[0][0], []
        for positive, negative, box, mask in planes:
            self.masks.append(mask)
            under = (positive > 0) if positive.any() else (box > 0)
            color = image[:, under].median(1).values
            like = (image - color[:, None, None]).abs().amax(0) < 0.2
            answers.append(torch.where(like & (negative == 0), 4.0, -4.0))
        return torch.stack(answers)[:, None]


def build_segmenter(network):
    return NetworkSegmenter(lambda: network)


def frame():
    """A red and a green square of 30 pixels on black, 90×120."""
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[20:50, 20:50] = (255, 0, 0)
    pixels[40:70, 70:100] = (0, 255, 0)
    return pixels


def test_parts_far_from_prompts_are_dropped():
    mask = np.zeros((60, 60), bool)
    mask[5:25, 5:25] = mask[5:25, 28:32] = mask[50:55, 50:55] = True
    far = find_pixels_far_from_points(mask, Prompt(points=[(10, 10)]))
    assert not far[5:25].any()
    assert far[50:55, 50:55].all()
    assert not find_pixels_far_from_points(mask, Prompt(mask=mask)).any()


@pytest.mark.parametrize(
    ("options", "kept"), [({}, 24), ({"points": [(40, 10)]}, 41), ({"mask": np.ones((60, 60))}, 60)]
)
def test_pixels_outside_box_need_another_prompt(options, kept):
    far = find_pixels_far_from_box(np.ones((60, 60), bool), Prompt(box=(10, 0, 12, 60), **options))
    assert np.flatnonzero(~far[10]).max() + 1 == kept


def test_largest_part_is_kept_without_prompted_part():
    mask = np.zeros((60, 60), bool)
    mask[:5, 50:55] = mask[20:40, 5:25] = mask[50:55, 50:55] = True
    far = find_pixels_far_from_points(mask, Prompt(points=[(40, 10)]))
    np.testing.assert_array_equal(far, mask & (np.arange(60) >= 50))


def test_objects_are_segmented_together_at_two_resolutions():
    network = Echo()
    prompts = {3: Prompt(points=[(30, 30)]), 300: Prompt(box=(72, 42, 26, 26))}
    labels = build_segmenter(network)(frame(), prompts)
    expected = np.where(frame()[..., 0] > 0, 3, np.where(frame()[..., 1] > 0, 300, 0))
    assert (labels == expected).mean() > 0.97  # outlines are resized from the grid of the network
    assert network.sizes == [(241, 321), *[(241, 257)] * 2], "both passes of the box see one crop"


def test_points_of_other_objects_are_negative_in_both_passes():
    labels = build_segmenter(Echo())(frame(), {1: Prompt(points=[(27, 35)]), 2: Prompt(points=[(43, 35)])})
    assert (labels[35, 27], labels[35, 43]) == (1, 2)


def test_excluded_pixels_are_left_out_of_every_pass():
    pixels, exclude = np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120), bool)
    pixels[20:50, 20:80] = (255, 0, 0)
    exclude[20:50, 50:80] = True
    for prompt in (Prompt(points=[(30, 30)], exclude=exclude), Prompt(box=(15, 15, 70, 40), exclude=exclude)):
        network = Echo()
        logits = FrameSegmenter(network, pixels).logits([prompt])[0]
        np.testing.assert_array_equal(logits[exclude], EXCLUDED)
        assert (logits[22:48, 22:48] > 0).all()
        assert network.masks[-1].max() > 0.9
        assert network.masks[-1].mean() < 0.7, "refining starts without the excluded half"


def test_strongest_object_keeps_a_contested_pixel():
    logits = torch.tensor([[[3.0, 1.0, -2.0]], [[1.0, 2.0, -1.0]]])
    masks = suppress_overlaps(logits)
    assert (masks[:, 0, :2] > 0.5).tolist() == [[True, False], [False, True]]
    assert masks[1, 0, 0] == masks[0, 0, 1] == 0
    assert masks[0, 0, 2] == logits[0, 0, 2].sigmoid(), "what nobody claims stays uncertain"


def test_box_is_segmented_from_its_surroundings():
    network = Echo()
    FrameSegmenter(network, np.zeros((900, 1200, 3), np.uint8)).logits([Prompt(box=(200, 200, 400, 300))])
    assert network.sizes == [(257, 257)] * 2, "never the whole frame"


def test_second_prompt_reuses_frame_encoding():
    network = Echo()
    segmenter = build_segmenter(network)
    segmenter(frame(), {1: Prompt(points=[(30, 30)])})
    segmenter(frame(), {1: Prompt(points=[(80, 50)])})
    whole, *crops = network.sizes
    assert whole not in crops
    segmenter(frame()[::-1].copy(), {1: Prompt(points=[(80, 50)])})
    assert network.sizes[-2] == whole, "another frame is encoded"


def test_oldest_crop_is_encoded_again(monkeypatch):
    monkeypatch.setattr("aotlab.prompting.network.MAX_CACHED_CROPS", 2)
    network = Echo()
    segmenter = build_segmenter(network)
    counts = []
    for x in (0, 40, 0, 80, 40, 0):
        segmenter(frame(), {1: Prompt(box=(x, 20, 30, 30))})
        counts.append(len(network.sizes))
    assert counts == [1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 854), (225, 401)), ((40, 40), (401, 401)), ((5, 400), (33, 401))]
)
def test_crop_sizes_are_whole_tokens(size, expected):
    assert crop_input_size(size, 401, align_corners=True) == expected


def test_file_of_a_prompt_network_is_loaded_at_the_first_prompt(tmp_path):
    torch.manual_seed(0)
    network, path = build_prompts(), tmp_path / "prompts.safetensors"
    segmenter = load_segmenter(checkpoint=path)
    save_prompt_network(path, network)
    prompts = {1: Prompt(points=[(30, 30)])}
    fast = NetworkLoader(network, torch.device("cpu"), "auto")()
    np.testing.assert_array_equal(segmenter(frame(), prompts), build_segmenter(fast)(frame(), prompts))


@pytest.fixture(scope="module")
def tracker():
    model, config = build("aott")
    network = build_prompts()
    network.decoder.conv_out.bias.data.fill_(10.0)  # an untrained network finds something
    return Tracker(model, config.replace(confidence_temperature=2.0), prompts=network)


@pytest.mark.parametrize("preset", ["aott", "deaott", "swinb_aotl"])
def test_any_model_uses_the_bundled_prompt_network(preset):
    box = {1: Prompt(box=(9, 9, 20, 20))}
    trackers = [Tracker(*build(preset), prompts=prompts) for prompts in (None, load_prompt_network())]
    found, expected = (tracker.prompt(draw_texture(1)[0], box).logits for tracker in trackers)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_prompts_have_the_precision_of_the_tracker(precision):
    model, config = build("aott", f"compute.precision={precision}")
    network, prompts = build_prompts(), {1: Prompt(points=[(30, 30)])}
    logits = Tracker(model, config, prompts=network).segmenter.logits(frame(), prompts)
    fast = NetworkLoader(network, torch.device("cpu"), precision)()
    np.testing.assert_array_equal(logits, build_segmenter(fast).logits(frame(), prompts))


def test_fresh_trackers_share_the_bundled_network(monkeypatch):
    loaded = []

    def load():
        loaded.append(build_prompts())
        return loaded[-1]

    monkeypatch.setattr("aotlab.prompting.network.load_prompt_network", load)
    tracker = Tracker(*build("aott"))
    tracker.step(frame(), frame()[..., 0] > 0)
    assert loaded == []
    for other in (tracker.fresh(), tracker, tracker.fresh()):
        other.prompt(frame(), {4: Prompt(points=[(30, 30)])})
    assert len(loaded) == 1


def test_prompts_do_not_change_memory(tracker):
    tracker.reset()
    answer = tracker.prompt(frame(), {4: Prompt(points=[(30, 30)]), 9: Prompt(box=(72, 42, 26, 26))})
    assert answer.ids == (4, 9)
    assert answer.temperature == tracker.config.confidence_temperature == 2
    assert answer.logits.shape == (3, 90, 120)
    assert tracker.ids == ()


def test_second_prompt_of_tracker_reuses_frame_encoding(tracker, monkeypatch):
    network, sizes = tracker.segmenter.load(), []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda image: [sizes.append(image.shape), encode(image)][1])
    tracker.reset()
    prompts = {4: Prompt(points=[(30, 30)])}
    tracker.prompt(frame(), prompts)
    first = len(sizes)
    assert first
    tracker.prompt(frame(), prompts)
    tracker.step(frame(), prompts=prompts)
    assert len(sizes) == first
    tracker.fresh().prompt(frame(), prompts)
    assert len(sizes) == 2 * first


def test_step_with_prompts_equals_step_with_masks(tracker):
    prompts = {4: Prompt(points=[(30, 30)])}
    tracker.reset()
    mask = tracker.prompt(frame(), prompts).labels
    assert (mask == 4).any()
    expected = tracker.step(frame(), mask)
    later = tracker.step(frame()[::-1])
    for empty in (None, np.zeros_like(mask)):
        tracker.reset()
        prompted = tracker.step(frame(), empty, prompts=prompts)
        np.testing.assert_array_equal(prompted.labels, expected.labels)
        np.testing.assert_array_equal(tracker.step(frame()[::-1]).logits, later.logits)


def test_prompt_keeps_pixels_drawn_for_others(tracker):
    tracker.reset()
    mask = np.zeros((90, 120), int)
    mask[:30] = 7
    mask[80:] = 4  # drawn for the prompted object
    prompts = {4: Prompt(points=[(30, 30)])}
    prompted = tracker.prompt(frame(), prompts).labels == 4
    assert prompted[:30].any()
    labels = tracker.step(frame(), mask, prompts=prompts).labels
    np.testing.assert_array_equal(labels[:30], 7)
    np.testing.assert_array_equal(labels[30:] == 4, prompted[30:])
    tracker.reset()
    with pytest.raises(InputError, match="object 4: no pixel found"):
        tracker.step(frame(), np.full((90, 120), 7), prompts=prompts)
    assert tracker.ids == ()
