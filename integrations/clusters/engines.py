"""Lists of videos on the workers of Ray, Dask and submitit; if a worker is killed, its job runs again on another."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import fsspec
from aotlab_clusters import JobResult, is_url, run_job

from aotlab import InputError, Job, RunOptions, TrackerOptions

RETRIES = 10
"""Times that a job may lose its worker."""


def track_with_ray(
    jobs: Sequence[Job],
    output: str,
    options: RunOptions,
    tracker: TrackerOptions | None = None,
    *,
    force: bool = False,
) -> list[JobResult]:
    """Track jobs on the Ray cluster that this process is connected to; on a GPU, each takes one.

    The device auto means a GPU if the cluster has any.
    """
    import ray

    device = (tracker or TrackerOptions()).device
    num_gpus = int(ray.cluster_resources().get("GPU", 0) > 0 if device == "auto" else device != "cpu")
    remote = ray.remote(num_gpus=num_gpus, max_retries=RETRIES)(run_job)
    return ray.get(submit(jobs, lambda job: remote.remote(job, f"{output}/{job.name}", tracker, options, force=force)))


def track_with_dask(
    jobs: Sequence[Job],
    output: str,
    options: RunOptions,
    client: Any,
    tracker: TrackerOptions | None = None,
    *,
    force: bool = False,
) -> list[JobResult]:
    """Track jobs on the workers of a `distributed.Client`; give each worker one thread and one GPU."""

    def submit_job(job: Job) -> Any:
        folder = f"{output}/{job.name}"
        return client.submit(run_job, job, folder, tracker, options, force=force, pure=False, retries=RETRIES)

    return client.gather(submit(jobs, submit_job))


def track_with_submitit(
    jobs: Sequence[Job],
    output: str,
    options: RunOptions,
    executor: Any,
    tracker: TrackerOptions | None = None,
    *,
    force: bool = False,
) -> list[JobResult]:
    """Track jobs as tasks of a `submitit.AutoExecutor`; a preempted or timed-out task is requeued and resumes."""
    import submitit

    class Requeued(submitit.helpers.Checkpointable):
        def __call__(self, job: Job) -> JobResult:
            return run_job(job, f"{output}/{job.name}", tracker, options, force=force)

    return [task.result() for task in submit(jobs, lambda job: executor.submit(Requeued(), job))]


def submit(jobs: Sequence[Job], submit_job: Callable[[Job], Any]) -> list[Any]:
    """Submit the jobs, the largest video first, so that no worker starts a long one at the end; return their tasks."""
    names = [job.name for job in jobs]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"job {repeated[0]}: another job has this name; rename one")
    tasks = {job.name: submit_job(job) for job in sorted(jobs, key=measure_video, reverse=True)}
    return [tasks[name] for name in names]


def measure_video(job: Job) -> int:
    """Return the size of a job's video in bytes; 0 if it is a stream or missing."""
    if not (job.is_stored or is_url(job.video)):
        return 0
    files, path = fsspec.core.url_to_fs(job.video)
    return files.du(path) if files.exists(path) else 0
