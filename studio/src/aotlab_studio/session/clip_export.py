"""Export of corrected clips into the folder of their batch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path, PurePosixPath

from aotlab import InputError
from aotlab.sdk import (
    CLASSES,
    CORRECTED_FILE,
    find_output,
    list_output_files,
    list_outputs,
    locked,
    merge_class_ids,
    write_job_record,
)
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import EXPORTED_STATUSES
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.files import ExportRecord, list_files, read_json, replace_outputs, write_json
from aotlab_studio.lock import LOCK
from aotlab_studio.opening import open_document
from aotlab_studio.protocol import ExportedClips
from aotlab_studio.review.batch import REVIEW_FILE, BatchClip, find_clips, write_batch_review
from aotlab_studio.session.export import PROBABILITIES, export_masks, freeze_export

LOCK_TIMEOUT = 10.0
"""seconds to wait for another export of the same clip"""


def export_clips(
    folder: Path,
    outputs: Sequence[str] = (),
    open_clip: Callable[[str], AbstractContextManager[Document]] | None = None,
) -> ExportedClips:
    """Replace the results of all corrected or accepted clips by the masks of their projects; update the review.

    All clips get the same class ids. Those of a folder of videos are written into ``NAME.masks`` beside the video.

    Args:
        folder: results of a batch, or a folder of videos.
        outputs: names of outputs to write besides those that a clip has, as a clip's results show the same masks.
        open_clip: opens the document of a clip by name, for a block; None: from its project.
    """
    for output in outputs:
        find_output(output)
    chosen, classes, problems, left_out = _choose_clips(folder)
    shared, written = merge_class_ids(folder / CLASSES, classes) if chosen else {}, []
    for clip in chosen:
        path = clip.project if clip.job is None else clip.path
        try:
            with open_clip(clip.name) if open_clip else closing(open_document(path)) as document:
                kept = _export_clip(clip, outputs, document, shared)
            written.append(clip.name)
            left_out += [f"{clip.name} ({output}: as tracked)" for output in kept]
        except InputError as error:
            problems.append(_format_problem(clip, error))
        except OSError as error:
            problem = f"cannot be written ({error.strerror}); free space, or check the permissions"
            problems.append(f"{clip.name}: {problem}")
    if (folder / REVIEW_FILE).is_file():
        write_batch_review(folder)
    return ExportedClips(written, problems, sorted(left_out))


def _choose_clips(folder: Path) -> tuple[list[BatchClip], dict[str, int | None], list[str], list[str]]:
    """Return the corrected and accepted clips, their class ids by name, error messages, and the other clips."""
    clips = find_clips(folder)
    if not any(clip.job or clip.project.is_dir() for clip in clips):
        raise InputError(
            f"{folder}: no clip is accepted; accept one, or give the --output folder of track --jobs"
        )
    chosen, problems, left_out, classes = [], [], [], dict[str, int | None]()
    for clip in sorted(clips, key=lambda clip: clip.name):
        try:
            document = clip.read_document()
            if document is None:
                left_out += [f"{clip.name} (open)"] if clip.job else []
            elif document.status.value in EXPORTED_STATUSES:
                chosen.append(clip)
                objects = document.snapshot.objects.values()
                classes |= {item.class_name or NO_CLASS: None for item in objects}
                classes |= document.snapshot.state.classes
            else:
                status = document.log.status.status if document.log.status else "open"
                if document.has_new_results and status in EXPORTED_STATUSES:
                    problem = f"tracked again since it was {status}; set its status again"
                    problems.append(f"{clip.name}: {problem}")
                else:
                    left_out.append(f"{clip.name} ({document.status.value})")
        except InputError as error:
            problems.append(_format_problem(clip, error))
    return chosen, classes, problems, left_out


def _format_problem(clip: BatchClip, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder of its batch."""
    text = str(error).replace(f"{clip.path.parent}{os.sep}", "")
    return text if text.startswith(f"{clip.name}: ") else f"{clip.name}: {text}"


def _export_clip(
    clip: BatchClip, outputs: Sequence[str], document: Document, classes: Mapping[str, int]
) -> list[str]:
    """Replace the outputs of a clip by its document's, and write others.

    `PROBABILITIES` of tracking are kept unless they are among ``outputs``; return their names.
    """
    job, results = clip.job, clip.path
    if job is None:
        results = results.with_name(f"{clip.name}.masks")
    snapshot, record = freeze_export(document)
    if record["status"] not in EXPORTED_STATUSES:
        raise InputError("changed during the export; accept it again")
    results.mkdir(exist_ok=True)
    replaceable = read_json(results / CORRECTED_FILE, ExportRecord).files
    corrected = {PurePosixPath(file).parts[0] for file in replaceable}
    file_names = {name: find_output(name).file_name for name in list_outputs()}
    tracked = {*(job.written if job else ())} - corrected
    kept = [name for name in PROBABILITIES if file_names[name] in tracked and name not in outputs]
    tracked.difference_update(file_names[name] for name in kept)
    names = [
        key for key, file_name in file_names.items() if key in outputs or file_name in corrected | tracked
    ]
    with tempfile.TemporaryDirectory(dir=results.parent, prefix=f".{results.name}.") as temporary:
        folder = Path(temporary)
        first, last = snapshot.editable_range
        export_masks(document.frames, snapshot, folder, names, first=first, last=last, classes=classes)
        record |= {"files": sorted(list_files(folder)), "objects": snapshot.objects_digest}
        for name in tracked:
            files = list_output_files(results / name, job) if job else []
            replaceable.update(file.relative_to(results).as_posix() for file in files)
        # with its files: the next export must know them after a kill
        write_json(folder / CORRECTED_FILE, record, indent=1)
        # its record, scores and thumbnail of a review
        replaceable.update({*os.listdir(folder)}.difference(file_names.values()))
        with locked(results / LOCK, LOCK_TIMEOUT, subject=results):
            replace_outputs(folder, results, replaceable)
            if job is not None:
                class_names, _ = snapshot.describe_objects()
                write_job_record(results, replace(job, class_names=class_names, error=None))
    return kept
