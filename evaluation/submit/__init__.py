"""Submissions to the servers of benchmarks: a module for each format, and the table of formats."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from aotlab.evaluation.submit.archive import write_archive
from aotlab.evaluation.submit.burst import write_burst
from aotlab.evaluation.submit.results import SubmittedResults
from aotlab.evaluation.submit.sav import write_object_folders
from aotlab.evaluation.submit.visor import write_polygons
from aotlab.evaluation.submit.vot import write_boxes, write_referral

SUBMISSION_FORMATS: dict[str, tuple[str, Callable[[SubmittedResults, Path], int]]] = {
    "archive": (".zip", write_archive),
    "annotations_archive": (".zip", partial(write_archive, folder="Annotations")),
    "burst": (".json", write_burst),
    "sav": ("", write_object_folders),
    "visor": (".zip", write_polygons),
    "vot_boxes": ("", write_boxes),
    "vot_referral": ("", write_referral),
}
"""Suffix of the output ("" for a folder) and writer by format. Writers return the number of masks."""


def name_submission(results: Path, submission: str | None) -> Path:
    """Return the path of a submission in this format beside a folder of results."""
    suffix = SUBMISSION_FORMATS[submission][0] if submission else ""
    return Path(f"{results}{suffix or '.submission'}")
