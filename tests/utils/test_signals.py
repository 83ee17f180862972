"""Signals during a long run."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aotlab.utils.signals import stop_flag
from aotlab_testing.processes import WAIT_SECONDS, wait_for_event


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_sets_the_flag_and_handler_is_restored(number):
    before = signal.getsignal(number)
    with stop_flag() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        wait_for_event(stop)
    assert signal.getsignal(number) is before


def test_second_interrupt_acts_at_once():
    with pytest.raises(KeyboardInterrupt), stop_flag() as stop:  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        wait_for_event(stop)
        signal.raise_signal(signal.SIGINT)
        wait_for_event(threading.Event())


def test_flag_of_another_thread_stays_unset():
    def work():
        with stop_flag() as stop:
            return stop.is_set()

    with ThreadPoolExecutor() as threads:
        assert threads.submit(work).result(WAIT_SECONDS) is False


def test_handlers_that_python_did_not_install_stay(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", pytest.fail)
    with stop_flag() as stop:
        assert not stop.is_set()
