"""Export of the corrected clips of a list of videos into its results."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from aotlab import InputError
from aotlab.sdk import find_output, list_outputs, merge_class_ids
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import PROJECT_FILE, PROJECT_SUFFIX
from aotlab_studio.document.results import CORRECTED_FILE, JobRecord, open_results, read_job
from aotlab_studio.files import write_bytes
from aotlab_studio.protocol import ExportedClips
from aotlab_studio.review.batch import update_report
from aotlab_studio.server.export import export_masks, make_record

CLASSES = "classes.json"
"""class ids of all clips, beside their results"""


def export_clips(
    folder: Path,
    outputs: Sequence[str] = (),
    opened: Mapping[str, Document] | None = None,
    *,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> ExportedClips:
    """Replace the results of all corrected or accepted clips by the masks of their projects; update the review.

    Args:
        folder: results of a list of videos.
        outputs: names of outputs to write besides those that a clip has, as a clip's results show the same masks.
        opened: documents that this process has opened, by the clip's name.
        on_frame: called with the number of frames of a clip that are done and in total; an error cancels.

    Raises:
        InputError: an unknown output; no results of a list of videos; cancelled.
    """
    for output in outputs:
        find_output(output)
    jobs = {path.name: job for path in sorted(folder.glob("*")) if (job := read_job(path)) is not None}
    if not jobs:
        raise InputError(
            f"{folder}: no results of a list of videos; give the --output folder of track --jobs"
        )
    names, problems = [], []
    for name, job in jobs.items():
        project = folder / f"{name}{PROJECT_SUFFIX}"
        try:
            if not (project / PROJECT_FILE).is_file():
                continue
            if Document.read(project).status[0] not in ("corrected", "accepted"):
                continue
            with ExitStack() as leaving:
                document = (opened or {}).get(name)
                if document is None:
                    document = open_results(folder / name, job)
                    leaving.callback(document.close)
                _export_clip(folder / name, job, outputs, document, on_frame)
            names.append(name)
        except InputError as error:
            if str(error).startswith("export: cancelled"):
                raise
            problems.append(f"{name}: {error}")
    update_report(folder)
    return ExportedClips(names, problems)


def _export_clip(
    results: Path,
    job: JobRecord,
    outputs: Sequence[str],
    document: Document,
    on_frame: Callable[[int, int], None],
) -> None:
    """Replace the outputs of a job by those of a project, and write others."""
    existing = {*job.written, *(path.name for path in results.iterdir())}
    names = [name for name in list_outputs() if name in outputs or find_output(name).file_name in existing]
    classes: dict[str, int | None] = {item.name: None for item in document.snapshot.objects}
    shared = merge_class_ids(results.parent / CLASSES, classes | document.snapshot.classes)
    with tempfile.TemporaryDirectory(dir=results.parent, prefix=f".{results.name}.") as temporary:
        export_masks(document, Path(temporary), names, classes=shared, on_frame=on_frame)
        write_bytes(results / CORRECTED_FILE, make_record(document))
        for path in Path(temporary).iterdir():
            target = results / path.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
