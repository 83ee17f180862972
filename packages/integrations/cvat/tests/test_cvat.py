"""The CVAT functions as cvat-cli's agent runs them, in its worker process; only the server's frames are replaced."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("cvat_cli", reason="the CVAT functions need cvat-cli (pip install cvat-cli)")
from cvat_cli._internal import agent
from cvat_cli._internal.common import FunctionLoader
from cvat_sdk.masks import decode_mask, encode_mask

from aotlab import InputError, Tracker, read_mask
from aotlab.export.synthetic_clip import draw_clip
from aotlab_video import open_frames

HERE = Path(__file__).parents[1]
SAMPLE = HERE.parents[2] / "datasets" / "sample"
FRAMES = 30


def open_agent(name, frames, **parameters):
    """The executor of an agent's worker, and a function that answers a request as the agent does."""
    loader = FunctionLoader(None, HERE / f"{name}.py", parameters)
    initargs = (loader, agent._default_tracking_state_id_generator)
    executor = agent.RecoverableExecutor(agent._worker_init, initargs)
    spec = executor.result(executor.submit(agent._worker_job_get_function_spec))
    driver = agent.get_function_driver_class(spec)(None, executor, spec)

    def sample(ar_params):
        image = PIL.Image.fromarray(frames[ar_params["frame"]])
        return SimpleNamespace(media=SimpleNamespace(load_image=lambda: image)), None

    driver._get_sample_from_ar_params = sample  # the one method that asks the server
    return executor, lambda **request: driver.calculate_result_for_ar({"task": 1, **request}, lambda **_: None)


@pytest.fixture(scope="module")
def clip():
    """Frames T×H×W×3 of a synthetic clip, and its first mask."""
    frames, masks = draw_clip(FRAMES, 96, 128, seed=3)
    return frames, masks[0]


def decode(shape, size):
    """Mask H×W bool of a returned shape; empty for None."""
    if shape is None:
        return np.zeros(size, bool)
    return decode_mask(shape["points"], image_width=size[1], image_height=size[0])


def test_two_shapes_match_trackers(clip):
    frames, mask = clip
    executor, ask = open_agent("tracking", frames)
    with executor:
        shapes = [{"type": "mask", "points": encode_mask(mask == number)} for number in (1, 2)]
        states = ask(type="init_tracking", frame=0, shapes=shapes)["states"]
        answers = [ask(type="track", frame=index, states=states)["shapes"] for index in range(1, FRAMES)]
    for place, number in enumerate((1, 2)):
        tracker = Tracker.from_pretrained()
        tracker.step(frames[0], mask == number)
        for frame, answer in zip(frames[1:], answers, strict=True):
            expected = tracker.step(frame).labels > 0
            np.testing.assert_array_equal(decode(answer[place], expected.shape), expected)


def test_oldest_shape_is_dropped_beyond_limit(clip):
    frames, mask = clip
    function = load("tracking").create(max_shapes=2)
    oldest, *others = start(function, frames[0], [mask == number for number in (1, 2, 3)])
    assert all(function.track(None, frames[1], state) for state in others)
    with pytest.raises(InputError, match="start tracking it again"):
        function.track(None, frames[1], oldest)


def test_click_and_box_give_mask():
    frames = open_frames(str(SAMPLE / "rabbit.mp4")).read(0)[None]
    mask = read_mask(SAMPLE / "rabbit.png")
    rows, columns = np.nonzero(mask == 1)
    box = [[int(columns.min()), int(rows.min())], [int(columns.max()) + 1, int(rows.max()) + 1]]
    middle = [[float(np.median(columns)), float(np.median(rows))]]
    executor, ask = open_agent("interaction", frames, device="cpu")
    with executor:
        request = {"type": "interact", "frame": 0, "pos_points": middle, "neg_points": [], "obj_bbox": box}
        (shape,) = ask(**request)["shapes"]
        nothing = ask(**request | {"pos_points": [], "neg_points": middle, "obj_bbox": []})["shapes"]
    found = decode(shape, mask.shape)
    assert (found & (mask == 1)).sum() / (found | (mask == 1)).sum() > 0.75
    assert nothing == []


def load(name):
    """One of the modules, as the agent's loader imports it."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(function, frame, masks):
    """Tracking states of masks on one frame."""
    shapes = [SimpleNamespace(type="mask", points=encode_mask(mask)) for mask in masks]
    return [function.init_tracking_state(None, frame, shape) for shape in shapes]
