"""Interface of segmenters: checks of prompts, kept masks, cropped boxes, and the choice of a segmenter."""

import numpy as np
import pytest
import torch
from PIL import Image

from aotlab.media.prompt import Prompt
from aotlab.prompting.load import CheckpointSegmenter, load_segmenter
from aotlab.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.utils.errors import InputError

FRAME = np.zeros((48, 64, 3), np.uint8)


class BoxSegmenter(PromptSegmenter):
    """Objects are their boxes, later ones first, without excluded pixels."""

    def __init__(self):
        self.prompts = {}

    def segment(self, frame, prompts):
        self.prompts = prompts
        labels = np.zeros(frame.shape[:2], np.uint16)
        for object_id, prompt in prompts.items():
            x, y, width, height = map(int, prompt.box)
            inside = np.zeros(labels.shape, bool)
            inside[y : y + height, x : x + width] = True
            labels[inside if prompt.exclude is None else inside & ~prompt.exclude] = object_id
        return labels


def test_kept_mask_keeps_pixels_of_objects_without_prompts():
    keep = np.zeros((48, 64), np.int64)
    keep[:10], keep[40:] = 7, 2
    exclude = np.zeros((48, 64), bool)
    exclude[:, :20] = True
    labels = BoxSegmenter()(FRAME, {2: Prompt(box=(10, 5, 30, 20), exclude=exclude)}, keep=keep)
    np.testing.assert_array_equal(labels[:10], 7)
    np.testing.assert_array_equal(labels[10:25, 20:40], 2)
    assert (labels == 2).sum() == 15 * 20, "the earlier mask of a prompted object is replaced"


def test_box_beyond_the_image_is_cropped_with_a_warning(caplog):
    segmenter = BoxSegmenter()
    segmenter(FRAME, {2: Prompt(box=(30, 20, 40, 21))})
    assert segmenter.prompts[2].box == (30, 20, 34, 21)
    assert "box 30,20,40,21 of object 2: extends beyond the image (64×48)" in caplog.text
    with pytest.raises(InputError, match=r"box 30,20,40,30: extends beyond the image of 64×48, .* two corners"):
        segmenter(FRAME, {2: Prompt(box=(30, 20, 40, 30))})
    with pytest.raises(InputError, match="outside the image of 64×48"):
        segmenter(FRAME, {1: Prompt(points=[(300, 3)])})


@pytest.mark.parametrize("prompts", [
    {}, [], Prompt(points=[(3, 3)]), [Prompt(points=[(3, 3)])], {1: "3,3"}, {0: Prompt(points=[(3, 3)])},
    {"1": Prompt(points=[(3, 3)])}, {1.5: Prompt(points=[(3, 3)])},
])  # fmt: skip
def test_prompts_of_another_form_rejected(prompts):
    with pytest.raises(InputError, match=r"^prompts?: "):
        BoxSegmenter()(FRAME, prompts)


@pytest.mark.parametrize("frame", [FRAME / 255, FRAME[..., 0], Image.new("L", (64, 48)), [[1, 2], [3]], None])
def test_frame_of_another_form_rejected(frame):
    with pytest.raises(InputError, match=r"^frame: expected "):
        BoxSegmenter()(frame, {1: Prompt(box=(1, 1, 9, 9))})


@pytest.mark.parametrize("keep", [np.zeros((4, 4), np.uint8), np.full((48, 64), -1), np.zeros((48, 64), str), "mask"])
def test_mask_to_keep_of_another_form_rejected(keep):
    with pytest.raises(InputError, match=r"^keep: mask: "):
        BoxSegmenter()(FRAME, {1: Prompt(box=(1, 1, 9, 9))}, keep=keep)


def test_image_and_tensor_are_frames():
    prompts = {1: Prompt(box=(1, 1, 9, 9))}
    expected = BoxSegmenter()(FRAME, prompts)
    for frame in (Image.fromarray(FRAME), torch.from_numpy(FRAME)):
        np.testing.assert_array_equal(BoxSegmenter()(frame, prompts), expected)


def test_object_without_pixels_rejected():
    with pytest.raises(InputError, match="object 2: no pixel found there"):
        require_pixels(np.ones((48, 64), np.uint8), {1: Prompt([(3, 3)]), 2: Prompt([(3, 3)])})


def test_missing_checkpoint_of_a_segmenter_rejected(tmp_path):
    segmenter = load_segmenter(checkpoint=tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match=r"gone.safetensors: not readable"):
        segmenter(FRAME, {3: Prompt(box=(2, 2, 9, 9))})


def test_checkpoint_is_loaded_on_its_device_at_the_first_prompt(monkeypatch, tmp_path):
    loads = []
    monkeypatch.setattr("aotlab.prompting.weights.load_prompt_network", lambda path: path)
    monkeypatch.setattr("aotlab.utils.devices.pick_device", lambda device: device)
    monkeypatch.setattr("aotlab.prompting.network.NetworkLoader", lambda *loaded: loads.append(loaded))
    monkeypatch.setattr("aotlab.prompting.network.NetworkSegmenter", lambda _: BoxSegmenter())
    segmenter = load_segmenter(checkpoint=tmp_path / "model.safetensors", device="cuda:1")
    assert isinstance(segmenter, CheckpointSegmenter)
    assert loads == []
    for _ in range(2):
        segmenter(FRAME, {3: Prompt(box=(2, 2, 9, 9))})
    assert loads == [(tmp_path / "model.safetensors", "cuda:1")]
