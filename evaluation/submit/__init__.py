"""Submissions to the servers of benchmarks: a module for each format, and the table of formats."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from aotlab.evaluation.submit.archive import write_archive
from aotlab.evaluation.submit.results import SubmittedResults
from aotlab.evaluation.submit.sav import write_object_folders
from aotlab.evaluation.submit.visor import write_polygons

SUBMISSION_FORMATS: dict[str, tuple[str, Callable[[SubmittedResults, Path], int]]] = {
    "archive": (".zip", write_archive),
    "annotations_archive": (".zip", partial(write_archive, folder="Annotations")),
    "sav": ("", write_object_folders),
    "visor": (".zip", write_polygons),
}
"""Suffix of the output ("" for a folder) and writer by format. Writers return the number of masks."""


def name_submission(results: Path, submission: str | None) -> Path:
    """Return the path of a submission in this format beside a folder of results."""
    suffix = SUBMISSION_FORMATS[submission][0] if submission else ""
    return Path(f"{results}{suffix or '.submission'}")
