"""Choosing kernels by timing them."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from aotlab.networks.attention import attention
from aotlab.networks.kernels import tuning
from aotlab.networks.kernels.products import batch
from aotlab.networks.kernels.tuning import Timing, Tuner, default_path, machine_chooser, machine_name
from aotlab.networks.operations import Operation, by_rule, use
from aotlab.networks.primitives import linear


def kept(path):
    """Timings by machine in a file."""
    return json.loads(path.read_text())["machines"]


def made(calls, *, slow=0.004, preparing=0.0, fits=None):
    """An operation of two kernels, the first of them slow, the second only the first time; what runs is noted."""

    def wait(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    def first(x):
        calls.append("first")
        wait(slow)
        return x + 1

    def second(x):
        wait(0 if "second" in calls else preparing)
        calls.append("second")
        return x + 1

    operation = Operation(first)
    operation.add({"second": second}, rule=lambda x: "plain", sizes=lambda x: (len(x),), fits=fits)
    return operation


def test_the_fastest_kernel_is_chosen_and_timed_once():
    calls, tuner = [], Tuner()
    product = made(calls)
    with use(tuner):
        product(torch.zeros(3))
        timed = len(calls)
        product(torch.zeros(3))
        product(torch.zeros(3))
    assert calls[timed - 1 :] == ["second"] * 3
    assert [timing.choice for timing in tuner.timings.values()] == ["second"]


def test_the_first_run_of_a_slow_kernel_does_not_count():
    tuner = Tuner()
    with use(tuner):
        made([], slow=0.03, preparing=0.08)(torch.zeros(3))
    assert [timing.choice for timing in tuner.timings.values()] == ["second"]


def test_gradients_and_precisions_are_classes_of_their_own():
    calls, tuner = [], Tuner()
    product = made(calls)
    with use(tuner):
        product(torch.zeros(3))
        product(torch.zeros(3, requires_grad=True))
        product(torch.zeros(3, dtype=torch.bfloat16))
    assert len(tuner.timings) == 3
    assert sum("gradients" in name for name in tuner.timings) == 1


def test_a_choice_made_without_one_of_the_kernels_is_made_anew():
    product, first, second = made([]), Tuner(), Tuner()
    with use(first):
        product(torch.zeros(3))
    (name,) = first.timings
    second.timings[name] = Timing("plain", {"plain": 1.0}, "plain")
    with use(second):
        product(torch.zeros(3))
    assert second.timings[name].choice == "second"


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_attention_and_batches_can_be_tuned_in_every_precision(precision):
    query, key = torch.ones(1, 2, 9, 4), torch.ones(1, 2, 18, 4)
    with use(Tuner()), torch.no_grad(), torch.autocast("cpu", precision):
        assert attention(query, key, key).dtype == precision
        assert batch(query[0], key[0].mT).dtype == precision


def test_a_kernel_that_does_not_fit_is_never_run():
    calls = []
    product = made(calls, fits=lambda name, x: name == "plain")
    with use(Tuner()):
        product(torch.zeros(3))
    assert calls == ["first"]


def test_what_is_no_cpu_is_chosen_by_rule():
    tuner = Tuner()
    with use(tuner):
        made([])(torch.zeros(3, device="meta"))
    assert tuner.timings == {}


def test_choices_are_found_again_by_the_next_program(tmp_path):
    path, calls = tmp_path / "cache" / "kernels.json", []
    with use(Tuner(path)):
        made([])(torch.zeros(3))
    with use(Tuner(path)):
        made(calls)(torch.zeros(3))
    assert calls == ["second"]
    assert list(kept(path)) == [machine_name()]


def keep_one(path, start, number):
    """A program that meets one class of shapes of its own."""
    tuner = Tuner(path)
    tuner.timings[f"class {number}"] = Timing("a", {"a": 1.0}, "a")
    start.wait()
    tuner._save()


def test_programs_that_keep_choices_at_the_same_time_lose_none(tmp_path):
    path, context = tmp_path / "kernels.json", multiprocessing.get_context("fork")
    for round_ in range(3):
        start, numbers = context.Barrier(6), range(6 * round_, 6 * round_ + 6)
        programs = [context.Process(target=keep_one, args=(path, start, number)) for number in numbers]
        for program in programs:
            program.start()
        for program in programs:
            program.join()
    assert set(kept(path)[machine_name()]) == {f"class {number}" for number in range(18)}
    assert [each.name for each in tmp_path.iterdir()] == ["kernels.json"]


def test_choices_of_other_machines_are_kept_and_not_used(tmp_path, monkeypatch):
    path = tmp_path / "kernels.json"
    for processor in ("one", "two"):
        monkeypatch.setattr(tuning, "processor_name", lambda name=processor: name)
        tuner = Tuner(path)
        assert tuner.timings == {}
        with use(tuner):
            made([])(torch.zeros(3))
    assert len(kept(path)) == 2


@pytest.mark.parametrize("text", ["{", "[1]", '{"machine": {"class": 3}}', "\x00"])
def test_a_broken_file_of_choices_is_made_anew(tmp_path, caplog, text):
    path = tmp_path / "kernels.json"
    path.write_text(text)
    with use(Tuner(path)):
        made([])(torch.zeros(3))
    assert "not a usable cache of timings" in caplog.text
    assert machine_name() in kept(path)


def test_a_file_that_cannot_be_written_does_not_stop_the_work(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "kernels.json", tmp_path, tmp_path / ("n" * 300), Path("a\0b")):
        caplog.clear()
        with use(Tuner(path)):
            made([])(torch.zeros(3))
        assert "are not kept" in caplog.text
    assert not list(tmp_path.glob(".*"))


def test_a_user_without_a_home_has_choices_for_this_run_alone(monkeypatch, caplog):
    for name in ("AOTLAB_TUNE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.expanduser", lambda path: nowhere())
    chooser = machine_chooser.__wrapped__()
    assert isinstance(chooser, Tuner)
    assert chooser.path is None
    assert "unknown home folder" in caplog.text


def nowhere():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(("setting", "path"), [("on", None), ("", None), ("here.json", "here.json")])
def test_the_environment_says_where_choices_are_kept(setting, path, monkeypatch, tmp_path):
    monkeypatch.setenv(tuning.VARIABLE, setting)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    chooser = machine_chooser.__wrapped__()
    assert isinstance(chooser, Tuner)
    assert str(chooser.path) == (path or str(tmp_path / "aotlab" / "kernels.json"))
    assert default_path().is_relative_to(tmp_path)


def test_the_environment_can_ask_for_the_fixed_choice(monkeypatch):
    monkeypatch.setenv(tuning.VARIABLE, "off")
    assert machine_chooser.__wrapped__() is by_rule


@pytest.mark.parametrize("gradients", [False, True])
def test_every_operation_of_models_can_be_tuned(gradients):
    draw = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=draw).requires_grad_(gradients)

    tuner = Tuner()
    with use(tuner):
        linear(drawn(2, 9, 6), drawn(4, 6), drawn(4))
        attention(drawn(1, 2, 9, 4), drawn(1, 2, 18, 4), drawn(1, 2, 18, 4))
        attention(drawn(1, 1, 9, 4), drawn(1, 1, 18, 4), drawn(1, 1, 18, 8))
        batch(drawn(3, 4, 5), drawn(3, 5, 2))
    assert len(tuner.timings) == 4
    assert all("plain" not in timing.seconds for name, timing in tuner.timings.items() if "attention" in name)
