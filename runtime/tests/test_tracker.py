"""The runtime's tracker compared with `aotlab.Tracker`: equal masks, the same behavior, rejected input."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import shutil
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import aotlab
import aotlab_runtime
from aotlab import InputError
from aotlab.configs.files import list_presets
from aotlab.configs.load import load_config
from aotlab.engine.export.graphs import (
    EXPORT,
    EXPORTED_POLICIES,
    PROMPTING,
    build_prompt_graph,
    export_model,
)
from aotlab.engine.prompting.network import COARSE_MARGIN, REFINE_MARGIN
from aotlab.engine.prompting.network import find_far_from_points as find_far_in_pytorch
from aotlab.engine.prompting.planes import CropBox, draw_prompt_planes
from aotlab.engine.prompting.planes import find_crop as find_crop_in_pytorch
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.versioned_files import unwrap, wrap
from aotlab_runtime.inputs import check_prompts
from aotlab_runtime.parts import find_far_from_points
from aotlab_runtime.prompts import draw_prompt_planes as draw_in_runtime
from aotlab_runtime.prompts import find_crop
from tests.drawn_clips import draw_parts
from tests.engine.small_model import HEIGHT, WIDTH, build, clip, stripes

FIFO = ("memory.policy=bounded_fifo", "memory.frames=3", "memory.every=1")
RESTRICTED = (*FIFO, "memory.policy=restricted")
MASKS = {0: stripes([1, 2]), 4: stripes([9, 2, 1])}
"""two objects, and on a later frame a third one"""
SOURCE = Path(aotlab_runtime.__file__).parent
PRESETS = (
    "aott", "aost", "deaott", "msdeaott", "r50_aotl_rmem", "r50_deaotl_rmem", "r50_paotl", "swinb_aotl"
)  # fmt: skip
"""presets with all methods and encoders, the quickest to export"""


def make(folder, preset, *overrides, tiny=True, video=(HEIGHT, WIDTH), **options):
    """Export a model of random weights; return trackers of the runtime and of PyTorch."""
    model, config = build(preset, *overrides, tiny=tiny)
    for name, parameter in model.named_parameters():
        if name.endswith("relative_value"):
            parameter.data *= 0.1  # untrained ones amplify rounding
    description = export_model(model, config, folder, video=video, **options)
    return aotlab_runtime.Tracker.from_export(folder, threads=1), Tracker(model, description.config)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder and trackers of an export. Its prompt graph runs in PyTorch: its conversion is the longest."""
    folder = tmp_path_factory.mktemp("exports") / "aott"
    runtime, plain = make(folder, "aott", "model.prompt_blocks=1", *RESTRICTED, prompts=False)
    prompt, run = build_prompt_graph(plain.model), runtime.graphs.run

    def run_graph(name, tensors):
        if name != "prompt":
            return run(name, tensors)
        with torch.inference_mode():
            results = prompt(*(torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in prompt.inputs))
        return {key: result.numpy() for key, result in zip(prompt.outputs, results, strict=True)}

    runtime.graphs.run, runtime.graphs.prompting = run_graph, PROMPTING
    return folder, runtime, plain


def assert_equal_masks(pair, masks, length=7, min_equal=0.999):
    runtime, plain = pair
    for index, frame in enumerate(clip(length, *masks[0].shape)):
        found, expected = runtime.step(frame, masks.get(index)), plain.step(frame, masks.get(index))
        assert found.ids == expected.ids
        assert (found.labels == expected.labels).mean() >= min_equal
        assert found.confidence == pytest.approx(expected.confidence, abs=2e-3)
        if index not in masks and min_equal >= 0.999:
            np.testing.assert_allclose(
                found.logits, expected.logits, atol=1e-3 * float(expected.logits.std())
            )


@pytest.fixture(params=["aotlab_runtime", "aotlab"])
def tracker(request, exported):
    _, runtime, plain = exported
    return (runtime if request.param == "aotlab_runtime" else plain).fresh()


@pytest.mark.parametrize(
    "masks",
    [
        MASKS,
        {0: stripes(range(1, 13)), 2: stripes(range(1, 25))},
        {0: stripes([1, 2]), 2: stripes([3]), 3: stripes([1]), 4: stripes([2])},
        {0: stripes([1, 2], 32, 48), 3: stripes([0, 3], 32, 48)},  # resized to 33×49 in the network
    ],
)
def test_masks_equal_pytorch(exported, masks):
    pair = [tracker.fresh() for tracker in exported[1:]]
    assert_equal_masks(pair, masks)


def test_background_before_the_first_mask(tracker):
    prediction = tracker.step(clip(1)[0])
    assert prediction.ids == ()
    assert prediction.labels.shape == (HEIGHT, WIDTH)
    assert not prediction.labels.any()


def test_reset_starts_another_video(tracker):
    tracker.step(clip(1)[0], MASKS[0])
    tracker.reset()
    assert tracker.ids == ()
    tracker.step(np.zeros((65, 97, 3), np.uint8), stripes([7], 65, 97))
    assert tracker.ids == (7,)


def test_fresh_tracker_has_no_objects(tracker):
    tracker.step(clip(1)[0], MASKS[0])
    assert tracker.fresh().ids == ()
    assert tracker.ids == (1, 2)


def test_forgotten_object_has_no_pixel(tracker):
    frames = clip(3)
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
    for each in (tracker, other):  # the next mask begins like the first one
        each.step(frames[0], MASKS[0])
    assert np.array_equal(tracker.step(frames[1]).logits, other.step(frames[1]).logits)


@pytest.mark.parametrize("object_id", [0, -1, 3, 2**70])
def test_object_that_is_not_tracked_cannot_be_forgotten(tracker, object_id):
    tracker.step(clip(1)[0], MASKS[0])
    with pytest.raises(ValueError, match="is not tracked"):
        tracker.forget(object_id)
    assert tracker.ids == (1, 2)


@pytest.mark.parametrize("length", [None, 1, np.int64(9)])
def test_length_of_a_video_accepted(tracker, length):
    tracker.reset(length)
    assert tracker.step(clip(1)[0], MASKS[0]).ids == (1, 2)


@pytest.mark.parametrize("length", [9.7, "5"])
def test_length_of_another_type_rejected(tracker, length):
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        tracker.reset(length)


def test_pair_is_a_point_and_ids_are_integers(tracker):
    prediction = tracker.prompt(clip(1)[0], {np.uint8(1): (20, 16), 2: np.array([40, 16])})
    assert prediction.ids == (1, 2)
    assert json.dumps(prediction.confidence)


def test_prompts_of_arrays_are_compared_by_identity():
    prompts = [aotlab_runtime.Prompt(np.array([[3, 4], [5, 6]])) for _ in range(2)]
    assert len({*prompts}) == 2


def test_resumed_tracker_gives_equal_masks(tracker):
    frames = clip(5)
    tracker.step(frames[0], MASKS[0])
    tracker.step(frames[1])
    other = tracker.fresh()
    other.load_state_dict(tracker.state_dict())
    for frame in frames[2:]:
        assert np.array_equal(tracker.step(frame).labels, other.step(frame).labels)


@pytest.mark.parametrize(
    ("name", "call", "mask"),
    [
        ("encode", 1, None),
        ("propagate", 1, None),
        ("decode", 1, None),
        ("assign_identities", 1, None),
        ("memorize", 1, None),
        ("propagate", 3, stripes(range(1, 25))),
        ("assign_identities", 2, stripes(range(1, 25))),
        ("memorize", 2, stripes(range(1, 25))),
    ],
)
def test_failed_step_changes_nothing(tracker, monkeypatch, name, call, mask):
    frames, other, calls = clip(4), tracker.fresh(), []
    for each in (tracker, other):
        each.step(frames[0], stripes(range(1, 13)))
        each.step(frames[1])

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
    for frame, given in ((frames[2], mask), (frames[3], None)):
        found, expected = tracker.step(frame, given), other.step(frame, given)
        assert found.ids == expected.ids
        assert np.array_equal(found.logits, expected.logits)


@pytest.mark.parametrize(
    ("frame", "mask", "message"),
    [
        *((np.zeros(shape, np.uint8), MASKS[0], "frame: ") for shape in ((HEIGHT, WIDTH), (0, 9, 3))),
        (np.full((HEIGHT, WIDTH, 3), np.nan), MASKS[0], "frame: .*float64"),
        (None, MASKS[0], "frame: .*NoneType"),
        *((clip(1)[0], mask, "mask: ") for mask in (MASKS[0][1:], MASKS[0][None], MASKS[0][..., None])),
        (clip(1)[0], np.full((HEIGHT, WIDTH), np.nan), "mask: .*float64"),
        (clip(1)[0], -MASKS[0], "mask: .*-2"),
        (clip(1)[0], 2**31 + MASKS[0], "mask: .*2147483647"),
        (clip(1)[0], 0 * MASKS[0], "mask is empty"),
    ],
)
def test_bad_frames_and_masks_rejected(exported, frame, mask, message):
    sentences = []
    for tracker in (tracker.fresh() for tracker in exported[1:]):
        with pytest.raises(ValueError, match=message) as raised:
            tracker.step(frame, mask)
        assert tracker.ids == ()
        sentences.append(str(raised.value))
    assert sentences[0] == sentences[1]
    assert "\n" not in sentences[0]


@pytest.mark.parametrize("name", ["frame", "mask"])
def test_rows_of_different_lengths_rejected(tracker, name):
    arguments = {"frame": clip(1)[0], "mask": MASKS[0], name: [[1], [1, 2]]}
    with pytest.raises(ValueError, match=f"{name}: expected .*got"):
        tracker.step(**arguments)
    assert tracker.ids == ()


@pytest.mark.parametrize("values", [{"points": [(1, 2), (3,)]}, {"points": "abc"}, {"box": "abcd"}])
def test_prompts_that_are_no_numbers_rejected(tracker, values):
    prompt = aotlab_runtime.Prompt if isinstance(tracker, aotlab_runtime.Tracker) else aotlab.Prompt
    with pytest.raises(ValueError, match=r"points|box .*expected|box: expected"):
        tracker.step(clip(1)[0], prompts={1: prompt(**values)})


def test_frame_of_another_size_rejected_in_a_video(tracker):
    tracker.step(clip(1)[0], MASKS[0])
    with pytest.raises(ValueError, match="65×33, but the video began with 49×33; call reset"):
        tracker.step(np.zeros((33, 65, 3), np.uint8))


EXCLUDED = np.zeros((HEIGHT, WIDTH), int)
EXCLUDED[:, :12] = 7
PROMPTS = {
    1: {"box": (5, 5, 20, 20)},
    4: {"box": (5, 5, 20, 20), "exclude": EXCLUDED},
    2: {"points": [(40, 16), (5, 5)], "labels": [1, 0]},
    3: {"points": (30, 8)},
}


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64])
def test_prompts_with_a_mask_of_any_integers(exported, dtype):
    frame, mask = clip(1)[0], stripes([1]).astype(dtype)
    results = []
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        tracker = tracker.fresh()
        prediction = tracker.step(frame, mask, prompts={200: package.Prompt(box=(5, 5, 20, 20))})
        assert all(type(object_id) is int for object_id in prediction.ids)
        assert prediction.labels.dtype.kind == "u"
        results.append(prediction)
    assert results[0].ids == results[1].ids == (1, 200)
    assert (results[0].labels == results[1].labels).mean() >= 0.999


def assert_equal_prompted_masks(pair):
    frame = clip(1)[0]
    labels = [
        tracker.prompt(frame, {n: package.Prompt(**prompt) for n, prompt in PROMPTS.items()}).labels
        for tracker, package in zip(pair, (aotlab_runtime, aotlab), strict=True)
    ]
    assert (labels[0] == labels[1]).mean() >= 0.999
    assert not any((found[EXCLUDED > 0] == 4).any() for found in labels)


def test_prompted_masks_are_near_pytorch(exported):
    assert_equal_prompted_masks(exported[1:])


def test_prompts_on_few_pixels_equal_pytorch(exported):
    logits = [
        tracker.prompt(clip(1)[0][:2, :2], {1: package.Prompt(box=(0, 0, 2, 2))}).logits
        for tracker, package in zip([x.fresh() for x in exported[1:]], (aotlab_runtime, aotlab), strict=True)
    ]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)


@pytest.mark.slow  # converts the prompt graph
def test_exported_graphs_are_valid_and_portable(tmp_path):
    assert_equal_prompted_masks(make(tmp_path / "export", "aott", "model.prompt_blocks=1", *FIFO))
    axes = set()
    for path in (tmp_path / "export").glob("*.onnx"):
        onnx.checker.check_model(path)
        graph = onnx.load(path, load_external_data=False).graph
        shapes = [value.type.tensor_type.shape.dim for value in graph.input]
        axes |= {side.dim_param for shape in shapes for side in shape if side.dim_param}
        for node in graph.node:  # WebGPU and TensorRT have no Resize with antialias
            antialias = [item.i for item in node.attribute if item.name == "antialias"]
            assert node.op_type != "Resize" or not any(antialias), path
    assert axes == {"12*frames", "height", "width", "16*rows + 1", "16*columns + 1"}


@pytest.mark.parametrize("seed", range(6))
def test_parts_of_prompted_masks_equal_pytorch(seed):
    mask = draw_parts(seed)
    for x, y in np.random.default_rng(seed).uniform(-1, (855, 481), (8, 2)):
        expected = find_far_in_pytorch(mask, aotlab.Prompt(points=(x, y)))
        assert np.array_equal(find_far_from_points(mask, [(x, y)]), expected)


@pytest.mark.parametrize(
    ("parts", "point"),
    [
        ([np.s_[10:30, 10:30], np.s_[37:44, 37:44]], (20, 20)),  # diagonal
        ([np.s_[10:30, 10:30], np.s_[40:60, 70:80]], (200, 200)),  # a point beside all parts
        ([np.s_[10:30, 10:30], np.s_[30:40, 30:40]], (20, 20)),  # touching corners
        ([np.s_[0:1, 0:1]], (5, 5)),
        ([], (5, 5)),
    ],
)
def test_few_parts_equal_pytorch(parts, point):
    mask = np.zeros((480, 854), bool)
    for part in parts:
        mask[part] = True
    expected = find_far_in_pytorch(mask, aotlab.Prompt(points=point))
    assert np.array_equal(find_far_from_points(mask, [point]), expected)


@pytest.mark.slow
def test_large_parts_take_less_than_two_seconds():
    mask = np.ones((1080, 1920), bool)
    mask[::40, ::2] = False
    mask[:, 1900] = False
    begin = time.process_time()
    find_far_from_points(mask, [(500, 500)])
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "give a box"),
        ({"box": (0, 0, 1, 1)}, "at least 2 each"),
        ({"points": [(np.nan, 1)]}, "finite"),
        ({"points": [(1, 2, 3)]}, r"finite numbers in pixels, got \[\(1, 2, 3\)\]"),
        (
            {"box": (5, 5, 20, 20), "exclude": np.ones((3, 3), bool)},
            r"exclude of shape \(3, 3\) does not match",
        ),
        ({"points": [(1, 1)], "labels": 1}, "expected a label"),
        ({"points": [(1, 1)], "labels": [2]}, "expected a label"),
        ({"points": [(500, 1)]}, "outside the image of 49×33"),
        *(
            ({"box": (left, 0, 9, 9)}, rf"box \(?{left}, ?0, ?9, ?9.*the image of 49×33")
            for left in (48, 49, 100)
        ),
    ],
)
def test_bad_prompts_rejected(exported, prompt, message):
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        with pytest.raises(package.InputError, match=message):
            tracker.prompt(clip(1)[0], {1: package.Prompt(**prompt)})


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": (0.4, 0.6)},
        {"points": [(0, 0), (1, 1)], "labels": [1, 0]},
        {"points": np.array([[3, 4], [5, 6]]), "labels": np.array([True, False])},
        {"points": [(-1, -1), (49, 33)]},
        {"box": (0.5, 0.5, 2, 2)},
        {"box": np.array([-4, -4, 90, 90])},
        {"points": [], "box": [1, 1, 9, 9]},
    ],
)
def test_same_prompts_are_accepted(prompt):
    size = (33, 49)
    assert check_prompts({1: aotlab_runtime.Prompt(**prompt)}, size)
    aotlab.Prompt(**prompt).check_inside(size)


@pytest.mark.parametrize(
    ("left", "top", "size"),
    [(105, 105, (3, 3)), (105, 105, (2, 900)), (1918, 0, (2, 1000)), (0, 1077, (1500, 3))],
)
def test_small_box_draws_a_pixel(left, top, size):
    prompt = aotlab_runtime.Prompt(box=(left, top, *size)).check((1080, 1920))
    plane = draw_in_runtime(prompt, np.s_[0:1080, 0:1920], (177, 321), 5.2)[2]
    expected = draw_prompt_planes(
        aotlab.Prompt(box=(left, top, *size)), [], CropBox(0, 0, 1920, 1080), (177, 321)
    )
    assert plane.any()
    assert np.array_equal(plane, expected[2])


@pytest.mark.parametrize("prompt", [{"box": (600, 100, 200, 90)}, {"points": [(400, 240), (300, 9)]}])
@pytest.mark.parametrize("part", [None, np.s_[20:240, 20:140], np.s_[400:480, 700:854], np.s_[:0]])
def test_crops_equal_pytorch(prompt, part):
    rough_mask, margin, expected = None, COARSE_MARGIN, CropBox(0, 0, 854, 480)
    if part is not None:
        rough_mask, margin = np.zeros((480, 854)), REFINE_MARGIN
        rough_mask[part] = 0.9
    if part is not None or "box" in prompt:
        expected = find_crop_in_pytorch(aotlab.Prompt(**prompt), (480, 854), margin, rough_mask)
    checked = check_prompts({1: aotlab_runtime.Prompt(**prompt)}, (480, 854))[1]
    (rows, columns), _ = find_crop(PROMPTING, (480, 854), checked, rough_mask)
    assert (columns.start, rows.start, columns.stop, rows.stop) == expected


@pytest.mark.parametrize(
    "prompts", [{0: (20, 16)}, {-1: (20, 16)}, {2**31: (20, 16)}, {"1": (20, 16)}, [(20, 16)]]
)
def test_prompts_without_ids_rejected(tracker, prompts):
    with pytest.raises((InputError, aotlab_runtime.InputError), match="dict of prompts by object id from 1"):
        tracker.step(clip(1)[0], prompts=prompts)
    assert tracker.ids == ()


def test_state_is_saved_by_numpy(exported):
    runtime = exported[1].fresh()
    runtime.reset(9)
    runtime.step(clip(1)[0], MASKS[0])
    file = io.BytesIO()
    np.savez(file, **runtime.state_dict())
    file.seek(0)
    other = runtime.fresh()
    other.load_state_dict(np.load(file))
    assert other.state_dict()["header"] == runtime.state_dict()["header"]


def change_header(state, **values):
    state["header"] = np.array(json.dumps(json.loads(str(state["header"])) | values))


DAMAGED_STATES = {
    "another export": (lambda state: change_header(state, export="other"), "load the export that saved it"),
    "another version": (lambda state: change_header(state, version=1, groups=[{}]), "export or version"),
    "missing header": (lambda state: state.pop("header"), "not a usable one"),
    "missing array": (lambda state: state.pop("0.memory_0_long_key"), "0.memory_0_long_key"),
    "another shape": (lambda state: change_header(state, frame_shape=5), "not a usable one"),
    "missing groups": (lambda state: change_header(state, groups=None), "not a usable one"),
    "other header": (lambda state: state.update(header=np.array("[" * 100_000)), "not a usable one"),
}


@pytest.mark.parametrize("case", DAMAGED_STATES)
def test_damaged_states_rejected(exported, case):
    damage, message = DAMAGED_STATES[case]
    runtime = exported[1].fresh()
    runtime.step(clip(1)[0], MASKS[0])
    state = {name: np.array(value) for name, value in runtime.state_dict().items()}
    damage(state)
    with pytest.raises(aotlab_runtime.InputError, match=message) as raised:
        runtime.load_state_dict(state)
    assert "\n" not in str(raised.value)
    assert runtime.ids == (1, 2)  # unchanged


@pytest.mark.parametrize("part", ["header", "long_key"])
def test_damaged_state_file_rejected(exported, part):
    runtime = exported[1].fresh()
    runtime.step(clip(1)[0], MASKS[0])
    state, file = runtime.state_dict(), io.BytesIO()
    np.savez(file, **state)
    (content,) = (array.tobytes() for name, array in state.items() if part in name)
    damaged = bytearray(file.getvalue())
    damaged[damaged.index(content) + 8] ^= 1
    with pytest.raises(aotlab_runtime.InputError, match=r"not a usable one .*CRC"):
        runtime.fresh().load_state_dict(np.load(io.BytesIO(damaged)))


def rewrite(folder, **changes):
    path = folder / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def damage_graph(folder, content=b"0"):
    """Change a graph and its digest, as a program that writes exports would."""
    (folder / "encode.onnx").write_bytes(content)
    path = folder / "export.json"
    description = unwrap(EXPORT, json.loads(path.read_text()))
    description["sha256"]["encode.onnx"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(wrap(EXPORT, description)))


DAMAGED_FOLDERS = {
    "damaged graph": (damage_graph, "encode.onnx"),
    "another version": (lambda folder: rewrite(folder, version=9), "changed, or written by another version"),
    "no description": (lambda folder: (folder / "export.json").unlink(), "export.json"),
    "text": (lambda folder: (folder / "export.json").write_text("x"), "not a usable export"),
    "nested": (lambda folder: (folder / "export.json").write_text("[" * 100_000), "not a usable export"),
    "list": (lambda folder: (folder / "export.json").write_text("[]"), "not a usable export"),
    "changed settings": (
        lambda folder: rewrite(folder, network_size=[1, 1]),
        "changed, or written by another",
    ),
    "outside": (lambda folder: rewrite(folder, sha256={"../x": ""}), "not a usable export"),
    "swapped graph": (
        lambda folder: shutil.copy(folder / "encode.onnx", folder / "decode.onnx"),
        "not a usable export .changed",
    ),
    "other weights": (
        lambda folder: (folder / "weights.bin").write_bytes(b"0"),
        "not a usable export .changed",
    ),
    "missing graph": (lambda folder: (folder / "propagate.onnx").unlink(), "propagate.onnx"),
}


@pytest.mark.parametrize("case", DAMAGED_FOLDERS)
def test_damaged_exports_rejected(exported, tmp_path, case):
    damage, message = DAMAGED_FOLDERS[case]
    shutil.copytree(exported[0], tmp_path / "export")
    damage(tmp_path / "export")
    with pytest.raises(aotlab_runtime.InputError, match=message) as raised:
        aotlab_runtime.Tracker.from_export(tmp_path / "export")
    assert "\n" not in str(raised.value)


def test_unavailable_provider_rejected(exported):
    with pytest.raises(aotlab_runtime.InputError, match=r"provider .*: not available .*; choose one of cpu"):
        aotlab_runtime.Tracker.from_export(exported[0], provider="nonsense")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_dropped_provider_rejected(exported, monkeypatch):
    assert exported[1].graphs.providers == ["CPUExecutionProvider"]
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    with pytest.raises(aotlab_runtime.InputError, match="provider cuda: onnxruntime cannot start it"):
        aotlab_runtime.Tracker.from_export(exported[0], provider="cuda")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RUNTIME_EXCEPTION : std::bad_alloc")])
def test_failure_of_onnxruntime_is_not_the_exports(exported, monkeypatch, error):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Mock(side_effect=error))
    with pytest.raises(aotlab_runtime.InputError, match=r"encode.onnx: onnxruntime .* cannot load") as raised:
        aotlab_runtime.Tracker.from_export(exported[0])
    assert repr(error) in str(raised.value)


def test_runtime_imports_numpy_and_onnxruntime_only():
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            packages = {name.partition(".")[0] for name in names}
            assert packages <= {"aotlab_runtime", "numpy", "onnxruntime", *sys.stdlib_module_names}, path


def test_runtime_tracks_where_pytorch_cannot_be_imported(exported):
    script = f"""
        import sys
        sys.modules |= dict.fromkeys(("aotlab", "cv2", "PIL", "torch"))  # importing them raises ImportError
        import numpy as np
        from aotlab_runtime import Tracker
        tracker, frame = Tracker.from_export({str(exported[0])!r}), np.zeros((33, 49, 3), np.uint8)
        tracker.step(frame, np.eye(33, 49, dtype=int))
        assert tracker.step(frame).ids == (1,)"""
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)


@pytest.mark.slow
def test_half_weights_keep_the_masks(tmp_path):
    pair = make(tmp_path / "export", "aott", *FIFO, half=True)
    assert_equal_masks(pair, MASKS, min_equal=0.95)
    assert (tmp_path / "export" / "weights.bin").stat().st_size < 2.2 * sum(
        parameter.numel() for parameter in pair[1].model.parameters()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("r50_aotl_rmem", ("memory.frames=3", "memory.every=1")),
        ("r50_aotl_rmem", ("memory.frames=10", "memory.every=1")),  # more frames than temporal slots
        ("r50_deaotl_rmem", ("memory.frames=3", "memory.every=1")),
        ("msdeaott", ("model.stages.1.window=5",)),
    ],
)
def test_memory_of_other_methods_equals_pytorch(tmp_path, preset, overrides):
    torch.manual_seed(0)
    assert_equal_masks(make(tmp_path / "export", preset, *overrides), MASKS, length=9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(preset, marks=() if preset in PRESETS else pytest.mark.all_presets)
        for preset in list_presets()
    ],
)
def test_presets_equal_pytorch(tmp_path, monkeypatch, preset):
    """The table of docs/reference/exports.md: ``pytest runtime/tests -m slow -k presets_equal -s``.

    Both store PyTorch's masks: with random weights one pixel changes all later frames, so that AOST in PyTorch differs
    from itself with weights changed by a millionth.
    """
    policy = load_config(preset).memory.policy
    exported = policy in EXPORTED_POLICIES
    changes = () if exported else ("memory.policy=bounded_fifo", "memory.frames=4", "memory.every=2")
    runtime, plain = make(tmp_path / "export", preset, *changes, tiny=False, video=(129, 161))
    store = runtime._store_tracked
    equal, ids = [], set()
    for index, frame in enumerate(clip(9, 129, 161)):
        mask = None if index else stripes([1, 2, 5], 129, 161)
        expected = plain.step(frame, mask).labels
        store_expected = partial(
            lambda labels, group, segmented, _: store(group, segmented, labels), expected
        )
        monkeypatch.setattr(runtime, "_store_tracked", store_expected)
        equal.append((runtime.step(frame, mask).labels == expected).mean())
        ids |= set(np.unique(expected)) if index else set()
    print(f"\n| {preset} | {policy if exported else f'{policy} → bounded_fifo'} | {100 * min(equal):.3f} |")
    assert len(ids) > 1
    assert min(equal) >= 0.999
