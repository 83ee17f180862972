"""Trackers whose work is recorded and replayed, on a stand-in of CUDA graphs: masks equal, and no trap of graphs.

``pytest --graphs`` runs the tests of other modules on the stand-in; `test_gpu` has the comparison on a GPU.
"""

import copy
import gc
import logging
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import MagicMock, patch

import numpy as np
import pytest
import torch

from aotlab.engine.benchmark.ensemble import Ensemble, build_branches
from aotlab.engine.hooks.hook import Hook
from aotlab.engine.recurrence import encode_frame
from aotlab.engine.tracking.tracker import Tracker
from aotlab.jobs.directions import TimedTracker, track_both_directions
from aotlab.networks import attention
from aotlab.networks.fast.graphs import MAX_GRAPHS, CudaGraphs, EagerGraphs, attach_graphs, run_recorded
from aotlab.networks.fast.optimize import optimize
from aotlab.networks.fast.recording import OperationCheck, flatten
from tests.engine.eager_graphs import StrictGraphs
from tests.engine.fake_cuda import CUDA, fake_cuda, forget_constants, tracker_on_cuda
from tests.engine.small_model import assert_same, build, draw_stripes, draw_texture, run_tracker
from tests.marks import one_of_each_method

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by deepcopy
CPU = torch.device("cpu")
FIRST = draw_stripes([4, 9])
MANY = {0: FIRST, 3: draw_stripes([0, 0, 3, 5, 6, 7, 8])}
"""Objects of one group, then of three."""


def build_pair(preset="aott", *overrides, graphs=StrictGraphs):
    """Return an optimized model without and one with graphs, and their settings."""
    settings = ["model.max_objects=3", "memory.policy=bounded_fifo", "memory.frames=3", "memory.every=2"]
    model, config = build(preset, *settings, *overrides)
    plain, recorded = optimize(model, precision="float32"), optimize(model, precision="float32")
    plain.__dict__.pop("graphs", None)  # with `pytest --graphs`
    recorded.graphs = graphs(CPU)
    return plain, recorded, config


@pytest.fixture(scope="module")
def pair():
    return build_pair()


def run_both(pair, track):
    """Compare what ``track`` returns for a tracker without and one with graphs, once it has returned all."""
    plain, recorded, config = pair
    recorded.graphs.recordings.clear()
    expected, found = track(Tracker(plain, config)), track(Tracker(recorded, config))
    assert_same(found, expected)
    for prediction, other in zip(found, expected, strict=True):
        assert torch.equal(prediction.indices, other.indices)
    assert recorded.graphs.recordings


@pytest.mark.parametrize("preset", one_of_each_method(["deaott", "aost", "msdeaott", "r50_aotl_rmem", "r50_aotl_ermu"]))
def test_masks_of_each_method_equal_without_graphs(preset):
    policy = "memory.policy=" + ("ermu" if "ermu" in preset else "rmem")
    pair = build_pair(preset, policy)
    run_both(pair, lambda tracker: run_tracker(tracker, draw_texture(12), MANY))


@pytest.mark.parametrize(
    "override", ["memory.short_term_lag=3", "memory.short_term_frames=2", "memory.policy=every_nth"]
)
def test_masks_of_each_memory_equal_without_graphs(override):
    run_both(build_pair("aott", override), lambda tracker: run_tracker(tracker, draw_texture(9), MANY))


def test_forgotten_objects_and_states_equal_without_graphs(pair):
    def track(tracker):
        frames = draw_texture(9)
        before = run_tracker(tracker, frames[:6], MANY)
        tracker.forget(9)
        state = tracker.state_dict()
        first = run_tracker(tracker, frames[6:], {})
        tracker.load_state_dict(state)
        return [*before, *first, *run_tracker(tracker, frames[6:], {})]

    run_both(pair, track)


def test_next_videos_of_other_sizes_equal_without_graphs(pair):
    def track(tracker):
        predictions = []
        for height, width in ((33, 49), (49, 65), (33, 49)):
            mask = draw_stripes([4, 9], height, width)
            predictions += run_tracker(tracker, draw_texture(4, height, width), {0: mask})
            tracker.reset()
        return predictions

    run_both(pair, track)


def test_drafts_held_over_frames_equal_without_graphs(pair):
    def track(tracker):
        frames = draw_texture(4)
        tracker.step(frames[0], MANY[3])
        drafts = [tracker.predict(frame) for frame in frames[1:]]
        return [tracker.commit(drafts[0]), *drafts[1:]]

    run_both(pair, track)


class KeepLogits(Hook):
    """Adds the logits of the last stored frame, which it keeps without a copy; every second frame is a cut."""

    logits = None

    def before(self, frame, notes):
        return self.logits is None or frame[0, 0, 0] % 2 == 0

    def correct(self, draft):
        if self.logits is None:
            return draft
        logits = draft.logits + self.logits.mean((0, 2, 3))[: len(draft.logits), None, None]
        return draft._replace(logits=logits, indices=logits.max(0).indices)

    def stored(self, draft, prediction, mask):
        self.logits = draft.decoded_frames[0].logits if draft.decoded_frames else None


def test_masks_with_hooks_equal_without_graphs(pair):
    plain, recorded, config = pair

    def track(model):
        return run_tracker(Tracker(model, config, [KeepLogits()]), draw_texture(8), {0: FIRST})

    assert_same(track(recorded), track(plain))


@pytest.mark.parametrize("fused", [False, True])
def test_masks_of_ensembles_equal_without_graphs(pair, fused):
    plain, recorded, config = pair

    def track(model):
        branches = build_branches(model, config, scales=(1.0, 1.5), flip=True)
        return run_tracker(Ensemble(branches, fused_feedback=fused), draw_texture(5), MANY)

    assert_same(track(recorded), track(plain))


def test_masks_of_both_directions_equal_without_graphs(pair, tmp_path):
    def track(tracker):
        masks = {1: FIRST, 5: draw_stripes([9, 4])}
        timed, stop = TimedTracker(tracker), threading.Event()
        results = track_both_directions(timed, enumerate(draw_texture(7)), masks, {}, tmp_path, stop)
        return [prediction for _, _, prediction in results]

    run_both(pair, track)


def test_trackers_in_threads_share_graphs(pair):
    plain, recorded, config = pair
    clips = [draw_texture(6, seed=seed) for seed in range(3)]
    expected = [run_tracker(Tracker(plain, config), clip, MANY) for clip in clips]
    first = Tracker(recorded, config)
    recorded.graphs.recordings.clear()
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda clip: run_tracker(first.fresh(), clip, MANY), clips * 2))
    for predictions, others in zip(found, expected * 2, strict=True):
        assert_same(predictions, others)


def test_each_depth_has_its_graphs():
    def track(tracker):
        predictions = []
        for depth in (3, 1, 2, 1):
            tracker.set_depth(depth)
            predictions += run_tracker(tracker, draw_texture(3), {0: FIRST})
        return predictions

    run_both(build_pair("aost"), track)


@torch.inference_mode()
def test_replay_overwrites_the_results_of_the_stand_in(pair):
    """Why results are copied: without, a kept result has the contents of a later frame."""
    _, recorded, _ = pair
    graphs, one, other = EagerGraphs(CPU), torch.zeros(2), torch.ones(2)
    kept = graphs.run(lambda model, x: x + 1, recorded, one)
    (recording,) = list(graphs.recordings.values())
    assert recording.result.tolist() == kept.tolist() == [1, 1]
    recording.inputs[0].copy_(other)
    recording.replay()
    assert (recording.result.tolist(), kept.tolist()) == ([2, 2], [1, 1])


def test_recordings_share_the_memory_of_their_inputs(pair):
    _, recorded, config = pair
    recorded.graphs = StrictGraphs(CPU)
    run_tracker(Tracker(recorded, config), draw_texture(12), {0: FIRST})
    recordings = recorded.graphs.recordings.values()
    assert len(recordings) == 1 + 3 + 1  # encode, propagate for 1 to 3 frames, memorize
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for r in recordings for x in r.inputs}
    assert sum(storages.values()) < 2 * max(sum(x.untyped_storage().nbytes() for x in r.inputs) for r in recordings)


def test_least_recently_used_recording_is_dropped(pair):
    graphs, model = EagerGraphs(CPU), pair[1]

    def add(_, x, number):
        return x + number

    for number in range(MAX_GRAPHS + 1):
        assert graphs.run(add, model, torch.zeros(1), number).item() == number
        assert graphs.run(add, model, torch.zeros(1), 0).item() == 0
    numbers = [key[2][2] for key in graphs.recordings]
    assert len(numbers) == MAX_GRAPHS
    assert {0, MAX_GRAPHS} < {*numbers}
    assert 1 not in numbers


HOST_OPERATIONS = {
    "item": lambda x: x * x.sum().item(),
    "comparison": lambda x: x if (x > 0).any() else -x,
    "nonzero": lambda x: x.nonzero(),
    "selection by a mask": lambda x: x[x > 0],
    "assignment by a mask": lambda x: x.clone().index_put_((x > 0,), x.new_zeros(())),
    "unique": lambda x: x.unique(),
    "where": lambda x: x + torch.where(x > 0)[0],
    "repetition": lambda x: x.repeat_interleave(x.long()),
    "a tensor of numbers": lambda x: x + torch.tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("name", HOST_OPERATIONS)
def test_operation_that_needs_the_host_falls_back(pair, caplog, name):
    graphs, model, x = EagerGraphs(CPU), pair[1], torch.tensor([1.0, 2.0])
    for _ in range(2):
        found = graphs.run(lambda _, x: HOST_OPERATIONS[name](x), model, x)
        torch.testing.assert_close(found, HOST_OPERATIONS[name](x))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "needs the host" in caplog.text
    assert not graphs.recordings


def test_copies_between_devices_are_detected():
    with fake_cuda(), OperationCheck():
        x = torch.zeros(2, device=CUDA)
        assert (x + 1).device == CUDA
        with pytest.raises(RuntimeError, match="copies between devices"):
            x.cpu()


def test_recorded_work_of_a_gpu_needs_no_host():
    _, config = build("aott", "model.max_objects=3", "memory.policy=bounded_fifo", "memory.every=2")
    config = replace(config, rules=replace(config.rules, ownership=False, cuts=False))
    attach = "aotlab.networks.fast.optimize.attach_graphs"
    with fake_cuda(), patch(attach, lambda model, setting, device: setattr(model, "graphs", StrictGraphs(device))):
        tracker = tracker_on_cuda(config)
        run_tracker(tracker, draw_texture(6), MANY)
        assert len(tracker.model.graphs.recordings) == 1 + 3 + 2


def test_error_is_raised_and_result_of_other_type_falls_back(pair, caplog):
    model = pair[1]

    def fail(_, x):
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        EagerGraphs(CPU).run(fail, model, torch.zeros(1))
    assert EagerGraphs(CPU).run(lambda _, x: {"x": x}, model, torch.ones(1))["x"].item() == 1
    assert "a dict cannot be recorded" in caplog.text


def test_cached_tables_outlive_their_cache(pair):
    """A graph reads them at their addresses."""
    recorded, graphs = pair[1], StrictGraphs(CPU)
    forget_constants()

    def add_position(_, x):
        return x + attention.sine_position((2, 3), x)

    graphs.run(add_position, recorded, torch.zeros(1, 6, 8))
    table = weakref.ref(attention.sine_position((2, 3), torch.zeros(1, 6, 8)))
    forget_constants()
    gc.collect()
    assert table() is not None
    graphs.recordings.clear()
    assert table() is None


def test_weights_are_kept_but_not_the_model():
    recorded = build_pair()[1]
    graphs = recorded.graphs
    encode_frame(recorded, torch.zeros(1, 3, 33, 49, dtype=torch.uint8), (33, 49))
    (recording,) = graphs.recordings.values()
    addresses = {x.data_ptr() for x in recording.constants}
    assert {weight.data_ptr() for weight in recorded.projector.parameters()} <= addresses


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_a_model_have_no_recordings(pair, clone):
    _, recorded, config = pair
    run_tracker(Tracker(recorded, config), draw_texture(3), {0: FIRST})
    other = clone(recorded)
    assert type(other.graphs) is type(recorded.graphs)
    assert other.graphs is not recorded.graphs
    assert not other.graphs.recordings


def test_memory_without_a_bound_is_not_replayed(caplog):
    caplog.set_level(logging.INFO)
    _, recorded, config = build_pair("aott", "memory.policy=every_nth")
    run_tracker(Tracker(recorded, config), draw_texture(6), {0: FIRST})
    assert caplog.text.count("memory.policy every_nth has no bound") == 1
    assert {key[0].__name__ for key in recorded.graphs.recordings} == {"_encode", "_memorize"}


def test_graphs_of_a_cpu_are_off_with_a_warning(caplog, monkeypatch):
    monkeypatch.setattr("aotlab.networks.fast.optimize.attach_graphs", attach_graphs)  # with `pytest --graphs`
    model, config = build("aott", "compute.graphs=on")
    run_tracker(Tracker(model, config), draw_texture(2), {0: FIRST})
    assert "compute.graphs: device cpu has no graphs" in caplog.text


def test_cuda_graphs_warm_up_and_capture_on_one_side_stream():
    """Calls of PyTorch, without a GPU."""
    events, captured = [], []
    side, caller, other = MagicMock(name="side"), MagicMock(name="caller"), MagicMock(name="other")
    current = [caller]

    class Use:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            current.append(self.stream)

        def __exit__(self, *_):
            current.pop()

    def capture(graph, pool, stream, capture_error_mode):
        captured.append((pool, stream, capture_error_mode))
        return Use(stream)

    def double(_, x):
        events.append(current[-1])
        return x * 2

    with (
        patch("torch.cuda.current_stream", lambda device=None: current[-1]),
        patch("torch.cuda.Stream", return_value=side),
        patch("torch.cuda.stream", Use),
        patch("torch.cuda.graph_pool_handle", return_value="pool"),
        patch("torch.cuda.CUDAGraph"),
        patch("torch.cuda.graph", capture),
    ):
        graphs = CudaGraphs(CPU)
        for size in (1, 2, 2):
            graphs.run(double, None or torch.nn.Identity(), torch.ones(size))
        assert events == [side] * 9  # of each model twice to warm up, once to record
        assert captured == [("pool", side, "thread_local")] * 3
        assert current == [caller]
        with Use(other):  # another stream of the caller
            assert graphs.run(double, torch.nn.Identity(), torch.ones(5)).tolist() == [2] * 5
        assert events[9:] == [other]
        graphs.failed = True
        assert graphs.run(double, torch.nn.Identity(), torch.ones(5)).tolist() == [2] * 5
        assert len(captured) == 3


def test_descriptions_differ_by_shape_stride_dtype_and_number():
    x = torch.zeros(2, 4)
    values = [(x, 1), (x, 2), (x[:1], 1), (x.double(), 1), (x.mT.contiguous().mT, 1), ([x], 1), ((x,), 1)]
    assert len({flatten(value, []) for value in values}) == len(values)
    assert run_recorded(lambda model, x: x, torch.nn.Identity(), 3) == 3
    np.testing.assert_array_equal(x, 0)
