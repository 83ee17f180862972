"""Reading ahead and writing behind: order, bounds, errors of each stage, and early ends."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from aotlab.engine.video.streaming import AHEAD, BEHIND, Channel, ReadAhead, Stalled, stream
from aotlab.utils.processes import NICENESS


def negative(items):
    for item in items:
        yield -item


def breaking(error, last):
    """Numbers up to ``last``, then the error."""
    yield from range(last + 1)
    raise error


def run(items, track=negative, written=None, **options):
    return list(stream(ReadAhead(items, **options), track, (written if written is not None else []).append))


def test_results_come_and_are_written_in_order():
    written = []
    assert run(range(20), written=written) == written == [-item for item in range(20)]


def test_only_a_few_items_are_read_ahead_and_only_a_few_results_wait():
    read, gate = [], threading.Event()

    def write(result):
        gate.wait(5)

    def items():
        for number in range(40):
            read.append(number)
            yield number

    results = stream(ReadAhead(items()), negative, write)
    for _ in range(BEHIND + 1):
        next(results)
    time.sleep(0.3)
    # those that wait to be tracked, and one in the hands of each of the three
    assert len(read) <= AHEAD + BEHIND + 3
    gate.set()
    assert len(list(results)) == 40 - BEHIND - 1


def test_an_error_of_reading_is_raised_once_what_came_before_is_written():
    written = []
    with pytest.raises(ZeroDivisionError):
        run(breaking(ZeroDivisionError(), 3), written=written)
    assert written == [0, -1, -2, -3]


def test_an_error_of_tracking_is_raised_once_what_came_before_is_written():
    def track(items):
        for item in items:
            if item == 3:
                raise KeyError(item)
            yield item

    written = []
    with pytest.raises(KeyError):
        run(range(9), track, written)
    assert written == [0, 1, 2]


@pytest.mark.parametrize("bad", [0, 5, 8])
def test_an_error_of_writing_ends_the_stream_and_is_raised(bad):
    written = []

    def write(result):
        written.append(1 / (result + bad))

    with pytest.raises(ZeroDivisionError):
        list(stream(ReadAhead(range(9)), negative, write))
    assert len(written) == bad


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are of Linux")
def test_reading_and_writing_give_way_to_tracking():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    wrote = []
    items = ReadAhead(niceness() for _ in range(2))
    read = list(stream(items, lambda found: (item for item in found), lambda _: wrote.append(niceness())))
    assert read == wrote == [niceness() + NICENESS] * 2


def test_closing_the_stream_drops_what_waits_and_ends_both_threads():
    before, gate, written = threading.active_count(), threading.Event(), []

    def write(result):
        gate.wait(5)
        written.append(result)

    results = stream(ReadAhead(range(1000)), negative, write)
    next(results), next(results)
    threading.Timer(0.1, gate.set).start()
    results.close()
    time.sleep(0.2)
    assert written in ([], [0])
    assert threading.active_count() <= before


def test_a_stop_ends_it_after_the_current_item():
    stop = threading.Event()

    def track(items):
        for item in items:
            if item == 2:
                stop.set()
            yield item

    written = []
    assert run(range(100), track, written, stop=stop) == written == [0, 1, 2]


def test_a_reader_that_stalls_is_given_up():
    release = threading.Event()

    def items():
        yield 1
        release.wait(20)
        yield 2

    written, start = [], time.monotonic()
    with pytest.raises(Stalled):
        run(items(), written=written, timeout=0.2)
    release.set()
    assert written == [-1]
    assert time.monotonic() - start < 5


def test_a_channel_drops_the_oldest_that_need_not_be_kept():
    channel = Channel(2)
    for item in range(5):
        channel.put_newest(item, lambda item: item == 1)
    assert channel.dropped == 3
    channel.end()
    assert [channel.take() for _ in range(3)] == [1, 4, None]


def test_a_closed_channel_lets_the_other_side_go():
    channel, answers = Channel(1), []
    channel.put(1)
    thread = threading.Thread(target=lambda: answers.append(channel.put(2)))
    thread.start()
    channel.close()
    thread.join(5)
    assert answers == [False]
