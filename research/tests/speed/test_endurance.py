"""Time and memory of very long videos."""

import pytest
from PIL import Image

from aotlab.networks.weights.checkpoints import save_checkpoint
from research.speed import endurance
from research.speed.endurance import Sample, Trial, main, run_trial
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
    assert len({sample.bank for sample in samples[6:]}) == 1


def test_unbounded_memory_grows(trial):
    samples = run_trial(trial("every_nth"))
    assert samples[-1].bank > samples[8].bank > samples[0].bank


@pytest.mark.slow
def test_each_policy_runs_and_is_plotted(monkeypatch, tmp_path):
    trials: list[Trial] = []

    def run_in_process(trial):
        trials.append(trial)
        return [Sample(0.01, 2**20, 2**20)] * trial.frames

    monkeypatch.setattr(endurance, "run_in_process", run_in_process)
    (tmp_path / "video").mkdir()
    for index in range(5):
        Image.new("RGB", (60, 40), (50 * index, 90, 40)).save(tmp_path / "video" / f"{index:05d}.png")
    compare = ["first_frame", "bounded_fifo,memory.frames=4", "every_nth"]
    policies = [word for policy in compare for word in ("--compare", policy)]
    options = ["--frames", "9", "--size", "30x20", *policies, "memory.every=7"]
    assert main([str(tmp_path / "video"), f"{tmp_path}/plot.png", *options]) == 0
    assert [len(trial.clip) for trial in trials] == [5, 5, 5]
    assert trials[0].clip[0].shape == (20, 30, 3)
    assert trials[1].settings == ("memory.every=7", "memory.policy=bounded_fifo", "memory.frames=4")
    assert [trial.policy for trial in trials] == compare
    assert (tmp_path / "plot.png").is_file()
