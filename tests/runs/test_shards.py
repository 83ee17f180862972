"""Shards of a list of jobs, as text or from the variables of a scheduler."""

import pytest

from aotlab.runs.shards import Shard
from aotlab.utils.errors import InputError

SLURM_ARRAY = {
    "SLURM_ARRAY_TASK_ID": "5",
    "SLURM_ARRAY_TASK_COUNT": "4",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "7",
    "SLURM_ARRAY_TASK_STEP": "2",
}


@pytest.fixture
def no_shard(monkeypatch):
    """Unset the variables that state a shard."""
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_STEP_NUM_TASKS", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("values", "shard"), [
    (SLURM_ARRAY | {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, (2, 4)),  # without srun
    (SLURM_ARRAY | {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (6, 8)),
    ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"}, (3, 8)),
    ({"JOB_COMPLETION_INDEX": "1", "JOB_COMPLETIONS": "5"}, (1, 5)),
])  # fmt: skip
def test_shard_is_read_from_environment(values, shard, no_shard, monkeypatch):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert Shard.parse("auto") == Shard(*shard)


@pytest.mark.parametrize(("text", "values", "words"), [
    ("4/4", {}, "I from 0 to N-1"),
    ("1/2/3", {}, "expected I/N"),
    ("auto", {}, "auto: no variables of a scheduler; expected I/N .*, in a job of Slurm"),
    ("auto", {"JOB_COMPLETION_INDEX": "1"}, "JOB_COMPLETIONS=: not a whole number"),
    ("auto", {"SLURM_ARRAY_TASK_ID": "3"}, "SLURM_ARRAY_TASK_MIN=: not a whole number"),
    ("auto", SLURM_ARRAY | {"SLURM_ARRAY_TASK_MIN": "x"}, "SLURM_ARRAY_TASK_MIN=x: not a whole number"),
    ("auto", {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, "auto: no variables"),
    ("auto", SLURM_ARRAY | {"SLURM_ARRAY_TASK_ID": "9"}, "4/4: expected I/N"),
    ("auto", SLURM_ARRAY | {"SLURM_ARRAY_TASK_COUNT": "3"}, "array of 3 tasks from 1 to 7: must be a range such as"),
])  # fmt: skip
def test_invalid_shard_rejected(text, values, words, no_shard, monkeypatch):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words):
        Shard.parse(text)
