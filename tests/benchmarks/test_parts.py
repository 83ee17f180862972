"""Time by part and two runs in turn, on frames so small that seconds mean nothing."""

from __future__ import annotations

import pytest
import torch

from aotlab.engine.memory import MemoryBank
from aotlab.utils.errors import InputError
from benchmarks import parts
from benchmarks.machine import describe_machine
from benchmarks.parts import PARTS, clocked, measure
from benchmarks.settings import parse_setting
from benchmarks.timed_tracker import Comparison, TimedTracker, in_turn

TINY = "size=64x48,frames=3"


@pytest.fixture(autouse=True)
def quick_rate(monkeypatch):
    monkeypatch.setattr(parts, "matmul_rate", lambda device, dtype: 1e9)


def run_of(text: str) -> TimedTracker:
    return TimedTracker(parse_setting(f"{text},{TINY}"))


@pytest.fixture(scope="module")
def tiny_run():
    return run_of("aott")


@pytest.mark.parametrize(
    ("owner", "name", "part"),
    [
        ("model", "encode", "encode"),
        ("model", "propagate", "propagate"),
        ("model", "decode", "decode"),
        ("model", "memorize", "memory"),
        ("bank", "add", "memory"),
        ("bank", "read", "memory"),
    ],
)
def test_time_counts_for_its_part(tiny_run, monkeypatch, owner, name, part):
    tiny_run.start()
    thing = {"model": tiny_run.tracker.model, "bank": MemoryBank}[owner]
    function, now = getattr(thing, name), [0.0]

    def slow(*args):
        now[0] += 1.0
        return function(*args)

    monkeypatch.setattr(thing, name, slow)
    monkeypatch.setitem(parts.CLOCKS, "wall", lambda: now[0])
    with clocked(tiny_run) as seconds:
        tiny_run.tracker.step(tiny_run.frame(0))
    assert {name: count for name, count in seconds.items() if count} == {part: 1.0}


def test_a_measurement_holds_all_parts_and_the_machine():
    found = measure(run_of("aott,objects=3,memory.policy=every_nth,memory.every=2"))
    assert tuple(part.name for part in found.parts) == PARTS
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    work = {part.name: part.gflop for part in found.parts}
    assert all(work[name] > 0 for name in ("encode", "propagate", "decode", "memory"))
    assert found.gflop == pytest.approx(sum(work.values()))
    assert (found.size, found.network_size) == ((64, 48), (65, 49))
    # Reference frame, three frames to warm up, three timed; every second one is stored, the last after reading.
    assert found.memory_frames == 3
    assert found.peak_bytes > 2**20
    assert found.as_dict()["machine"]["torch"] == torch.__version__


def test_untimed_frames_fill_memory():
    run = run_of("aott,memory.policy=every_nth,memory.every=2,at_frame=8,baseline=memory")
    run.start()
    assert len(run.tracker.banks[0]) == 5  # 0, 2, 4, 6 and 8


def test_two_functions_take_turns():
    order = []

    def noted(name):
        return lambda index: order.append(name) or float(name)

    assert in_turn(noted(6), noted(2), 4) == ((6.0,) * 4, (2.0,) * 4)
    assert order == [6, 2, 2, 6, 6, 2, 2, 6]


def test_the_ratio_is_of_pairs():
    """Both were ten times slower in the second half; the last pair is an outlier."""
    first, second = (2.0, 2.0, 20.0, 20.0, 9.0), (1.0, 1.0, 10.0, 10.0, 1.0)
    found = Comparison("a", "b", first, second, describe_machine(torch.device("cpu")))
    assert found.ratio == 2
    assert found.spread[0] == 2
    assert 2 < found.spread[1] < 9


def test_more_objects_than_columns_and_unknown_kernels_are_one_sentence():
    with pytest.raises(InputError, match="at most 63 are visible in frames 64 pixels wide, got 64"):
        run_of("aott,objects=64").start()
    with pytest.raises(InputError, match=r"^aott,kernels=quick,.*: .*must be one of .*, got quick"):
        run_of("aott,kernels=quick")


def test_a_machine_that_cannot_compile_is_one_sentence(monkeypatch):
    def broken(graph, inputs):
        raise OSError("no C++ compiler")

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda part, dynamic: compile_module(part, backend=broken)
    )
    with pytest.raises(InputError, match=r"^compile: torch.compile does not work here \(.*no C\+\+ compiler"):
        run_of("aott,compile=true").start()
