"""The segmenter of a model with a prompt network."""

import numpy as np
import pytest
import torch

from aotlab.configs.schema import ModelConfig
from aotlab.engine.segmenters import NetworkSegmenter
from aotlab.media.prompt import Prompt
from aotlab.networks.vos_model import VOSModel


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    return NetworkSegmenter(VOSModel(ModelConfig(prompt_blocks=1)))


def test_labels_are_ids_of_the_prompts_at_the_frames_size(segmenter):
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    labels = segmenter(frame, {3: Prompt(points=[(10, 10)]), 300: Prompt(box=(30, 20, 20, 20))})
    assert labels.shape == (48, 64)
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) <= {0, 3, 300}


def test_the_last_frame_is_encoded_once(segmenter):
    frame = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    first = segmenter(frame, {1: Prompt(points=[(10, 10)])})
    known = segmenter._known[1]
    assert (segmenter(frame.copy(), {1: Prompt(points=[(10, 10)])}) == first).all()
    assert segmenter._known[1] is known
    segmenter(frame[::-1].copy(), {1: Prompt(points=[(10, 10)])})
    assert segmenter._known[1] is not known


def test_the_precision_is_that_of_the_computation(segmenter):
    frame = np.random.default_rng(2).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    rounded = NetworkSegmenter(segmenter._model, "bfloat16")
    for each, dtype in ((segmenter, torch.float32), (rounded, torch.bfloat16)):
        each(frame, {1: Prompt(points=[(10, 10)])})
        maps, _ = next(iter(each._known[1]._encoded.values()))
        assert maps[-1].dtype == dtype
