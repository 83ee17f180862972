"""Time and memory of very long videos."""

import pytest
from PIL import Image

from aotlab.networks.weights.checkpoints import save_checkpoint
from research.speed import endurance
from research.speed.endurance import POLICIES, Sample, main, sample_policy
from tests.engine.small_model import build, draw_texture


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Samples a policy with a tiny network."""
    checkpoint = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(checkpoint, *build())

    def run(policy):
        bounded = () if policy in ("first_frame", "every_nth") else ("memory.frames=4",)
        return sample_policy(policy, checkpoint, ("memory.every=2", *bounded), "cpu", list(draw_texture(4)), 17)

    return run


@pytest.mark.parametrize("policy", ["first_frame", "ermu"])
def test_bounded_memory_is_flat_after_it_has_filled(sample, policy):
    samples = sample(policy)
    assert len(samples) == 17
    assert all(sample.seconds > 0 and sample.resident > 2**20 for sample in samples)
    assert len({sample.bank for sample in samples[6:]}) == 1


def test_unbounded_memory_grows(sample):
    samples = sample("every_nth")
    assert samples[-1].bank > samples[8].bank > samples[0].bank


@pytest.mark.slow
def test_each_policy_runs_and_is_plotted(monkeypatch, tmp_path):
    calls = []

    def run_in_process(policy, checkpoint, overrides, device, clip, frames):
        calls.append((policy, overrides, len(clip), frames))
        return [Sample(0.01, 2**20, 2**20)] * frames

    monkeypatch.setattr(endurance, "run_in_process", run_in_process)
    (tmp_path / "video").mkdir()
    for index in range(5):
        Image.new("RGB", (60, 40), (50 * index, 90, 40)).save(tmp_path / "video" / f"{index:05d}.png")
    assert main([str(tmp_path / "video"), f"{tmp_path}/plot.png", "--frames", "9", "memory.every=7"]) == 0
    assert calls == [(policy, ("memory.every=7",), 5, 9) for policy in POLICIES]
    assert (tmp_path / "plot.png").is_file()
