"""Training on two nodes, each started by its own torchrun on a loopback address; one is killed, both start again."""

import re
import subprocess
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tests.engine.training.tiny_recipes import draw_sets, phase, write_recipe
from tests.processes import reserve_port, start_python, wait_until

ROOT = Path(__file__).parents[3]
STEPS = 16


def start(recipe, port):
    """Start the agents of two nodes, each of which starts its rank."""
    words = [
        "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
        "--master-addr", "127.0.0.1", "--master-port", port,
    ]  # fmt: skip
    # the recipe's encoder is registered in this process only
    train = ["-m", "aotlab", "train", "--config", recipe, "train.save_every=2", "model.encoder=mobilenet_v2"]
    env = {"GLOO_SOCKET_IFNAME": "lo"}
    return [
        start_python(*words, "--node-rank", node, "--local-addr", address, *train, env=env, stderr=subprocess.STDOUT)
        for node, address in enumerate(("127.0.0.1", "127.0.0.2"))
    ]


def finish(nodes):
    """Wait for both nodes; return the weights that the first one wrote."""
    outputs = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    path = Path(re.search("trained weights: (.+)", outputs[0])[1])
    return load_file(path if path.is_absolute() else ROOT / path)


def steps_done(folder):
    log = folder / "log.jsonl"
    return log.read_text().count('"loss"') if log.is_file() else 0


@pytest.mark.slow
def test_killed_node_resumes_with_same_weights(tmp_path):
    data = draw_sets(tmp_path / "data")
    recipes = [write_recipe(tmp_path, data, name, phase(steps=STEPS, batch=2)) for name in ("whole", "killed")]
    with reserve_port() as port:
        uninterrupted = finish(start(recipes[0], port))

    with reserve_port() as port:
        nodes = start(recipes[1], port)
        wait_until(lambda: steps_done(tmp_path / "killed") >= 5)
        agent = psutil.Process(nodes[1].pid)
        for process in (agent, *agent.children(recursive=True)):
            process.kill()
        nodes[1].communicate(timeout=60)
        output, _ = nodes[0].communicate(timeout=300)
    assert nodes[0].returncode != 0, output
    assert 5 <= steps_done(tmp_path / "killed") < STEPS

    with reserve_port() as port:
        resumed = finish(start(recipes[1], port))
    assert steps_done(tmp_path / "killed") == STEPS
    assert resumed.keys() == uninterrupted.keys()
    assert all((resumed[name] == uninterrupted[name]).all() for name in uninterrupted)
