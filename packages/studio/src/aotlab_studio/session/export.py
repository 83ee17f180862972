"""Export of the masks of a video in the outputs of `aotlab track`, also as a ZIP archive."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import aotlab_video
from aotlab import InputError, sdk
from aotlab.utils.files import list_files
from aotlab.utils.run_folder import EXPORT_RECORD
from aotlab_studio.document.document import Document
from aotlab_studio.document.exports import ExportContext
from aotlab_studio.document.log import utc_now
from aotlab_studio.document.schema import Schema
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import list_outdated
from aotlab_studio.utils.files import ExportRecord, read_json, top_level_names, write_json
from aotlab_studio.utils.video import FrameStore


class ExportedMasks(NamedTuple):
    """Annotated frames and outputs of an export."""

    entries: list[dict[str, Any]]
    """A line for each annotated frame, as in `Results.entries`."""
    outputs: dict[str, list[str]]
    """Names of the files and folders of each output, the main one first."""


def is_matte(output: aotlab_video.Output) -> bool:
    """Return whether an output shows the probability of each object.

    A project does not store probabilities, so the page does not offer mattes.
    """
    return output.needs_soft and output.per_object


def describe_masks(
    frames: FrameStore,
    snapshot: Snapshot,
    index: int,
    *,
    soft: bool = False,
    plate: bool = False,
    cuts: Collection[int] = (),
) -> aotlab_video.TrackedFrame:
    """Return a frame with its masks, of the objects that were drawn or tracked there.

    Args:
        soft: add probabilities, 0 or 1.
        plate: add the frame as its source stores it.
        cuts: frames after cuts.
    """
    scores, labels = snapshot.scores(index), snapshot.labels(index)
    confidence = {key: scores[key].confidence for key in snapshot.objects if key in scores}
    masks = labels == np.array([*confidence], labels.dtype)[:, None, None] if soft else None
    return aotlab_video.TrackedFrame(
        index=index,
        name=frames.source.frame_name(index),
        frame=frames.read(index, "export"),
        labels=labels,
        confidence=confidence,
        time=frames.source.time(index),
        annotated_ids=frozenset(snapshot.drawn_masks(index)),
        cut=index in cuts,
        disagreement={key: item.disagreement for key, item in scores.items() if item.disagreement is not None},
        max_id=max(snapshot.objects, default=0),
        soft=None if masks is None else aotlab_video.quantize_probabilities(masks),
        stored_plate=frames.source.read_plate(index) if plate else None,
    )


def export_masks(
    frames: FrameStore,
    snapshot: Snapshot,
    folder: Path,
    names: Sequence[str],
    *,
    first: int,
    last: int,
    classes: Mapping[str, int] | None = None,
    schema: Schema | None = None,
    results: aotlab_video.Results | None = None,
    options: Mapping[str, Mapping[str, Any]] = aotlab_video.NO_OPTIONS,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> ExportedMasks:
    """Write the masks of a range of frames. Those that are not annotated have no objects.

    Args:
        snapshot: visible masks from `snapshot_for_export`.
        classes: class ids by class name; None: those of the document.
        schema: classes for formats that store them; None: those of the objects.
        results: tracked results, with cuts, whose soft edges stay on frames with the same masks; others have alpha of
            0 or 1.
        options: options that are not the default by name of the output.
        on_frame: called with the number of frames done and in total; an error that it raises cancels the export.
    """
    if not names:
        raise InputError("export: choose an output, such as masks")
    annotated = {index for index in snapshot.annotated_frames if first <= index <= last}
    if not annotated:
        raise InputError(f"export: frames {first} to {last} are not annotated; draw or track an object first")
    outputs = {name: aotlab_video.make_output(name, options.get(name, {})) for name in names}
    class_names, attributes = snapshot.describe_objects()
    class_ids = {**(snapshot.state.classes if classes is None else classes)}
    classes_of_objects = aotlab_video.ObjectClasses(class_names, class_ids, attributes)
    context = ExportContext(
        frames.source, classes_of_objects, objects=tuple(snapshot.objects),
        names={item.id: item.name for item in snapshot.objects.values()}, schema=schema or Schema(),
        scores={index: snapshot.scores(index) for index in sorted(annotated)},
    )  # fmt: skip
    cuts = set[int]() if results is None else {entry["index"] for entry in results.entries if entry.get("cut")}
    stored = {entry["index"]: entry for entry in results.entries} if results is not None and results.soft else {}
    soft = bool(stored) or any(output.needs_soft for output in outputs.values())
    plate = any(output.needs_image for output in outputs.values())
    entries = list[dict[str, Any]]()
    with ExitStack() as incomplete:
        for name, output in outputs.items():
            output.open(folder / f".{name}" / output.file_name, context)
            incomplete.callback(output.discard)
        for index in range(first, last + 1):
            frame = describe_masks(frames, snapshot, index, soft=soft, plate=plate, cuts=cuts)
            if results is not None and index in stored:
                frame = keep_soft(frame, results, stored[index])
            if stored and index in annotated:
                with sdk.atomic_path(folder / aotlab_video.SOFT / f"{frame.name}.png") as path:
                    aotlab_video.write_soft(path, frame)
            for output in outputs.values():
                output.write(frame)
            if index in annotated:
                entries.append(aotlab_video.describe_frame(frame))
            on_frame(index + 1 - first, last + 1 - first)
        for output in outputs.values():
            output.finish()
        incomplete.pop_all()
    return ExportedMasks(entries, {name: _move_output(output, folder) for name, output in outputs.items()})


def keep_soft(
    frame: aotlab_video.TrackedFrame, results: aotlab_video.Results, entry: Mapping[str, Any]
) -> aotlab_video.TrackedFrame:
    """Return a frame with the soft edges of tracked results, if its masks are the same and the edges are readable."""
    with suppress(InputError):
        stored = results.read_frame(entry, frame.frame)
        if {*stored.ids} == {*frame.ids} and stored.soft is not None and np.array_equal(stored.labels, frame.labels):
            return replace(frame, soft=stored.soft[[stored.ids.index(object_id) for object_id in frame.ids]])
    return frame


def _move_output(output: aotlab_video.Output, folder: Path) -> list[str]:
    """Move the files of an output from its own folder to ``folder``; return their names, the main one first."""
    staging, main = output.path.parent, output.path.name
    if not staging.exists():  # nothing to write
        return []
    names = sorted(os.listdir(staging), key=lambda name: (name != main, name))
    for name in names:
        (staging / name).replace(folder / name)
    staging.rmdir()
    return names


def snapshot_for_export(document: Document, first: int = 0, last: int | None = None) -> tuple[Snapshot, ExportRecord]:
    """Return the visible masks, which later tracking does not change, and the record of an export without its files."""
    with document.lock:
        snapshot = document.snapshot
        record = ExportRecord(
            [], snapshot.step, document.status, list_outdated(snapshot, first, last), snapshot.list_models(),
            snapshot.content_digest, utc_now(),
        )  # fmt: skip
    return snapshot, record  # the digest has looked up the layers of all frames


def add_record(staging: Path, record: ExportRecord, *, replaced: Set[str] = set(), archive: str = "") -> None:
    """Add the record of an export to its files in ``staging``, and a ZIP archive of them if it has a name.

    The export may also replace the files in ``replaced``. Raises `InputError` if it would replace any other file.
    """
    name = EXPORT_RECORD
    old_files = {name, *replaced, *read_json(staging.parent / name, ExportRecord).files}
    names = [*sorted(list_files(staging)), name]
    record.files = [*names, archive] if archive else names
    roots = top_level_names([*record.files, *old_files])
    for other in sorted({*list_files(staging.parent)} - old_files):
        if not roots.isdisjoint(top_level_names([other])):
            raise InputError(f"{staging.parent / other}: not written by an export; move it away")
    write_json(staging / name, record, indent=1)
    if archive:
        with (
            sdk.atomic_path(staging / archive) as path,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        ):
            for entry in names:  # an archive holds no undecodable names
                file.write(staging / entry, os.fsencode(entry).decode(errors="backslashreplace"))
