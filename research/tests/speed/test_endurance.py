"""Time and memory of very long videos."""

import pytest
from PIL import Image

from aotlab.networks.weights.checkpoints import save_checkpoint
from research.speed import endurance
from research.speed.endurance import MIB, Sample, Trial, compare_windows, format_table, main, run_trial
from tests.engine.small_model import build, draw_texture


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """Makes a trial of a tiny network."""
    checkpoint = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(checkpoint, *build())

    def make(policy="first_frame", frames=17):
        bounded = () if policy in ("first_frame", "every_nth") else ("memory.frames=4",)
        text = ",".join([policy, "memory.every=2", *bounded])
        return Trial(text, checkpoint, (), "cpu", list(draw_texture(4)), frames)

    return make


@pytest.mark.parametrize("policy", ["first_frame", "relevance_redundancy"])
def test_bounded_memory_is_flat_after_it_has_filled(trial, policy):
    samples = run_trial(trial(policy))
    assert len(samples) == 17
    assert all(sample.seconds > 0 and sample.resident > 2**20 for sample in samples)
    most = 1 if policy == "first_frame" else 4
    assert max(sample.kept for sample in samples) == samples[6].kept == most
    assert len({sample.bank for sample in samples[6:]}) == 1


def test_unbounded_memory_grows(trial):
    samples = run_trial(trial("every_nth"))
    assert [sample.kept for sample in samples] == [1 + index // 2 for index in range(17)]


def make_samples(count, growth=0.0):
    """Frames of 10 ms and 100 MiB, which from frame 300 on grow by ``growth`` per hundred frames."""
    more = [growth * max(index - 300, 0) / 100 for index in range(count)]
    return [Sample(0.01 + 0.001 * x, int(MIB * (100 + x)), MIB, 1) for x in more]


def test_frames_after_the_fill_are_compared_with_the_last():
    steady, outlier = make_samples(1000), Sample(9.0, 0, 0, 0)
    first, last = compare_windows([outlier] * 200 + steady[200:400] + [outlier] * 400 + steady[800:])
    assert first[0] == last[0] == 0.01


def test_table_has_a_line_for_each_policy():
    lines = format_table({"steady": make_samples(150), "growing": make_samples(999, 10), "died": []}).splitlines()
    assert lines[2] == "| steady | 150 | 10.0 | 10.0 | 1.000 | 100.0 | 100.0 | 1.000 | 1.0 | 1 |"
    assert float(lines[3].split("|")[5]) > 4
    assert lines[4].startswith("| died | 0 | - |")
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.slow
def test_each_policy_runs_and_is_in_table(monkeypatch, tmp_path, capsys):
    trials: list[Trial] = []

    def run_in_process(trial):
        trials.append(trial)
        return [] if trial.policy == "every_nth" else make_samples(trial.frames)

    monkeypatch.setattr(endurance, "run_in_process", run_in_process)
    (tmp_path / "video").mkdir()
    for index in range(5):
        Image.new("RGB", (60, 40), (50 * index, 90, 40)).save(tmp_path / "video" / f"{index:05d}.png")
    compare = ["first_frame", "bounded_fifo,memory.frames=4", "every_nth"]
    options = f"--frames 9 --size 30x20 --plot {tmp_path}/plot.png"
    policies = [word for policy in compare for word in ("--compare", policy)]
    arguments = [str(tmp_path / "video"), *options.split(), *policies, "memory.every=7"]
    assert main(arguments) == 1  # one died
    assert [len(trial.clip) for trial in trials] == [5, 5, 5]
    assert trials[0].clip[0].shape == (20, 30, 3)
    assert trials[1].settings == ("memory.every=7", "memory.policy=bounded_fifo", "memory.frames=4")
    text = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == compare
    assert (tmp_path / "plot.png").is_file()
