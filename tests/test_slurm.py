"""The Slurm scripts, on a cluster of two nodes."""

import subprocess

import psutil
import pytest
from safetensors.torch import load_file

from aotlab.configs.files import ROOT
from aotlab_testing.drawn_clips import draw_moving_clip, stems_from, write_images, write_masks
from aotlab_testing.files import read_files
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import RUN_SECONDS, run_python, wait_until
from tests.engine.training.tiny_recipes import draw_sets, phase, read_log, write_recipe
from tests.slurm_cluster import find_obstacle, start_cluster

SCRIPTS = ROOT / "scripts"
STEPS = 40
FRAMES = 8
ENCODER = ROOT / "tests" / "engine" / "tiny_encoder.py"
SLOWDOWN = """
import os
import time

from aotlab.engine.training import saved_states, trainer


def delay(module, name, seconds):
    original = getattr(module, name)

    def call(*args):
        time.sleep(seconds)
        return original(*args)

    setattr(module, name, call)


if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
    delay(trainer, "train_step", 4)
    delay(saved_states, "write_bytes", 5)
"""
"""Until a job is requeued, a step takes four seconds longer, and saving a state five."""


@needs_posix
@pytest.mark.parametrize("script", SCRIPTS.glob("*_slurm.sh"), ids=lambda script: script.name)
def test_slurm_script_has_valid_syntax(script):
    subprocess.check_call(["bash", "-n", script])


def needs_slurm(test):
    """Mark a test that runs jobs."""
    obstacle = find_obstacle()
    for mark in (pytest.mark.slurm, pytest.mark.slow, pytest.mark.skipif(obstacle is not None, reason=str(obstacle))):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def cluster():
    with start_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the nodes share, with a recipe."""
    folder = tmp_path_factory.mktemp("slurm")
    write_recipe(folder, draw_sets(folder), "tiny", phase(steps=STEPS, batch=2))
    (folder / "slow.py").write_text(ENCODER.read_text() + SLOWDOWN)
    return folder


def train(cluster, folder, output, *options, recipe="tiny.yaml", plugin="slow.py"):
    """Submit a training on two nodes, with options of sbatch; return the job."""
    nodes = ("--nodes=2", "--gpus-per-node=0", "--cpus-per-task=1", *options)
    settings = ("--config", recipe, "--plugin", plugin, f"train.output={folder / output}", "train.save_every=10")
    return cluster.submit(folder, *nodes, SCRIPTS / "train_slurm.sh", "--device", "cpu", *settings)


def wait_for_success(cluster, folder, job):
    """Wait for the end of a training; return its fields and its output."""
    (ended,) = cluster.wait(job)
    output = (folder / f"slurm-{job}.out").read_text()
    assert ended["JobState"] == "COMPLETED", output
    return ended, output


@pytest.fixture(scope="module")
def expected(cluster, folder):
    """Weights of a training that nothing disturbs."""
    ended, output = wait_for_success(cluster, folder, train(cluster, folder, "undisturbed", plugin=ENCODER))
    assert ended["Restarts"] == "0"
    assert output.count("trained weights") == 1
    return load_file(folder / "undisturbed" / "video.safetensors")


def assert_equal_weights(run, expected):
    """Check that a training has the expected weights, bit by bit, and each step once in its log."""
    found = load_file(run / "video.safetensors")
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in expected)
    assert [line["step"] for line in read_log(run)] == [*range(1, STEPS + 1)]


@needs_slurm
def test_requeued_training_ends_with_equal_weights(cluster, folder, expected):
    job = train(cluster, folder, "requeued")
    run = folder / "requeued"
    wait_until(lambda: (run / "log.jsonl").exists() and len(read_log(run)) > 1)
    cluster.call("scontrol", "requeue", job)
    ended, _ = wait_for_success(cluster, folder, job)
    assert ended["Restarts"] == "1"
    assert_equal_weights(run, expected)


@needs_slurm
def test_training_saves_its_state_before_the_time_limit(cluster, folder, expected):
    # Slurm sends the signal up to a minute early, here 90 to 120 seconds after the start
    job = train(cluster, folder, "limited", "--time=5")
    wait_until(lambda: cluster.read_jobs(job)[0]["Restarts"] == "1", RUN_SECONDS, pause=0.5)
    cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    _, output = wait_for_success(cluster, folder, job)
    assert "stopped: interrupted; the state after step " in output
    assert_equal_weights(folder / "limited", expected)


@needs_slurm
def test_failed_training_is_not_requeued(cluster, folder):
    job = train(cluster, folder, "failed", recipe="missing.yaml")
    (ended,) = cluster.wait(job)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("FAILED", "2:0", "0")


@needs_slurm
def test_array_submitted_again_tracks_what_a_killed_task_left(cluster, folder):
    for seed in range(5):
        clip = draw_moving_clip(stems_from(0, FRAMES), seed=seed, size=(240, 320))
        write_images(folder / "clips" / f"video{seed}", clip.frames)
        write_masks(folder / "clips", clip.labels[:1], f"video{seed}.png")
    command = ("--jobs", folder / "clips", "--device", "cpu", "--write", "masks")
    plain = run_python("-m", "aotlab", "track", *command, "--output", folder / "plain")
    assert plain.returncode == 0, plain.stderr
    options = ("--array=0-1", "--gpus=0", "--cpus-per-task=1")
    array = (*options, SCRIPTS / "track_slurm.sh", *command, "--output", folder / "array")

    job = cluster.submit(folder, *array)
    wait_until(lambda: read_files(folder / "array" / "video1", "masks/*.png"))
    words = {"1/2", str(folder / "array")}
    (task,) = (process for process in psutil.process_iter(["cmdline"]) if words <= {*(process.info["cmdline"] or ())})
    task.kill()  # scancel would let it stop by itself
    assert {task["ArrayTaskId"]: task["JobState"] for task in cluster.wait(job)} == {"0": "COMPLETED", "1": "FAILED"}
    expected = read_files(folder / "plain", "masks/*.png")
    assert len(read_files(folder / "array", "masks/*.png")) < len(expected) == 5 * FRAMES

    again = cluster.wait(cluster.submit(folder, *array))
    assert [task["JobState"] for task in again] == ["COMPLETED"] * 2
    assert read_files(folder / "array", "masks/*.png") == expected
