"""Export of the corrected masks of a batch into its results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count

from aotlab import InputError, internal, sdk
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import read_job
from aotlab_studio.document.lock import LOCK
from aotlab_studio.document.log import FINAL_STATUSES, VideoStatus
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.session.export import PROBABILITY_OUTPUTS, add_record, export_masks, snapshot_for_export
from aotlab_studio.utils.files import ExportRecord, find_roots, read_json, stage_files

LOCK_TIMEOUT = 10.0
"""Seconds to wait for a run that tracks the same clip."""


@dataclass
class ClipExport:
    """Export of a clip: its outputs, or the reason why it is left out."""

    clip: BatchClip
    status: VideoStatus = "open"
    note: str = ""
    """What is left out: the clip, by its status, or outputs that stay as they were tracked."""
    problem: str = ""
    """Error message if the clip cannot be exported."""
    outputs: Sequence[str] = ()
    """Outputs to write; empty if the clip is left out."""
    replaced: Set[str] = frozenset()
    """Files of the tracked results that the outputs replace."""
    classes: Mapping[str, int | None] = field(default_factory=dict)
    """Class ids of the project by class name; None: any id."""


def list_exports(clips: Sequence[BatchClip], outputs: Sequence[str]) -> list[ClipExport]:
    """Return the exports of all clips that are tracked or edited."""
    exports, folders = [], Counter(clip.results for clip in clips)
    for clip in clips:
        try:
            if (document := clip.read_document()) is not None:
                if folders[clip.results] > 1:
                    raise InputError(f"other videos are exported to {clip.results.name} too; rename them")
                exports.append(_plan_export(clip, document, outputs))
            elif clip.is_listed and not clip.is_video:
                exports.append(ClipExport(clip, note="open"))
        except InputError as error:
            exports.append(ClipExport(clip, problem=format_problem(clip, error)))
    return exports


def _plan_export(clip: BatchClip, document: Document, outputs: Sequence[str]) -> ClipExport:
    """Return the export of a clip; raise `InputError` if it cannot be exported."""
    status, last_status = document.status.value, document.log.status
    if status not in FINAL_STATUSES:
        if document.unimported_digest and last_status is not None and last_status.status in FINAL_STATUSES:
            raise InputError(f"tracked again since it was {last_status.status}; set its status again")
        return ClipExport(clip, status, status)
    corrected = find_roots(read_json(clip.results / internal.CORRECTED_FILE, ExportRecord).files)
    files = {name: sdk.find_output(name).file_name for name in internal.list_outputs()}
    tracked = {*clip.job.written} - corrected - {internal.CORRECTED_FILE}
    kept = [name for name in PROBABILITY_OUTPUTS if files[name] in tracked and name not in outputs]
    replaced = tracked - {files[name] for name in kept}
    names = [name for name, file in files.items() if name in outputs or file in corrected | replaced]
    if not names:
        raise InputError("no output is chosen; choose one, such as masks")
    class_names = [item.class_name or NO_CLASS for item in document.snapshot.objects.values()]
    classes = {**dict.fromkeys(class_names), **document.snapshot.state.classes}
    return ClipExport(clip, status, "; ".join(f"{name}: as tracked" for name in kept), "", names, replaced, classes)


def withdraw_masks(export: ClipExport) -> None:
    """Rename the exported masks of a rejected video, so that ``aotlab track --jobs`` does not use them.

    Raises `InputError` if they cannot be renamed.
    """
    results = export.clip.results
    if export.clip.is_video and export.status == "rejected" and (results / internal.CORRECTED_FILE).is_file():
        targets = (results.with_suffix(f".rejected{number or ''}.masks") for number in count())
        target = next(path for path in targets if not path.exists())
        with internal.writing(target):
            results.rename(target)
        export.note = f"rejected; its masks are in {target.name}"


def format_problem(clip: BatchClip, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder of the batch."""
    text = str(error).replace(f"{clip.path.parent}{os.sep}", "")
    return text if text.startswith(f"{clip.name}: ") else f"{clip.name}: {text}"


def export_clip(export: ClipExport, document: Document, classes: Mapping[str, int]) -> None:
    """Write the outputs of a clip with these class ids.

    Raises `InputError` if the clip was changed or tracked again during the export.
    """
    clip, names, job, results = export.clip, export.outputs, export.clip.job, export.clip.results
    snapshot, record = snapshot_for_export(document)
    if record.status not in FINAL_STATUSES:
        raise InputError("changed during the export; accept it again")
    first, last = snapshot.editable_range
    with ExitStack() as lock, stage_files(results, internal.CORRECTED_FILE) as staging:
        export_masks(document.frames, snapshot, staging, names, first=first, last=last, classes=classes)
        # side files of outputs, such as the scores of a review
        replaced = {*os.listdir(staging)} - {sdk.find_output(name).file_name for name in names}
        lock.enter_context(internal.locked(results / LOCK, LOCK_TIMEOUT, subject=results))
        if not clip.is_video and read_job(results) != job:
            raise InputError("tracked again during the export; look at it")
        for name in export.replaced:
            files = internal.list_output_files(results / name, job)
            replaced.update(file.relative_to(results).as_posix() for file in files)
        add_record(staging, internal.CORRECTED_FILE, record, replaced=replaced)
        # before the masks: after a kill in between, the digest in the old record shows that they are not exported
        if not clip.is_video:
            class_names, _ = snapshot.describe_objects()
            sdk.write_job_record(results, replace(job, class_names=class_names, status="done", error=None))
