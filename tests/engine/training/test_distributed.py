"""Several ranks on this machine's CPU, as torchrun starts them, against one process."""

import pytest

from aotlab.engine.training.saved_states import list_saved_states
from aotlab.tools import train
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import reserve_port, run_python
from tests.engine.training.tiny_recipes import (
    WITHOUT_DROP_PATH,
    assert_same_steps,
    read_log,
    steady_phase,
    write_recipe,
)

RANKS = """
import os, sys
from aotlab.engine.training import trainer
from aotlab.tools import train
from aotlab_testing.small_model import register_tiny_encoder
from aotlab_testing.processes import kill_at_call

register_tiny_encoder()
second = os.fork()
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if second else "1"
kill_at_call("aotlab.engine.training.trainer.train_step", 0 if second else int(sys.argv[1]))
status = train.main(sys.argv[2:])
if second:
    status = status or os.waitstatus_to_exitcode(os.waitpid(second, 0)[1])
sys.exit(status)
"""
"""Two ranks that import once; they part before autograd runs, which fails in later forks."""


@pytest.fixture
def recipe_file(tmp_path, data):
    def make(output, **options):
        return write_recipe(tmp_path, data, output, steady_phase(**options))

    return make


def run_ranks(*words, kill_before=0):
    """Train on two ranks, of which the second dies before a step, counted from 1; 0: never."""
    with reserve_port() as port:
        variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return run_python("-c", RANKS, kill_before, *words, env=variables)


@needs_posix
@pytest.mark.parametrize("fed_after", [1.0, 0.5])  # DDP is wrapped again when memory stores predictions
def test_two_ranks_equal_one_process(recipe_file, tmp_path, fed_after):
    settings = [WITHOUT_DROP_PATH, "train.accumulate=2", f"train.phases.0.feed_predictions_after={fed_after}"]
    done = run_ranks("--config", recipe_file("two", steps=2, batch=4, clip_length=2), *settings)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "warning" not in output.lower()
    assert output.count("trained weights") == output.count("device c") == 1  # the main rank speaks for all
    assert train.main(["--config", str(recipe_file("one", steps=2, batch=4, clip_length=2)), *settings]) == 0
    assert_same_steps(read_log(tmp_path / "two"), read_log(tmp_path / "one"))


@needs_posix
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_bad_batch_on_two_ranks_is_one_sentence(recipe_file, options):
    done = run_ranks("--config", recipe_file("run", batch=3), "--device", "cpu", *options)
    assert done.returncode == 2
    message = "error: train.phases.batch=3 of video: cannot be split evenly over train.accumulate=1 times 2 ranks"
    assert done.stderr.splitlines() == [f"{message}; give a multiple of 2"]


@needs_posix
@pytest.mark.slow  # starts three processes and lets one die
def test_killed_rank_stops_with_a_resumable_state(recipe_file, tmp_path):
    command = ["--config", str(recipe_file("run", steps=5))]
    done = run_ranks(*command, kill_before=4)
    assert done.returncode == 1
    assert "stopped: lost contact between ranks" in done.stderr
    assert "Traceback" not in done.stderr
    (state,) = list_saved_states(tmp_path / "run")
    assert state.stem.endswith("_000003")
    assert train.main(command) == 0
    assert [line["step"] for line in read_log(tmp_path / "run")] == [1, 2, 3, 4, 5]
