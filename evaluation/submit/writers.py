"""Formats of submissions by the names that data sets use."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aotlab.evaluation.submit.archive import write_archive
from aotlab.evaluation.submit.burst import write_burst
from aotlab.evaluation.submit.results import BenchmarkResults
from aotlab.evaluation.submit.sav import write_object_folders
from aotlab.evaluation.submit.visor import write_polygons


class SubmissionFormat(NamedTuple):
    """A format that a benchmark's server reads."""

    suffix: str
    """Suffix of the output; "" for a folder."""
    write: Callable[[BenchmarkResults, Path], int]
    """Function that writes results to an output and returns the number of masks."""


SUBMISSION_FORMATS = {
    "archive": SubmissionFormat(".zip", write_archive),
    "annotations_archive": SubmissionFormat(".zip", partial(write_archive, folder="Annotations")),
    "burst": SubmissionFormat(".json", write_burst),
    "sav": SubmissionFormat("", write_object_folders),
    "visor": SubmissionFormat(".zip", write_polygons),
}
