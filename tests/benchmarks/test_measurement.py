"""Time by part and two runs side by side, on frames so small that seconds mean nothing."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from aotlab.engine.memory import MemoryBank
from aotlab.utils.errors import InputError
from benchmarks import comparison, measurement
from benchmarks.comparison import Comparison, compare
from benchmarks.machine import cpu_threads, describe_machine, matmul_rate, peak_bytes
from benchmarks.measurement import measure
from benchmarks.parts import PARTS, PartClock
from benchmarks.settings import Setting, parse_setting
from benchmarks.timed_tracker import TimedTracker, frames_of

TINY = Setting(size=(64, 48), frames=3)
SLEEP = 0.02


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch):
    """Multiplying large matrices takes a second; here nobody waits for it."""
    monkeypatch.setattr(measurement, "matmul_rate", lambda device, dtype: 1e9)


def slept(function):
    """A function that takes longer."""

    def late(*args, **options):
        time.sleep(SLEEP)
        return function(*args, **options)

    return late


@pytest.fixture(scope="module")
def tiny_run():
    return TimedTracker(TINY)


@pytest.mark.parametrize(
    ("owner", "name", "part"),
    [
        ("model", "encode", "encode"),
        ("model", "propagate", "propagate"),
        ("model", "decode", "decode"),
        ("model", "memorize", "memory"),
        ("bank", "add", "memory"),
        ("bank", "read", "memory"),
        ("tracker", "_masks", "postprocess"),
    ],
)
def test_time_is_its_own_parts(tiny_run, monkeypatch, owner, name, part):
    tiny_run.start(frames_of(TINY))
    thing = {"model": tiny_run.tracker.model, "bank": MemoryBank, "tracker": tiny_run.tracker}[owner]
    monkeypatch.setattr(thing, name, slept(getattr(thing, name)))
    clock = PartClock(torch.device("cpu"))
    frame = frames_of(TINY)[1]
    with clock.watching(tiny_run):
        clock.start()
        begin = time.perf_counter()
        tiny_run.tracker.step(frame)
        clock.stop()
        whole = time.perf_counter() - begin
    assert clock.seconds[part] >= SLEEP
    # Parts are cut without gaps; between the two clocks' readings the machine may do something else.
    assert sum(clock.seconds.values()) == pytest.approx(whole, abs=SLEEP / 2)


def test_the_clock_leaves_nothing_behind(tiny_run):
    model, methods = tiny_run.tracker.model, (MemoryBank.read, MemoryBank.add)
    before = dict(vars(model))
    with PartClock(torch.device("cpu")).watching(tiny_run):
        assert vars(model) != before
    assert vars(model) == before
    assert (MemoryBank.read, MemoryBank.add) == methods


def test_a_measurement_holds_every_part_and_the_machine():
    found = measure(replace(TINY, objects=3, overrides=("memory.policy=every_nth", "memory.every=2")))
    assert tuple(part.name for part in found.parts) == PARTS
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    assert all(part.fastest <= part.milliseconds for part in found.parts)
    assert found.step_fastest <= found.step_seconds < found.total_seconds
    work = {part.name: part.gflop for part in found.parts}
    assert all(work[name] > 0 for name in ("encode", "propagate", "decode", "memory"))
    assert work["read frame"] is None
    assert found.step_gflop == pytest.approx(sum(gflop for gflop in work.values() if gflop))
    assert (found.size, found.network_size) == ((64, 48), (65, 49))
    # Reference frame, three frames to warm up, three timed, every second one kept until the last but one is read.
    assert found.memory_frames == 3
    assert found.peak_bytes > 2**20
    assert found.as_dict()["machine"]["torch"] == torch.__version__


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_what_the_model_computes_in(precision):
    run = TimedTracker(replace(TINY, precision=precision))
    run.start(frames_of(TINY))
    with run.way():
        run.tracker.step(frames_of(TINY)[1])
    key = run.tracker.banks[0].read()[0][0].long.key
    assert key.dtype == getattr(torch, precision)


def test_frames_before_the_timed_ones_fill_memory():
    run = TimedTracker(
        parse_setting("aott,memory.policy=every_nth,memory.every=2,at_frame=8,slow=memory", TINY)
    )
    run.start(frames_of(TINY))
    assert run.tracker.banks[0].kept == [[0, 2, 4, 6, 8]]


def test_two_settings_take_turns(monkeypatch):
    order = []

    def noted(run, frame):
        order.append(run.setting.objects)
        return float(run.setting.objects), None

    monkeypatch.setattr(comparison.TimedTracker, "timed_step", noted)
    found = compare(replace(TINY, objects=6, frames=4), replace(TINY, objects=2, frames=9))
    assert order == [6, 2, 2, 6, 6, 2, 2, 6]
    assert found.medians == (6, 2)
    assert found.ratio == 3


def test_the_ratio_is_of_pairs():
    """Both were slowed alike, ten times over, in the second half; the last pair is an outlier."""
    machine = describe_machine(torch.device("cpu"))
    first, second = (2.0, 2.0, 20.0, 20.0, 9.0), (1.0, 1.0, 10.0, 10.0, 1.0)
    found = Comparison("a", "b", first, second, (machine, machine))
    assert found.ratio == 2
    assert found.spread[0] == 2
    assert 2 < found.spread[1] < 9


def test_slow_and_fast_runs_do_not_disturb_each_other():
    found = compare(parse_setting("aott,slow=all", TINY), parse_setting("aott", TINY))
    assert len(found.first_seconds) == len(found.second_seconds) == 3
    assert found.first == "aott,size=64x48,frames=3,slow=all"


def test_more_objects_than_columns_is_one_sentence():
    with pytest.raises(InputError, match="at most 63 are seen on frames 64 pixels wide, got 64"):
        measure(replace(TINY, objects=64))


def test_the_machine_tells_its_rate_and_its_memory(monkeypatch):
    monkeypatch.setattr("benchmarks.machine.SIDES", {"cpu": (64,)})
    assert matmul_rate(torch.device("cpu")) > 1e6
    assert peak_bytes(torch.device("cpu")) > 2**24


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(InputError, match="threads 0: must be at least 1"), cpu_threads(0):
        pass


def test_compile_takes_encoder_blocks_and_decoder(monkeypatch):
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda part, dynamic: compiled.append(type(part).__name__)
    )
    TimedTracker(parse_setting("aotb,compile", TINY))
    assert compiled == ["MobileNetV2", *["LSTTBlock"] * 3, "FPNDecoder"]


def test_a_machine_that_cannot_compile_is_one_sentence(monkeypatch):
    def broken(graph, inputs):
        raise OSError("no C++ compiler")

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda part, dynamic: compile_module(part, backend=broken)
    )
    with pytest.raises(
        InputError, match=r"^compile: torch.compile does not work here \(.*no C\+\+ compiler.*\)"
    ):
        TimedTracker(replace(TINY, compile=True)).start(frames_of(TINY))


@pytest.mark.slow
def test_compiled_parts_run():
    compare(replace(TINY, compile=True), TINY)
