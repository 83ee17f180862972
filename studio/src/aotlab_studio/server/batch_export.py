"""Export of the corrected clips of a batch into its results."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath

from aotlab import InputError
from aotlab.sdk import (
    CLASSES,
    CORRECTED_FILE,
    JobRecord,
    find_output,
    list_outputs,
    locked,
    merge_class_ids,
    write_job_record,
)
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import PROJECT_FILE, PROJECT_SUFFIX, read_job
from aotlab_studio.document.log import EXPORTED_STATUSES
from aotlab_studio.document.results import open_document
from aotlab_studio.files import describe_write_error, list_files, read_export, replace_written, write_json
from aotlab_studio.lock import LOCK
from aotlab_studio.protocol import ExportedClips
from aotlab_studio.review.batch import read_entries, update_review
from aotlab_studio.server.export import export_masks, list_classes, make_record

LOCK_TIMEOUT = 10.0
"""seconds to wait for another export of the same clip"""


def export_clips(
    folder: Path, outputs: Sequence[str] = (), opened: Mapping[str, Document] | None = None
) -> ExportedClips:
    """Replace the results of all corrected or accepted clips by the masks of their projects; update the review.

    All clips get the same class ids. Those of a folder of videos are written into ``NAME.masks`` beside the video.

    Args:
        folder: results of a batch, or a folder of videos.
        outputs: names of outputs to write besides those that a clip has, as a clip's results show the same masks.
        opened: documents that this process has opened, by the clip's name.

    Raises:
        InputError: an unknown output, or no results of a batch.
    """
    for output in outputs:
        find_output(output)
    listed = read_entries(folder)
    projects = {
        path.name.removesuffix(PROJECT_SUFFIX): path for path in sorted(folder.glob(f"*{PROJECT_SUFFIX}"))
    }
    if listed is not None:  # without the rows that were removed
        projects = {
            name: projects[name] for name in sorted(projects.keys() & {entry["name"] for entry in listed})
        }
    names, problems, left_out, classes = [], [], [], dict[str, int | None]()
    for name, project in projects.items():
        try:
            if (project / PROJECT_FILE).is_file():
                stored = Document.read(project)
                status = stored.log.status.status if stored.log.status else "open"
                if stored.status.value in EXPORTED_STATUSES:
                    names.append(name)
                    classes |= list_classes(stored.snapshot)
                elif stored.has_new_results and status in EXPORTED_STATUSES:
                    problems.append(f"{name}: tracked again since it was {status}; set its status again")
                else:
                    left_out.append(f"{name} ({stored.status.value})")
        except InputError as error:
            problems.append(f"{name}: {error}")
    tracked = {path.name for path in folder.glob("*") if read_job(path)}
    if not (projects or tracked):
        raise InputError(f"{folder}: no results of a batch; give the --output folder of track --jobs")
    untouched = tracked if listed is None else tracked & {entry["name"] for entry in listed}
    left_out += [f"{name} (open)" for name in sorted(untouched - projects.keys())]
    shared = merge_class_ids(folder / CLASSES, classes) if names else {}
    written = []
    for name in names:
        try:
            with ExitStack() as leaving:
                document, job = (opened or {}).get(name), read_job(folder / name)
                if document is None:
                    document = open_document(projects[name] if job is None else folder / name)
                    leaving.callback(document.close)
                target = folder / (f"{name}.masks" if job is None else name)
                _export_clip(target, job, outputs, document, shared)
            written.append(name)
        except InputError as error:
            problems.append(f"{name}: {error}")
        except OSError as error:
            problems.append(describe_write_error(name, error))
    update_review(folder)
    return ExportedClips(written, problems, left_out)


def _export_clip(
    results: Path,
    job: JobRecord | None,
    outputs: Sequence[str],
    document: Document,
    classes: Mapping[str, int],
) -> None:
    """Replace the outputs of a clip by a project's, and write others.

    Args:
        job: record of the job that has made the results, which gets the project's class names and no error.

    Raises:
        InputError: the clip is neither corrected nor accepted any more, or an output holds a file that neither the job
            nor an earlier export has written.
    """
    with document.lock:
        now = document.freeze()
        record = make_record(document, now)
    if record["status"] not in EXPORTED_STATUSES:
        raise InputError("changed during the export; accept it again")
    results.mkdir(exist_ok=True)
    exported = read_export(results / CORRECTED_FILE).files
    own = {*(job.written if job else ()), *(PurePosixPath(file).parts[0] for file in exported)}
    files = {name: find_output(name).file_name for name in list_outputs()}
    names = [name for name, file in files.items() if name in outputs or file in own]
    with tempfile.TemporaryDirectory(dir=results.parent, prefix=f".{results.name}.") as temporary:
        made = Path(temporary)
        export_masks(document.frames, now, made, names, classes=classes)
        record |= {"files": sorted(list_files(made)), "objects": now.objects_digest}
        if not exported:
            stems = {document.frames.stem(index) for index in range(now.count)}
            exported.update(_list_tracked(results, own, {*record["files"]}, stems))
        exported.update({*os.listdir(made)}.difference(files.values()))  # scores and thumbnail of a review
        with locked(results / LOCK, LOCK_TIMEOUT, subject=results):
            replace_written(made, results, exported)
            if job is not None:
                write_job_record(results, replace(job, class_names=now.describe_objects()[0], error=None))
            write_json(results / CORRECTED_FILE, record)


def _list_tracked(results: Path, outputs: set[str], names: set[str], stems: set[str]) -> Iterator[str]:
    """Yield the files in outputs of a job that are named like frames or files of an export, relative to its folder."""
    for file in list_files(results):
        path = PurePosixPath(file)
        if path.parts[0] in outputs and (path.stem in stems or file in names):
            yield file
