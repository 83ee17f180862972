"""Export of masks in all outputs of `aotlab track`: of a video as a ZIP archive, of a batch into its results."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aotlab import InputError, draw_overlay, sdk
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import read_job
from aotlab_studio.document.log import FINAL_STATUSES, utc_now
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.files import (
    ExportRecord,
    find_roots,
    list_files,
    read_json,
    replace_files,
    stage_files,
    write_json,
)
from aotlab_studio.lock import LOCK
from aotlab_studio.protocol import ExportedClips
from aotlab_studio.review.output import ReviewFile
from aotlab_studio.session.clips import BatchClip
from aotlab_studio.video import FrameStore

LOCK_TIMEOUT = 10.0
"""Seconds to wait for a run that tracks the same clip."""
PROBABILITIES = ("mattes", "mattes16")
"""Outputs of probabilities, which a project does not store; its page does not offer them."""
VIDEOS = ("overlay", "prores", "vp9")
"""Outputs that hold every frame of the range, annotated or not."""


def read_prediction(snapshot: Snapshot, index: int) -> sdk.StoredPrediction:
    """Return the masks of a frame for outputs, with the objects that were drawn or tracked there."""
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
) -> None:
    """Write the masks of a range of frames. Frames without a result are left out, except of `VIDEOS`.

    Args:
        snapshot: visible masks, which must not change during the export (`snapshot_for_export`).
        classes: class ids by class name; None: the document's.
        on_frame: called with the number of frames done and in total; an error cancels.
    """
    if not names:
        raise InputError("export: choose an output, such as masks")
    outputs: dict[str, sdk.Output] = {}
    annotated = {index for index in snapshot.annotated_frames if first <= index <= last}
    if not annotated:
        raise InputError(f"export: frames {first} to {last} are not annotated; draw or track an object first")
    indices = range(first, last + 1) if any(name in VIDEOS for name in names) else sorted(annotated)
    class_names, attributes = snapshot.describe_objects()
    object_names = {item.id: item.name for item in snapshot.objects.values()}
    class_ids = snapshot.state.classes if classes is None else classes
    context = sdk.OutputContext(frames.source, sdk.ObjectClasses(class_names, class_ids, attributes))
    scores = {index: snapshot.scores(index) for index in sorted(annotated)}
    named_outputs: dict[str, Callable[..., sdk.Output]] = {
        "review": partial(ReviewFile, scores=scores),
        "overlay": partial(sdk.VideoFile, draw=partial(draw_names, names=object_names)),
    }
    try:
        for name in names:
            kind = sdk.find_output(name)
            outputs[name] = named_outputs.get(name, kind)(folder / kind.file_name, context)
        max_id = max(snapshot.objects, default=0)
        for done, index in enumerate(indices, start=1):
            image, prediction = frames.read(index, "export"), read_prediction(snapshot, index)
            drawn_ids = frozenset(snapshot.drawn_masks(index))
            tracked = sdk.TrackedFrame(index, image, prediction, frames.source.time(index), max_id, drawn_ids)
            for name, output in outputs.items():
                if index in annotated or name in VIDEOS:
                    output.write(frames.source.frame_name(index), tracked)
            on_frame(done, len(indices))
        for output in outputs.values():
            output.finish()
    except BaseException:
        for output in outputs.values():
            with suppress(Exception):  # the first error says more
                output.discard()
        raise


def snapshot_for_export(
    document: Document, first: int = 0, last: int | None = None
) -> tuple[Snapshot, dict[str, Any]]:
    """Return the current masks, which stay the same when tracking goes on, and their record for JSON."""
    with document.lock:
        snapshot, status = document.snapshot, document.status
        return snapshot, {
            "edit": snapshot.step, "status": status.value, "note": status.note,
            "digest": snapshot.masks_digest,  # reads all frames, which later tracking then does not change
            "outdated": snapshot.list_outdated(first, last), "person": document.actor.name, "time": utc_now(),
            "models": snapshot.list_models(), "objects": snapshot.objects_digest,
        }  # fmt: skip


def add_record(
    staging: Path, record_name: str, record: dict[str, Any], *, replaced: Set[str] = set(), archive: str = ""
) -> None:
    """Add the record of new outputs to their folder, and with a name, a ZIP archive of all.

    `replace_files` then replaces the last export and the files in ``replaced``. Raises `InputError` if another file is
    in the way.
    """
    old_files = {record_name, *replaced, *read_json(staging.parent / record_name, ExportRecord).files}
    names = [*sorted(list_files(staging)), record_name]
    files = [*names, archive] if archive else names
    roots = find_roots([*files, *old_files])
    for name in sorted({*list_files(staging.parent)} - old_files):
        if not roots.isdisjoint(find_roots([name])):
            raise InputError(f"{staging.parent / name}: not written by an export; move it away")
    write_json(staging / record_name, record | {"files": files}, indent=1)
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
            place = (left, float(rows.mean()))
            draw.text(place, name, "white", font, "lm", stroke_width=2, stroke_fill="black")
    return np.asarray(image)


def list_exports(
    clips: Sequence[BatchClip], outputs: Sequence[str]
) -> tuple[list[BatchClip], dict[str, int | None], ExportedClips]:
    """Return the corrected and accepted clips, their class ids by name, and the clips that are left out.

    Exported masks of rejected videos are renamed.
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
                _choose_outputs(clip, outputs)  # raises an error without one
                if is_shared:
                    raise InputError(f"other videos are exported to {clip.results.name} too; rename them")
                ready.append(clip)
                objects, class_ids = document.snapshot.objects.values(), document.snapshot.state.classes
                for name in [*(item.class_name or NO_CLASS for item in objects), *class_ids]:
                    if classes.get(name) is None:
                        classes[name] = class_ids.get(name)
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
    """Rename the exported masks of a video, which ``aotlab track --jobs`` would use; return a note if there are any."""
    if not (clip.results / sdk.CORRECTED_FILE).is_file():
        return ""
    targets = (clip.results.with_suffix(f".rejected{number or ''}.masks") for number in count())
    target = next(path for path in targets if not path.exists())
    with sdk.writing(target):
        clip.results.rename(target)
    return f"; its masks are in {target.name}"


def format_problem(clip: BatchClip, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder of its batch."""
    text = str(error).replace(f"{clip.path.parent}{os.sep}", "")
    return text if text.startswith(f"{clip.name}: ") else f"{clip.name}: {text}"


def _choose_outputs(clip: BatchClip, outputs: Sequence[str]) -> tuple[list[str], set[str], list[str]]:
    """Return the outputs to write, the tracked files to replace, and the `PROBABILITIES` to keep.

    Raises `InputError` if there is no output to write.
    """
    corrected = find_roots(read_json(clip.results / sdk.CORRECTED_FILE, ExportRecord).files)
    file_names = {name: sdk.find_output(name).file_name for name in sdk.list_outputs()}
    tracked = {*clip.job.written} - corrected - {sdk.CORRECTED_FILE}
    kept = [name for name in PROBABILITIES if file_names[name] in tracked and name not in outputs]
    tracked.difference_update(file_names[name] for name in kept)
    names = [name for name, file in file_names.items() if name in outputs or file in corrected | tracked]
    if not names:
        raise InputError("no output is chosen; choose one, such as masks")
    return names, tracked, kept


def export_clip(
    clip: BatchClip, document: Document, outputs: Sequence[str], classes: Mapping[str, int]
) -> list[str]:
    """Write the outputs of a clip, with class ids by name; return the `PROBABILITIES` that are kept as tracked.

    Raises `InputError` if the clip was changed or tracked again meanwhile.
    """
    job, results = clip.job, clip.results
    names, tracked, kept = _choose_outputs(clip, outputs)
    snapshot, record = snapshot_for_export(document)
    if record["status"] not in FINAL_STATUSES:
        raise InputError("changed during the export; accept it again")
    first, last = snapshot.editable_range
    with stage_files(results, sdk.CORRECTED_FILE) as staging:
        export_masks(document.frames, snapshot, staging, names, first=first, last=last, classes=classes)
        # files beside those of tracking, such as the scores of a review
        replaced = {*os.listdir(staging)} - {sdk.find_output(name).file_name for name in names}
        with sdk.locked(results / LOCK, LOCK_TIMEOUT, subject=results):
            if not clip.is_video and read_job(results) != job:
                raise InputError("tracked again during the export; look at it")
            for name in tracked:
                files = sdk.list_output_files(results / name, job)
                replaced.update(file.relative_to(results).as_posix() for file in files)
            add_record(staging, sdk.CORRECTED_FILE, record, replaced=replaced)
            # first, as after a kill in between, the digest of the masks says that they are not exported
            if not clip.is_video:
                class_names, _ = snapshot.describe_objects()
                sdk.write_job_record(results, replace(job, class_names=class_names, error=None))
            replace_files(staging, sdk.CORRECTED_FILE)
    return kept
