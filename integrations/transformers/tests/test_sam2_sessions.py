"""Programs written for transformers' SAM 2 video model, run with the model and processor of aotlab."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

transformers = pytest.importorskip(
    "transformers", reason="the sessions need transformers (pip install transformers)"
)
if not hasattr(transformers, "Sam2VideoModel"):
    pytest.skip("this transformers has no Sam2VideoModel", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[1]))
from aotlab_sam2 import Sam2VideoModel, Sam2VideoProcessor  # noqa: E402

from aotlab import Tracker, open_frames  # noqa: E402
from aotlab.media.synthetic_clip import draw_clip  # noqa: E402

SAMPLE = Path(__file__).parents[3] / "datasets" / "sample"


@pytest.fixture(scope="module")
def model():
    return Sam2VideoModel.from_pretrained("facebook/sam2.1-hiera-tiny", device_map="cpu")


def test_load_names_the_weights(caplog):
    for _ in range(2):
        caplog.clear()
        Sam2VideoModel.from_pretrained("facebook/sam2.1-hiera-tiny", device_map="cpu")
        assert "aotlab's tracker with its weights bundled, not SAM 2" in caplog.text


def collect(model, processor, session):
    """Logits N×1×H×W of every frame, by the calls of the documented example."""
    sizes = [[session.video_height, session.video_width]]
    return {
        output.frame_idx: processor.post_process_masks(
            [output.pred_masks], original_sizes=sizes, binarize=False
        )[0]
        for output in model.propagate_in_video_iterator(session)
    }


def test_documented_example_runs(model):
    """One object by a click, two after a reset, a click on a later frame, and the same video as a stream."""
    source = open_frames(str(SAMPLE / "rabbit.mp4"))
    frames = [PIL.Image.fromarray(source.read(index)) for index in range(4)]
    processor = Sam2VideoProcessor.from_pretrained("facebook/sam2.1-hiera-tiny")
    session = processor.init_video_session(video=frames, inference_device="cpu")
    processor.add_inputs_to_inference_session(
        inference_session=session, frame_idx=0, obj_ids=1, input_points=[[[[210, 350]]]], input_labels=[[[1]]]
    )
    outputs = model(inference_session=session, frame_idx=0)
    sizes = [[session.video_height, session.video_width]]
    masks = processor.post_process_masks([outputs.pred_masks], original_sizes=sizes, binarize=False)[0]
    assert masks.shape == (1, 1, 480, 854)
    assert masks[0, 0, 350, 210] > 0
    assert list(collect(model, processor, session)) == [0, 1, 2, 3]

    session.reset_inference_session()
    points = [[[[200, 300], [230, 250], [275, 175]], [[400, 150]]]]
    processor.add_inputs_to_inference_session(
        session, frame_idx=0, obj_ids=[2, 3], input_points=points, input_labels=[[[1, 1, 0], [1]]]
    )
    assert model(inference_session=session, frame_idx=0).object_ids == [2, 3]
    before = collect(model, processor, session)
    processor.add_inputs_to_inference_session(
        session, frame_idx=2, obj_ids=2, input_points=[[[[220, 280]]]], input_labels=[[[1]]]
    )
    after = collect(model, processor, session)
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[3], after[3])

    stream = processor.init_video_session(inference_device="cpu")
    for index, frame in enumerate(frames[:2]):
        inputs = processor(images=frame, device="cpu", return_tensors="pt").to(model.device)
        if index == 0:
            processor.add_inputs_to_inference_session(
                stream, frame_idx=0, obj_ids=1, input_points=[[[[210, 350], [250, 220]]]], input_labels=[[[1, 1]]],
                original_size=inputs.original_sizes[0],
            )  # fmt: skip
        output = model(inference_session=stream, frame=inputs.pixel_values[0])
        (masks,) = processor.post_process_masks([output.pred_masks], original_sizes=inputs.original_sizes)
        assert masks.shape == (1, 1, 480, 854)
    assert masks.any()


def test_masks_match_tracker(model):
    frames, masks = draw_clip(6, 96, 128, seed=3)
    processor = Sam2VideoProcessor()
    session = processor.init_video_session(video=frames)
    given = [masks[0] == 1, masks[0] == 2]
    processor.add_inputs_to_inference_session(session, 0, [10, 0], input_masks=given)
    found = collect(model, processor, session)
    tracker = Tracker.from_pretrained()
    first = np.where(masks[0] <= 2, masks[0], 0)
    for index, frame in enumerate(frames):
        labels = tracker.step(frame, first if index == 0 else None).labels
        for place in (1, 2):
            np.testing.assert_array_equal(found[index][place - 1, 0] > 0, labels == place)


def test_video_is_propagated_backward(model):
    frames, masks = draw_clip(6, 96, 128, seed=3)
    processor = Sam2VideoProcessor()
    session = processor.init_video_session(video=frames)
    box = [
        [
            [int(edge) for edge in (*place.min(0)[::-1], *place.max(0)[::-1])]
            for place in [np.argwhere(masks[4] == 1)]
        ]
    ]
    processor.add_inputs_to_inference_session(session, 4, 7, input_boxes=box)
    indices = [output.frame_idx for output in model.propagate_in_video_iterator(session, reverse=True)]
    assert indices == [4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="does not follow"):
        model(processor.init_video_session(video=frames), frame_idx=3)


@pytest.mark.parametrize(
    ("ours", "theirs", "method"),
    [
        (Sam2VideoProcessor, "Sam2VideoProcessor", "init_video_session"),
        (Sam2VideoProcessor, "Sam2VideoProcessor", "add_inputs_to_inference_session"),
        (Sam2VideoProcessor, "Sam2VideoProcessor", "post_process_masks"),
        (Sam2VideoModel, "Sam2VideoModel", "propagate_in_video_iterator"),
    ],
)
def test_parameters_have_names_of_transformers(ours, theirs, method):
    published = list(inspect.signature(getattr(getattr(transformers, theirs), method)).parameters)
    assert set(inspect.signature(getattr(ours, method)).parameters) <= set(published)
