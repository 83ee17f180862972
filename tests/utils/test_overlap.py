"""Reading ahead and writing behind."""

from __future__ import annotations

import threading
import time

import pytest

from aotlab.utils.overlap import ahead, behind


def test_results_come_in_order_and_only_a_few_ahead():
    made = []

    def make(item):
        made.append(item)
        return -item

    results = ahead(make, range(10), depth=2)
    assert next(results) == 0
    time.sleep(0.05)
    assert made == [0, 1, 2]
    assert list(results) == [-item for item in range(1, 10)]


def test_an_error_comes_where_its_result_would_be():
    results = ahead(lambda item: 1 // item, [1, 1, 0, 1], depth=4)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_reader_that_is_closed_reads_no_more():
    made = []
    results = ahead(made.append, range(100), depth=3)
    next(results)
    results.close()
    assert len(made) <= 4


def test_calls_are_done_in_order_before_the_block_ends():
    done = []
    with behind(depth=2) as later:
        for number in range(6):
            later(done.append, number)
    assert done == list(range(6))


def test_only_a_few_calls_wait():
    gate, done = threading.Event(), []

    def slow(number):
        gate.wait(5)
        done.append(number)

    with behind(depth=2) as later:
        later(slow, 0)
        later(slow, 1)
        threading.Timer(0.05, gate.set).start()
        later(slow, 2)  # waits for the first
        assert done[:1] == [0]


def test_an_error_of_a_call_ends_the_block():
    with pytest.raises(ZeroDivisionError), behind() as later:
        later(lambda: 1 // 0)


def test_an_error_of_the_block_is_the_one_that_is_raised():
    def work():
        with behind() as later:
            later(lambda: 1 // 0)
            raise KeyError

    with pytest.raises(KeyError):
        work()
