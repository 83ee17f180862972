"""The runtime with numpy and onnxruntime only: these tests import nothing of aotlab and no PyTorch."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aotlab_runtime import InputError, Prediction, Prompt, Tracker
from aotlab_runtime.components import find_pixels_far_from_points, label_components, measure_distance
from aotlab_runtime.inputs import check_prompts
from aotlab_runtime.memory import MemoryBank, MemorySettings, StoredFrame, score_frames
from aotlab_runtime.segment import find_crop, fit_to_tokens, list_points, suppress_overlaps
from runtime.examples import aot, loop
from runtime.tests.cases import assert_equal_labels, draw_frames, read_cases, replay_tracking

EXPORT = Path(__file__).parent / "export"
HEIGHT, WIDTH = 33, 49
MASK = np.repeat([0, 1, 2], (16, 16, 17))[None].repeat(HEIGHT, 0)
"""Three stripes: background, object 1, object 2."""
CASES = read_cases()


@pytest.fixture(scope="module")
def stored():
    return Tracker.from_export(EXPORT, threads=1)


@pytest.mark.parametrize("name", CASES["tracking"])
def test_recorded_labels_are_replayed(stored, monkeypatch, name):
    case = CASES["tracking"][name]
    monkeypatch.setattr(stored.graphs, "memory_settings", stored.graphs.memory_settings | case["memory"])
    assert_equal_labels(replay_tracking(stored.fresh(), case, CASES["frames"]), case["labels"])


@pytest.mark.parametrize("name", [name for name, case in CASES["prompts"].items() if case["mask"] is None])
def test_recorded_masks_of_prompts_are_replayed(stored, name):
    case = CASES["prompts"][name]
    prompts = {9: Prompt(case["points"], case["labels"], case["box"])}
    labels = stored.fresh().step(CASES["prompt_frame"], case["keep"], prompts=prompts).labels
    assert_equal_labels(labels == 9, case["segmented"])


def test_state_file_resumes_a_video(stored):
    tracker, other, file = stored.fresh(), stored.fresh(), io.BytesIO()
    frames = draw_frames(4, HEIGHT, WIDTH)
    tracker.step(frames[0], MASK)
    tracker.step(frames[1])
    np.savez(file, **tracker.state_dict())
    file.seek(0)
    other.load_state_dict(np.load(file))
    for frame in frames[2:]:
        np.testing.assert_array_equal(tracker.step(frame).logits, other.step(frame).logits)


def test_forgotten_object_has_no_pixel_and_its_id_is_free(stored):
    tracker, frames = stored.fresh(), draw_frames(3, HEIGHT, WIDTH)
    tracker.step(frames[0], MASK)
    tracker.forget(1)
    prediction = tracker.step(frames[1])
    assert prediction.ids == (2,)
    assert not (prediction.labels == 1).any()
    assert tracker.step(frames[2], np.where(MASK == 1, 1, 0)).ids == (2, 1)


def test_unusable_input_changes_nothing(stored):
    tracker = stored.fresh()
    (frame,) = draw_frames(1, HEIGHT, WIDTH)
    for call in (
        lambda: tracker.step(np.zeros((HEIGHT, WIDTH), np.uint8)),
        lambda: tracker.step(frame, MASK[1:]),
        lambda: tracker.forget(3),
        lambda: tracker.load_state_dict({}),
        lambda: tracker.graphs.run("segment", {}),
        lambda: tracker.graphs.encode(frame.astype(np.float32)),
        lambda: tracker.graphs.propagate(tracker.graphs.encode(frame), {}),
        lambda: tracker.prompt(frame, {}),
        lambda: tracker.prompt(frame, {0: (20, 16)}),
        lambda: tracker.prompt(frame, {1: (WIDTH + 1, 16)}),
        lambda: tracker.step(frame, prompts=[(20, 16)]),
        lambda: tracker.step(frame, prompts={1: Prompt(box=(5, 5, 1, 20))}),
        lambda: tracker.step(frame, prompts={1: Prompt(points=(5, 5), labels=[0])}),
    ):
        with pytest.raises(InputError, match=r"^[^\n]*$"):
            call()
    assert tracker.ids == ()


def test_rejected_frame_prints_nothing(stored, capfd):
    with pytest.raises(InputError, match="graph encode: "):
        stored.graphs.encode(np.zeros((0, WIDTH, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_prompts_need_a_prompt_network(stored, monkeypatch):
    monkeypatch.setattr(stored.graphs, "prompt_settings", {})
    with pytest.raises(InputError, match=r"^prompts: this export has no prompt network; give a mask"):
        stored.prompt(draw_frames(1, HEIGHT, WIDTH)[0], {1: (20, 16)})


def test_prompts_keep_other_objects(stored):
    tracker, frames = stored.fresh(), draw_frames(2, HEIGHT, WIDTH)
    prediction = tracker.step(frames[0], MASK * (MASK == 2), prompts={5: Prompt(box=(5, 5, 30, 20))})
    assert prediction.ids == (2, 5)
    np.testing.assert_array_equal(prediction.labels == 2, MASK == 2)
    assert (prediction.labels == 5).any()
    assert tracker.step(frames[1]).ids == (2, 5)


def test_prompts_replace_objects_of_the_mask(stored):
    (frame,), prompts = draw_frames(1, HEIGHT, WIDTH), {1: Prompt(box=(5, 5, 20, 20))}
    labels, expected = (
        stored.fresh().step(frame, mask, prompts=prompts).labels for mask in (MASK, np.where(MASK == 1, 0, MASK))
    )
    assert ((MASK == 1) & (labels != 1)).any()
    np.testing.assert_array_equal(labels, expected)


def test_aot_in_numpy_tracks_as_the_graphs(stored, monkeypatch):
    monkeypatch.setattr(stored.graphs, "temperature", 2.0)
    tracker, frames = stored.fresh(), draw_frames(4, HEIGHT, WIDTH)
    tracker.step(frames[0], MASK)
    w = dict(np.load(EXPORT / "blocks.npz"))
    predictions = aot.track(stored.graphs, w, frames, MASK, aot.run_aot, aot.memorize_aot, every=1)
    for frame, prediction in zip(frames[1:], predictions, strict=True):
        expected = tracker.step(frame)
        np.testing.assert_allclose(prediction.logits, expected.logits, atol=1e-3 * float(expected.logits.std()))
        assert prediction.confidence == pytest.approx(expected.confidence, abs=2e-3)  # as the logits
    assert len(tracker.banks[0].long) == 3


def test_loop_of_one_object_replays_recorded_labels(tmp_path):
    case = CASES["tracking"]["one object"]
    folder = shutil.copytree(EXPORT, tmp_path / "export")
    description = json.loads((folder / "export.json").read_text("utf-8"))
    description["memory"] |= case["memory"]
    (folder / "export.json").write_text(json.dumps(description))
    assert_equal_labels([*loop.track(folder, CASES["frames"], case["masks"]["0"])], case["labels"][1:])


def test_prediction_of_logits_by_hand():
    probabilities = np.array([[0.5, 0.2, 0.1], [0.25, 0.6, 0.2], [0.25, 0.2, 0.7]], np.float32)
    prediction = Prediction((300, 7), np.log(probabilities)[:, None])
    assert prediction.labels.tolist() == [[0, 300, 7]]
    assert prediction.labels.dtype == np.uint16
    np.testing.assert_allclose(prediction.probabilities[:, 0], probabilities, atol=1e-6)
    assert prediction.confidence == pytest.approx({300: 0.6, 7: 0.7})


def test_crop_is_square_within_the_frame():
    checked = check_prompts({1: Prompt(box=(10, 20, 30, 40)), 2: (190, 90)}, (100, 200))
    no_mask = np.zeros((100, 200))
    assert find_crop(checked[1], no_mask, margin=0.5, min_side=8) == np.s_[0:80, 0:80]
    assert find_crop(checked[2], no_mask, margin=0.5, min_side=8) == np.s_[86:94, 186:194]
    assert find_crop(checked[2], no_mask, margin=0.5, min_side=150) == np.s_[0:100, 50:200]


def test_points_and_corners_in_a_crop_are_labeled():
    checked = check_prompts({1: Prompt(box=(4, 8, 6, 2)), 2: (8, 8)}, (32, 32))
    box, point = (list_points(prompt, np.s_[1:32, 2:32]) for prompt in checked.values())
    assert box[0].tolist() == [[6, 7], [2, 7], [8, 9]]
    assert box[1].tolist() == [0, 2, 3]  # the other object's point, then the corners of the box
    assert point[0].tolist() == [[6, 7]]
    assert point[1].tolist() == [1]


def test_size_of_a_crop_in_whole_tokens():
    assert fit_to_tokens((100, 200), 257, 16, align_corners=True) == (129, 257)
    assert fit_to_tokens((1, 200), 256, 16, align_corners=False) == (32, 256)


def test_strongest_object_keeps_a_pixel():
    np.testing.assert_allclose(
        suppress_overlaps(np.array([[[2.0, -1.0]], [[1.0, -2.0]]])), [[[0.8808, 0.2689]], [[0, 0.1192]]], atol=1e-4
    )


def test_components_and_distances_by_hand():
    mask = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]], bool)
    components = label_components(mask)
    assert len(set(components[mask])) == 3
    np.testing.assert_array_equal(components > 0, mask)
    assert components[0, 0] == components[0, 2] == components[1, 1]  # corners touch
    np.testing.assert_allclose(
        measure_distance(np.eye(3, dtype=bool) & (np.arange(3) == 0)),
        [[0, 0.955, 1.91], [0.955, 1.3693, 2.3243], [1.91, 2.3243, 2.7386]],
        atol=1e-6,
    )


@pytest.mark.parametrize(("gap", "is_far"), [(1, False), (2, True)])
def test_parts_beyond_the_distance_are_far(gap, is_far):
    mask = np.zeros((4, 12), bool)
    mask[:, :4] = mask[:, 4 + gap : 8 + gap] = True
    far = find_pixels_far_from_points(mask, np.array([(1, 1)]), max_distance=0.5)  # 2 pixels: half of √16
    np.testing.assert_array_equal(far, mask & (np.arange(12) > 3) & is_far)


def test_scores_equal_those_by_hand():
    # n = (3, 3, 2), ln 8 = 2.0794: 0.5 + 1.5·√(2.0794 / 11), 0.3 + 1.5·√(2.0794 / 11), 0.28 + 1.5·√(2.0794 / 10)
    frames = [
        StoredFrame({}, relevance=relevance, updates=updates) for relevance, updates in ((0.5, 7), (0.3, 3), (0.28, 2))
    ]
    np.testing.assert_allclose(score_frames(frames), [1.1522, 0.9522, 0.9640], atol=1e-4)


def build_memory(length=None, **changes):
    settings = MemorySettings(
        policy="bounded_fifo",
        frames=3,
        every=1,
        max_tracked=3,
        max_stored=None,
        score_early=False,
        short_term_lag=1,
    )
    return MemoryBank(settings | changes, length)


def store_frames(memory, count, references=(0,), relevance=None):
    """Store frames whose memory is their index; return the indices in long-term and in short-term memory after each."""
    stored = []
    for index in range(count):
        value = np.full((1, 1, 1), index)
        frame = {"memory_0_long_key": value}, {"memory_0_short_key": value}
        if index in references:
            memory.add_reference(*frame)
        else:
            memory.add(*frame, np.array(relevance[index]) if memory.needs_relevance else None)
        read = memory.read()
        stored.append((read["memory_0_long_key"].ravel().tolist(), read["memory_0_short_key"].item()))
    return stored


def test_restricted_memory_evicts_the_lowest_score():
    relevance = [
        None,  # the reference frame
        None,
        None,
        [0.5, 0.2, 0.3],  # equal n: frame 1 has the lowest relevance
        [0.5, 0.1, 0.4],  # R of frame 2 is 0.8·0.1 + 0.2·0.3 = 0.14
        [0.445, 0.275, 0.28],  # R of frame 3 is 0.8·0.275 + 0.2·0.4 = 0.30, n = 3; of frame 4 0.28, n = 2
        [0, 0, 0],  # no object: the oldest
    ]
    stored = store_frames(build_memory(policy="rmem"), 7, relevance=relevance)
    assert [long for long, _ in stored[2:]] == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5], [0, 5, 6]]


@pytest.mark.parametrize(("settings", "expected"), [
    ({}, [[0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 3, 4]]),
    ({"every": 2}, [[0], [0], [0, 2], [0, 2], [0, 2, 4]]),
    ({"max_stored": 2, "length": 9}, [[0], [0], [0], [0], [0, 4]]),  # 9 / 2 is rounded to even
    ({"max_tracked": 0}, [[0]] * 5),
    ({"max_tracked": 1}, [[0], [0, 1], [0, 2], [0, 3], [0, 4]]),
])  # fmt: skip
def test_bounded_memory_evicts_the_oldest_tracked_frame(settings, expected):
    assert [long for long, _ in store_frames(build_memory(**settings), 5)] == expected


def test_reference_frames_stay_as_long_as_possible():
    stored = store_frames(build_memory(), 7, references=(0, 3, 5, 6))
    expected = [0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 3, 5], [0, 5, 6]
    assert tuple(long for long, _ in stored) == expected


def test_short_term_memory_skips_frames():
    stored = store_frames(build_memory(short_term_lag=3), 7, references=(0, 5))
    assert [short for _, short in stored] == [0, 0, 0, 1, 2, 5, 5]
