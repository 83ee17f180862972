"""Export of the masks of a video in the outputs of `aotlab track`, also as a ZIP archive."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aotlab import InputError, draw_overlay, internal, sdk
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import utc_now
from aotlab_studio.document.outdated import list_outdated
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.review.output import ReviewFile
from aotlab_studio.utils.files import ExportRecord, find_roots, list_files, read_json, write_json
from aotlab_studio.utils.video import FrameStore

PROBABILITY_OUTPUTS = ("mattes", "mattes16")
"""Outputs of probabilities. A project does not store these, so the page does not offer them."""
VIDEO_OUTPUTS = ("overlay", "prores", "vp9")
"""Outputs with every frame of the range, annotated or not."""


def describe_masks(snapshot: Snapshot, index: int) -> sdk.StoredPrediction:
    """Return the masks of a frame, with the objects that were drawn or tracked there."""
    scores = snapshot.scores(index)
    confidence = {key: scores[key].confidence for key in snapshot.objects if key in scores}
    disagreement = {key: item.disagreement for key, item in scores.items() if item.disagreement is not None}
    return sdk.StoredPrediction(snapshot.labels(index), confidence, disagreement)


def export_masks(
    frames: FrameStore,
    snapshot: Snapshot,
    folder: Path,
    names: Sequence[str],
    *,
    first: int,
    last: int,
    classes: Mapping[str, int] | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the masks of a range of frames; return the number of annotated ones. Only `VIDEO_OUTPUTS` hold others.

    Args:
        snapshot: visible masks from `snapshot_for_export`.
        classes: class ids by class name; None: those of the document.
        on_frame: called with the number of frames done and in total; an error that it raises cancels the export.
    """
    if not names:
        raise InputError("export: choose an output, such as masks")
    outputs: dict[str, sdk.Output] = {}
    annotated = {index for index in snapshot.annotated_frames if first <= index <= last}
    if not annotated:
        raise InputError(f"export: frames {first} to {last} are not annotated; draw or track an object first")
    indices = range(first, last + 1) if any(name in VIDEO_OUTPUTS for name in names) else sorted(annotated)
    class_names, attributes = snapshot.describe_objects()
    object_names = {item.id: item.name for item in snapshot.objects.values()}
    class_ids = snapshot.state.classes if classes is None else classes
    context = sdk.OutputContext(frames.source, sdk.ObjectClasses(class_names, class_ids, attributes))
    scores = {index: snapshot.scores(index) for index in sorted(annotated)}
    named_outputs: dict[str, Callable[..., sdk.Output]] = {
        "review": partial(ReviewFile, scores=scores),
        "overlay": partial(internal.VideoFile, draw=partial(draw_names, names=object_names)),
    }
    with ExitStack() as incomplete:
        for name in names:
            kind = sdk.find_output(name)
            outputs[name] = named_outputs.get(name, kind)(folder / kind.file_name, context)
            incomplete.callback(outputs[name].discard)
        max_id = max(snapshot.objects, default=0)
        for done, index in enumerate(indices, start=1):
            image, prediction = frames.read(index, "export"), describe_masks(snapshot, index)
            drawn_ids = frozenset(snapshot.drawn_masks(index))
            tracked = sdk.TrackedFrame(index, image, prediction, frames.source.time(index), max_id, drawn_ids)
            for name, output in outputs.items():
                if index in annotated or name in VIDEO_OUTPUTS:
                    output.write(frames.source.frame_name(index), tracked)
            on_frame(done, len(indices))
        for output in outputs.values():
            output.finish()
        incomplete.pop_all()
    return len(annotated)


def snapshot_for_export(document: Document, first: int = 0, last: int | None = None) -> tuple[Snapshot, ExportRecord]:
    """Return the visible masks, which later tracking does not change, and the record of an export without its files."""
    with document.lock:
        snapshot, status = document.snapshot, document.status
        record = ExportRecord(
            [], snapshot.step, status.value, status.note, list_outdated(snapshot, first, last), snapshot.list_models(),
            snapshot.content_digest, document.actor.author, utc_now(),
        )  # fmt: skip
    return snapshot, record  # the digest has looked up the layers of all frames


def add_record(
    staging: Path, record_name: str, record: ExportRecord, *, replaced: Set[str] = set(), archive: str = ""
) -> None:
    """Add the record of an export to its files in ``staging``, and a ZIP archive of them if it has a name.

    The export may also replace the files in ``replaced``. Raises `InputError` if it would replace any other file.
    """
    old_files = {record_name, *replaced, *read_json(staging.parent / record_name, ExportRecord).files}
    names = [*sorted(list_files(staging)), record_name]
    record.files = [*names, archive] if archive else names
    roots = find_roots([*record.files, *old_files])
    for name in sorted({*list_files(staging.parent)} - old_files):
        if not roots.isdisjoint(find_roots([name])):
            raise InputError(f"{staging.parent / name}: not written by an export; move it away")
    write_json(staging / record_name, record, indent=1)
    if archive:
        with (
            sdk.atomic_path(staging / archive) as path,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        ):
            for name in names:  # an archive holds no undecodable names
                file.write(staging / name, os.fsencode(name).decode(errors="backslashreplace"))


def draw_names(tracked: sdk.TrackedFrame, names: dict[int, str]) -> np.ndarray:
    """Return the frame with its objects and their names drawn over it: H×W×3 uint8."""
    labels = tracked.labels
    image = Image.fromarray(draw_overlay(tracked.frame, labels))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(max(12, labels.shape[0] // 30))
    for object_id, name in names.items():
        rows, columns = np.nonzero(labels == object_id)
        if len(rows):
            width = draw.textlength(name, font)
            left = min(max(2.0, columns.mean() - width / 2), max(2.0, labels.shape[1] - width - 2))
            position = (left, float(rows.mean()))
            draw.text(position, name, "white", font, "lm", stroke_width=2, stroke_fill="black")
    return np.asarray(image)
