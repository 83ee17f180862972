"""Export of the corrected masks of a batch into its results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import count

from aotlab import InputError, internal, sdk
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import read_job
from aotlab_studio.document.log import FINAL_STATUSES
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.files import ExportRecord, find_roots, read_json, stage_files
from aotlab_studio.lock import LOCK
from aotlab_studio.protocol import ExportedClips
from aotlab_studio.session.export import PROBABILITY_OUTPUTS, add_record, export_masks, snapshot_for_export

LOCK_TIMEOUT = 10.0
"""Seconds to wait for a run that tracks the same clip."""


def list_exports(
    clips: Sequence[BatchClip], outputs: Sequence[str]
) -> tuple[list[BatchClip], dict[str, int | None], ExportedClips]:
    """Return the corrected and accepted clips, their class ids by name, and a report of the other clips.

    Masks of rejected videos that were exported before are renamed.
    """
    ready, classes, exported = list[BatchClip](), dict[str, int | None](), ExportedClips([], [], [])
    folders = Counter(clip.results for clip in clips)
    for clip in clips:
        if clip.is_untouched:
            continue
        try:
            document, is_shared = clip.read_document(), folders[clip.results] > 1
            if document is None:
                exported.left_out.extend([] if clip.is_video else [f"{clip.name} (open)"])
            elif document.status.value in FINAL_STATUSES:
                _, _, kept = _choose_outputs(clip, outputs)
                if is_shared:
                    raise InputError(f"other videos are exported to {clip.results.name} too; rename them")
                ready.append(clip)
                exported.left_out.extend(f"{clip.name} ({output}: as tracked)" for output in kept)
                class_ids = document.snapshot.state.classes
                names = [item.class_name or NO_CLASS for item in document.snapshot.objects.values()]
                classes |= {name: class_ids.get(name) for name in [*names, *class_ids] if classes.get(name) is None}
            else:
                set_status = document.log.status.status if document.log.status else "open"
                if document.unimported_digest and set_status in FINAL_STATUSES:
                    raise InputError(f"tracked again since it was {set_status}; set its status again")
                status = document.status.value
                has_masks = status == "rejected" and clip.is_video and not is_shared
                note = _rename_rejected(clip) if has_masks else ""
                exported.left_out.append(f"{clip.name} ({status}{note})")
        except InputError as error:
            exported.problems.append(format_problem(clip, error))
    return ready, classes, exported


def _rename_rejected(clip: BatchClip) -> str:
    """Rename exported masks, so that ``aotlab track --jobs`` does not use them; return a note, empty without any."""
    if not (clip.results / internal.CORRECTED_FILE).is_file():
        return ""
    targets = (clip.results.with_suffix(f".rejected{number or ''}.masks") for number in count())
    target = next(path for path in targets if not path.exists())
    with internal.writing(target):
        clip.results.rename(target)
    return f"; its masks are in {target.name}"


def format_problem(clip: BatchClip, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder of the batch."""
    text = str(error).replace(f"{clip.path.parent}{os.sep}", "")
    return text if text.startswith(f"{clip.name}: ") else f"{clip.name}: {text}"


def _choose_outputs(clip: BatchClip, outputs: Sequence[str]) -> tuple[list[str], set[str], list[str]]:
    """Return the outputs to write, the tracked files that they replace, and the `PROBABILITY_OUTPUTS` that stay.

    Raises `InputError` without an output to write.
    """
    corrected = find_roots(read_json(clip.results / internal.CORRECTED_FILE, ExportRecord).files)
    file_names = {name: sdk.find_output(name).file_name for name in internal.list_outputs()}
    tracked = {*clip.job.written} - corrected - {internal.CORRECTED_FILE}
    kept = [name for name in PROBABILITY_OUTPUTS if file_names[name] in tracked and name not in outputs]
    tracked.difference_update(file_names[name] for name in kept)
    names = [name for name, file in file_names.items() if name in outputs or file in corrected | tracked]
    if not names:
        raise InputError("no output is chosen; choose one, such as masks")
    return names, tracked, kept


def export_clip(clip: BatchClip, document: Document, outputs: Sequence[str], classes: Mapping[str, int]) -> None:
    """Write the outputs of a clip with these class ids.

    Raises `InputError` if the clip was changed or tracked again during the export.
    """
    job, results = clip.job, clip.results
    names, tracked, _ = _choose_outputs(clip, outputs)
    snapshot, record = snapshot_for_export(document)
    if record.status not in FINAL_STATUSES:
        raise InputError("changed during the export; accept it again")
    first, last = snapshot.editable_range
    with ExitStack() as lock, stage_files(results, internal.CORRECTED_FILE) as staging:
        export_masks(document.frames, snapshot, staging, names, first=first, last=last, classes=classes)
        # files beside those of tracking, such as the scores of a review
        replaced = {*os.listdir(staging)} - {sdk.find_output(name).file_name for name in names}
        lock.enter_context(internal.locked(results / LOCK, LOCK_TIMEOUT, subject=results))
        if not clip.is_video and read_job(results) != job:
            raise InputError("tracked again during the export; look at it")
        for name in tracked:
            files = internal.list_output_files(results / name, job)
            replaced.update(file.relative_to(results).as_posix() for file in files)
        add_record(staging, internal.CORRECTED_FILE, record, replaced=replaced)
        # first, as after a kill in between, the digest of the masks says that they are not exported
        if not clip.is_video:
            class_names, _ = snapshot.describe_objects()
            internal.write_job_record(results, replace(job, class_names=class_names, error=None))
