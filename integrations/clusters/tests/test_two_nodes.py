"""Training on two nodes, each started by its own torchrun on a loopback address; one is killed, both start again."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tests.engine.training.tiny_recipes import draw_sets, phase, write_recipe

ROOT = Path(__file__).parents[3]
STEPS = 16


def start(recipe, node, port):
    """Start the agent of one node, which starts its rank."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
        "--node-rank", str(node), "--master-addr", "127.0.0.1", "--master-port", str(port),
        "--local-addr", f"127.0.0.{node + 1}",
        "-m", "aotlab", "train", "--config", str(recipe), "train.save_every=2",
        "model.encoder=mobilenet_v2",  # the recipe's is registered in this process only
    ]  # fmt: skip
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finish(nodes):
    """Wait for both nodes; return the weights that the first one wrote."""
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    path = Path(re.search("trained weights: (.+)", said[0])[1])
    return load_file(path if path.is_absolute() else ROOT / path)


def steps_done(folder):
    log = folder / "log.jsonl"
    return log.read_text().count('"loss"') if log.is_file() else 0


@pytest.mark.slow
def test_killed_node_resumes_with_same_weights(tmp_path):
    data = draw_sets(tmp_path / "data")
    recipes = [write_recipe(tmp_path, data, name, phase(steps=STEPS, batch=2)) for name in ("calm", "killed")]
    port = free_port()
    undisturbed = finish([start(recipes[0], node, port) for node in (0, 1)])

    port = free_port()
    nodes = [start(recipes[1], node, port) for node in (0, 1)]
    end = time.monotonic() + 300
    while steps_done(tmp_path / "killed") < 5 and time.monotonic() < end:
        time.sleep(0.05)
    agent = psutil.Process(nodes[1].pid)
    for process in (agent, *agent.children(recursive=True)):
        process.kill()
    nodes[1].communicate(timeout=60)
    said, _ = nodes[0].communicate(timeout=300)
    assert nodes[0].returncode != 0, said
    assert 5 <= steps_done(tmp_path / "killed") < STEPS

    port = free_port()
    resumed = finish([start(recipes[1], node, port) for node in (0, 1)])
    assert steps_done(tmp_path / "killed") == STEPS
    assert resumed.keys() == undisturbed.keys()
    assert all((resumed[name] == undisturbed[name]).all() for name in undisturbed)
