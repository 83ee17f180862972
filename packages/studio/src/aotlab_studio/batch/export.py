"""Export of the corrected masks of a batch into its results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aotlab_video
from aotlab import InputError
from aotlab.utils.files import list_files
from aotlab.utils.locks import locked
from aotlab.utils.run_folder import EXPORT_RECORD, MASKS, RECORD
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import LOCK_TIMEOUT, digest_output, read_results
from aotlab_studio.document.gaps import describe_gaps
from aotlab_studio.document.lock import LOCK
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.session.export import ExportedMasks, add_record, export_masks, is_matte, snapshot_for_export
from aotlab_studio.utils.files import ExportRecord, read_json, stage_files, top_level_names
from aotlab_studio.utils.video import FrameStore

TO_DO = "to do"


@dataclass
class ClipExport:
    """Export of a clip: its outputs, or the reason why it is left out."""

    clip: BatchClip
    note: str = ""
    """What is left out, such as the clip without edits, outputs that stay as tracked, or frames without masks."""
    problem: str = ""
    """Error message if the clip cannot be exported."""
    outputs: Sequence[str] = ()
    """Outputs to write; empty if the clip is left out."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Options of the outputs by name: those with which they were tracked, and those of the export."""
    classes: Mapping[str, int | None] = field(default_factory=dict)
    """Class ids of the project by class name; None: any id."""


def list_exports(clips: Sequence[BatchClip], outputs: Sequence[str], options: Mapping[str, Any]) -> list[ClipExport]:
    """Return the exports of all clips that are tracked or edited."""
    exports = []
    folders = Counter(clip.export_folder for clip in clips)
    for clip in clips:
        try:
            if (document := clip.read_document()) is not None:
                if folders[clip.export_folder] > 1:
                    raise InputError(f"other videos are exported to {clip.export_folder.name} too; rename them")
                exports.append(_plan_export(clip, document, outputs, options))
            elif clip.is_listed and not clip.is_video:
                exports.append(ClipExport(clip, TO_DO))
        except InputError as error:
            exports.append(ClipExport(clip, problem=format_problem(clip, error)))
    return exports


def _plan_export(clip: BatchClip, document: Document, outputs: Sequence[str], options: Mapping[str, Any]) -> ClipExport:
    """Return the export of a clip; raise `InputError` if it cannot be exported."""
    if document.status == "to do":
        return ClipExport(clip, TO_DO)
    if warning := document.tracked_again_warning:
        raise InputError(warning)
    if not document.snapshot.annotated_frames:
        return ClipExport(clip, "no masks")
    kinds = {name: aotlab_video.make_output(name) for name in aotlab_video.list_outputs()}
    exported = top_level_names(read_json(clip.export_folder / EXPORT_RECORD, ExportRecord).files)
    current = {name for name, kind in kinds.items() if kind.file_name in exported}
    if not clip.is_video:
        current |= {MASKS, *clip.results.outputs}
    kept = [
        name for name, kind in kinds.items()
        if name in current and is_matte(kind) and kind.file_name not in exported and name not in outputs
    ]  # fmt: skip
    names = [name for name in kinds if name in {*current, *outputs} and name not in kept]
    if not names:
        raise InputError("no output is chosen; choose one, such as masks")
    class_names = [item.class_name or NO_CLASS for item in document.snapshot.objects.values()]
    classes = {**dict.fromkeys(class_names), **document.snapshot.state.classes}
    notes = [
        *(f"{name}: as tracked" for name in kept),
        *filter(None, [describe_gaps(document.snapshot)]),
    ]
    tracked = clip.results.output_options
    by_name = {name: {**tracked.get(name, {}), **options} for name in names}
    return ClipExport(clip, "; ".join(notes), "", names, by_name, classes)


def format_problem(clip: BatchClip, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder of the batch."""
    text = str(error).replace(f"{clip.path.parent}{os.sep}", "")
    return text if text.startswith(f"{clip.name}: ") else f"{clip.name}: {text}"


def export_clip(export: ClipExport, document: Document, classes: Mapping[str, int], target: Path | None = None) -> None:
    """Write the outputs of a clip with these class ids, into its own folder in ``target`` if that is given.

    Raises `InputError` if the clip was tracked again during the export, or the folder cannot be written.
    """
    clip = export.clip
    names = export.outputs
    folder = clip.export_folder if target is None else target / clip.export_folder.name
    snapshot, record = snapshot_for_export(document)
    if any((item.class_name or NO_CLASS) not in classes for item in snapshot.objects.values()):
        raise InputError("its classes changed during the export; export it again")
    first, last = snapshot.editable_range
    with ExitStack() as lock, stage_files(folder) as staging:
        exported = export_masks(
            document.frames, snapshot, staging, names, first=first, last=last, classes=classes,
            schema=document.schema, results=clip.results, options=export.options,
        )  # fmt: skip
        lock.enter_context(locked(folder / LOCK, LOCK_TIMEOUT, subject=folder))
        replaced = set[str]()
        if not clip.is_video and target is None:
            if read_results(folder) != clip.results:
                raise InputError("tracked again during the export; look at it")
            record.source_digest = digest_output(folder)
            replaced = _list_replaced(clip.results, names, document.frames, {*list_files(staging)})
            _correct_results(export, snapshot, exported, classes, staging).write(staging)
            removed = {aotlab_video.SOFT, aotlab_video.STATE_FILE, *top_level_names(replaced)}
            record.removed = sorted(removed.difference(os.listdir(staging)))
        add_record(staging, record, replaced=replaced)


def _correct_results(
    export: ClipExport, snapshot: Snapshot, exported: ExportedMasks, classes: Mapping[str, int], staging: Path
) -> aotlab_video.Results:
    """Return tracked results with the frames and outputs of an export, whose files are in a folder."""
    results = export.clip.results
    class_names, attributes = snapshot.describe_objects()
    names = {entry["name"] for entry in exported.entries}
    files = {name: aotlab_video.list_patterns(staging, entries, names) for name, entries in exported.outputs.items()}
    outputs = {**results.outputs, **files}
    del outputs[MASKS]  # which all results have
    return replace(
        results, entries=exported.entries, frames=len(exported.entries), outputs=outputs,
        objects=sorted(snapshot.objects),
        output_options=results.output_options | {
            name: aotlab_video.select_options(name, export.options[name]) for name in exported.outputs
        },
        classes=aotlab_video.ObjectClasses(class_names, {**classes}, attributes), protected=True, outdated=False,
        status="done", error=None,
    )  # fmt: skip


def _list_replaced(
    results: aotlab_video.Results, names: Collection[str], frames: FrameStore, written: Set[str]
) -> set[str]:
    """Return the files of tracked results that an export of these outputs replaces.

    In a folder, these are the files named after a frame, and those that the export has ``written``.
    """
    frame_names = {frames.source.frame_name(index) for index in range(frames.count)}
    replaced = {RECORD, results.journal}
    outputs = top_level_names(file for name in names for file in results.outputs.get(name, ()))
    for entry in (MASKS, aotlab_video.SOFT, *outputs):
        files = [*list_files(results.folder, entry)]
        replaced.update(file for file in files if file == entry or Path(file).stem in frame_names or file in written)
    return replaced
