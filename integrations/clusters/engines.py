"""Lists of videos on the workers of Ray, Dask and submitit; a killed worker's job runs again elsewhere."""

from collections.abc import Sequence
from typing import Any

import fsspec
from aotlab_clusters import JobResult, is_url, run_job

from aotlab import Job, JobOptions, TrackerOptions

RETRIES = 10
"""times that a job may lose its worker"""


def track_with_ray(
    jobs: Sequence[Job],
    output: str,
    options: JobOptions,
    device: str = "cpu",
    tracker: TrackerOptions | None = None,
) -> list[JobResult]:
    """Track jobs on the Ray cluster that this process is connected to; on the device cuda, each takes one GPU."""
    import ray

    remote = ray.remote(num_gpus=int(device != "cpu"), max_retries=RETRIES)(run_job)
    tasks = {
        job.name: remote.remote(job, f"{output}/{job.name}", device, tracker, options)
        for job in largest_first(jobs)
    }
    return ray.get([tasks[job.name] for job in jobs])


def track_with_dask(
    jobs: Sequence[Job],
    output: str,
    options: JobOptions,
    client: Any,
    device: str = "cpu",
    tracker: TrackerOptions | None = None,
) -> list[JobResult]:
    """Track jobs on the workers of a `distributed.Client`; give each worker one thread and one GPU."""
    futures = {
        job.name: client.submit(
            run_job, job, f"{output}/{job.name}", device, tracker, options, pure=False, retries=RETRIES
        )
        for job in largest_first(jobs)
    }
    return client.gather([futures[job.name] for job in jobs])


def track_with_submitit(
    jobs: Sequence[Job],
    output: str,
    options: JobOptions,
    executor: Any,
    device: str = "cpu",
    tracker: TrackerOptions | None = None,
) -> list[JobResult]:
    """Track jobs as tasks of a `submitit.AutoExecutor`; a preempted or timed-out task is requeued and resumes."""
    import submitit

    class Requeued(submitit.helpers.Checkpointable):
        def __call__(self, job: Job) -> JobResult:
            return run_job(job, f"{output}/{job.name}", device, tracker, options)

    tasks = {job.name: executor.submit(Requeued(), job) for job in largest_first(jobs)}
    return [tasks[job.name].result() for job in jobs]


def largest_first(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs with the largest video first, so that no worker starts a long one at the end."""

    def size(job: Job) -> int:
        if not (job.is_stored or is_url(job.video)):  # a stream
            return 0
        files, path = fsspec.core.url_to_fs(job.video)
        return files.du(path) if files.exists(path) else 0

    return sorted(jobs, key=size, reverse=True)
