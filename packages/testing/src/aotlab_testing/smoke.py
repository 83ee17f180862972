"""Fixtures of the tests that run the main public paths once, with a tiny network."""

import pytest
import torch

from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.tools.main import main
from aotlab_testing.small_model import build, build_prompts


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file of the tiny network."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, *build("aott", "memory.every=1"))
    return path


@pytest.fixture
def prompts(monkeypatch):
    """A tiny prompt network that always gives a mask, in place of the bundled one."""
    network = build_prompts()
    torch.nn.init.constant_(network.decoder.conv_out.bias, 10)
    monkeypatch.setattr("aotlab.prompting.network.load_prompt_network", lambda: network)


@pytest.fixture
def aotlab(tmp_path, monkeypatch):
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert main([str(word) for word in words]) == 0
        return tmp_path

    return run
