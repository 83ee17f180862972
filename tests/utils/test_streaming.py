"""Reading ahead and writing behind: bounds, errors, early ends; order and stops: test_pipeline."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from aotlab.utils.streaming import READ_AHEAD, WRITE_BEHIND, ReadAhead, WriteBehind
from aotlab_testing.processes import WAIT_SECONDS, wait_for_event, wait_until


def negate(items):
    for item in items:
        yield -item


def stream(reader, track, write):
    """The results of ``track``, which are written behind it."""
    with WriteBehind(write) as writer, closing(iter(reader)) as items:
        for result in track(items):
            writer.put(result)
            yield result


@pytest.fixture
def shutdown(monkeypatch):
    """An event that is set when the writer is told to stop, before it is waited for."""
    event, shut_down = threading.Event(), ThreadPoolExecutor.shutdown

    def set_and_wait(pool, wait=True, **options):
        shut_down(pool, wait=False, **options)
        event.set()
        shut_down(pool, wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", set_and_wait)
    return event


def test_reading_and_tracking_wait_for_slow_writing():
    read, tracked, counts = [], [], []

    def items():
        for item in range(40):
            read.append(item)
            yield item

    def track(items):
        for item in items:
            tracked.append(item)
            yield item

    def write(_):
        if not counts:
            wait_until(lambda: len(read) >= max_read and len(tracked) >= max_tracked)
            time.sleep(0.05)  # without limits, more would be read or tracked; a busy machine may miss it
            counts.extend([len(read), len(tracked)])

    max_tracked = WRITE_BEHIND + 2  # one is being written, and one waits to be queued
    max_read = max_tracked + READ_AHEAD + 1
    assert len(list(stream(ReadAhead(items()), track, write))) == 40
    assert counts == [max_read, max_tracked]


def test_tracking_error_comes_after_earlier_results(shutdown):
    def write(result):
        wait_for_event(shutdown)
        written.append(result)

    def track(items):
        for item in items:
            if item == 3:
                raise KeyError(item)
            yield item

    written = []
    with pytest.raises(KeyError):
        list(stream(ReadAhead(range(9)), track, write))
    assert written == [0, 1, 2]


@pytest.mark.parametrize("bad", [0, 5, 8])
def test_writing_error_ends_the_stream(bad):
    written = []

    def write(result):
        written.append(1 / (result + bad))

    with pytest.raises(ZeroDivisionError):
        list(stream(ReadAhead(range(9)), negate, write))
    assert len(written) == bad


def test_closed_stream_drops_queue_and_ends_threads(shutdown):
    before, written = set(threading.enumerate()), []

    def write(result):
        wait_for_event(shutdown)
        written.append(result)

    results = stream(ReadAhead(range(1000)), negate, write)
    next(results), next(results)
    results.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_SECONDS)
    assert written in ([], [0])
    assert set(threading.enumerate()) <= before


def test_reading_error_after_a_stop_is_not_raised():
    stop = threading.Event()

    def items():
        yield 1
        wait_for_event(stop)
        raise KeyError

    reader = ReadAhead(items(), stop=stop)
    results = iter(reader)
    assert next(results) == 1
    stop.set()
    reader._thread.join(WAIT_SECONDS)
    assert list(results) == []


def test_items_left_unread_are_closed():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    reader = ReadAhead(items())
    results = iter(reader)
    next(results)
    results.close()
    wait_for_event(closed)


@pytest.mark.parametrize(("kept", "left"), [([], [4]), ([1], [1, 4]), ([1, 3], [1, 3, 4]), ([4], [4])])
def test_late_items_except_the_newest_are_dropped_unless_kept(kept, left):
    taken, read = threading.Event(), threading.Event()

    def items():
        yield 9
        wait_for_event(taken)
        yield from range(5)
        read.set()

    reader = ReadAhead(items(), must_keep=kept.__contains__)
    results = iter(reader)
    assert next(results) == 9
    taken.set()
    wait_for_event(read)
    assert (list(results), reader.dropped) == (left, 5 - len(left))
