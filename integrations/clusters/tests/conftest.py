"""Clips of the tests, tracked undisturbed."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def jobs(tmp_path_factory):
    """Three jobs."""
    from clips import write_clip

    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder, name, seed) for seed, name in enumerate(("a", "b", "c"))]


@pytest.fixture(scope="session")
def undisturbed(jobs, tmp_path_factory):
    """Results of the jobs, tracked one after another in this process."""
    pytest.importorskip("fsspec", reason="the recipes need fsspec (pip install fsspec)")
    from aotlab_clusters import run_job
    from clips import OPTIONS, read_results

    folder = tmp_path_factory.mktemp("undisturbed")
    for job in jobs:
        assert run_job(job, str(folder / job.name), options=OPTIONS).error is None
    return read_results(folder)
