"""Export of masks in all outputs of `aotlab track`, as a ZIP archive, or into the results of a batch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aotlab import InputError, draw_overlay
from aotlab.sdk import (
    CLASSES,
    CORRECTED_FILE,
    JobRecord,
    ObjectClasses,
    Output,
    OutputContext,
    StoredPrediction,
    TrackedFrame,
    VideoFile,
    find_output,
    list_outputs,
    locked,
    merge_class_ids,
    write_job_record,
)
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import PROJECT_SUFFIX, read_job
from aotlab_studio.document.log import EXPORTED_STATUSES, utc_now
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.files import list_files, read_export, replace_outputs, write_json
from aotlab_studio.lock import LOCK
from aotlab_studio.opening import open_document
from aotlab_studio.protocol import ExportedClips
from aotlab_studio.review.batch import read_entries, update_review
from aotlab_studio.review.output import ReviewFile
from aotlab_studio.video import FrameStore

EXPORT_RECORD = "export.json"
"""record of `freeze_export`, beside the outputs"""
PROBABILITIES = ("mattes", "mattes16")
"""outputs of probabilities, which a project does not store; its page does not offer them"""
VIDEOS = ("overlay", "prores", "vp9")
"""outputs that hold every frame of the range, annotated or not"""
LOCK_TIMEOUT = 10.0
"""seconds to wait for another export of the same clip"""


def read_prediction(snapshot: Snapshot, index: int) -> StoredPrediction:
    """Return the masks of a frame for outputs, with the objects that were drawn or tracked there."""
    scores = snapshot.scores(index)
    confidence = {key: scores[key].confidence for key in snapshot.objects if key in scores}
    both_ways = {key: score.disagreement for key, score in scores.items() if score.disagreement is not None}
    return StoredPrediction(snapshot.labels(index), confidence, both_ways)


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
        snapshot: the document, which does not change meanwhile (`freeze_export`).
        names: outputs, of `list_outputs`.
        last: last frame, included.
        classes: class ids by class name; None: the document's.
        on_frame: called with the number of frames done and in total; an error cancels.
    """
    if not names:
        raise InputError("export: choose an output, such as masks")
    kinds = {name: find_output(name) for name in names}
    outputs: dict[str, Output] = {}
    annotated = {index for index in snapshot.annotated_frames if first <= index <= last}
    if not annotated:
        raise InputError(f"export: frames {first} to {last} are not annotated; draw or track an object first")
    indices = range(first, last + 1) if any(name in VIDEOS for name in names) else sorted(annotated)
    class_names, attributes = snapshot.describe_objects()
    object_names = {item.id: item.name for item in snapshot.objects.values()}
    class_ids = snapshot.state.classes if classes is None else classes
    context = OutputContext(frames, ObjectClasses(class_names, class_ids, attributes))
    try:
        for name, kind in kinds.items():
            path = folder / kind.file_name
            if name == "review":  # shows people which object it is
                outputs[name] = ProjectReview(
                    path, replace(context, classes=ObjectClasses(object_names)), snapshot
                )
            elif name == "overlay":
                outputs[name] = VideoFile(path, context, lambda tracked: draw_names(tracked, object_names))
            else:
                outputs[name] = kind(path, context)
        max_id = max(snapshot.objects, default=0)
        for done, index in enumerate(indices, start=1):
            image, prediction = frames.read(index, "export"), read_prediction(snapshot, index)
            drawn_ids = frozenset(snapshot.keyframe(index))
            tracked = TrackedFrame(index, image, prediction, frames.time(index), max_id, drawn_ids)
            for name, output in outputs.items():
                if index in annotated or name in VIDEOS:
                    output.write(frames.stem(index), tracked)
            on_frame(done, len(indices))
        for output in outputs.values():
            output.finish()
    except BaseException:
        for output in outputs.values():
            with suppress(Exception):  # the first error says more
                output.drop()
        raise


def freeze_export(
    document: Document, first: int = 0, last: int | None = None
) -> tuple[Snapshot, dict[str, Any]]:
    """Return what shows now, without what is tracked later, and its record for JSON."""
    with document.lock:
        snapshot, status = document.snapshot.freeze(), document.status
        return snapshot, {
            "edit": snapshot.entry, "status": status.value, "note": status.note, "digest": snapshot.digest,
            "outdated": snapshot.list_outdated(first, last), "person": document.actor.name, "time": utc_now(),
            "models": snapshot.list_models(),
        }  # fmt: skip


class ProjectReview(ReviewFile):
    """Review with the stored scores and the checks that the page shows."""

    def __init__(self, path: Path, context: OutputContext, snapshot: Snapshot) -> None:
        super().__init__(path, context)
        self._snapshot = snapshot

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Add one frame."""
        super().write(name, tracked)
        self._scores[tracked.index] = self._snapshot.scores(tracked.index)


def draw_names(tracked: TrackedFrame, names: dict[int, str]) -> np.ndarray:
    """Return the frame with its objects and their names drawn over it: H×W×3 uint8."""
    labels = tracked.labels
    image = Image.fromarray(draw_overlay(tracked.frame, labels))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(max(12, labels.shape[0] // 30))
    write = partial(draw.text, fill="white", font=font, stroke_width=2, stroke_fill="black")
    if not tracked.prediction.ids:
        write((4, 4), "no result")
    for object_id, name in names.items():
        rows, columns = np.nonzero(labels == object_id)
        if len(rows):
            width = draw.textlength(name, font)
            left = min(max(2.0, columns.mean() - width / 2), max(2.0, labels.shape[1] - width - 2))
            write((left, float(rows.mean())), name, anchor="lm")
    return np.asarray(image)


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
    names, classes, problems, left_out = _choose_clips(folder)
    shared, written = merge_class_ids(folder / CLASSES, classes) if names else {}, []
    for name in names:
        try:
            job = read_job(folder / name)
            path = folder / (f"{name}{PROJECT_SUFFIX}" if job is None else name)
            with open_clip(name) if open_clip else closing(open_document(path)) as document:
                results = folder / (f"{name}.masks" if job is None else name)
                kept = _export_clip(results, job, outputs, document, shared)
            written.append(name)
            left_out += [f"{name} ({output}: as tracked)" for output in kept]
        except InputError as error:
            problems.append(_format_problem(folder, name, error))
        except OSError as error:
            problem = f"cannot be written ({error.strerror}); free space, or check the permissions"
            problems.append(f"{name}: {problem}")
    update_review(folder)
    return ExportedClips(written, problems, sorted(left_out))


def _choose_clips(folder: Path) -> tuple[list[str], dict[str, int | None], list[str], list[str]]:
    """Return the corrected and accepted clips, their class ids by name, error messages, and the other clips."""
    projects = {path.name.removesuffix(PROJECT_SUFFIX): path for path in folder.glob(f"*{PROJECT_SUFFIX}")}
    tracked = {path.name for path in folder.glob("*") if read_job(path)}
    if not (projects or tracked):
        raise InputError(
            f"{folder}: no clip is accepted; accept one, or give the --output folder of track --jobs"
        )
    if (entries := read_entries(folder)) is not None:  # without the rows that were removed
        tracked &= {entry.name for entry in entries}
        projects = {entry.name: projects[entry.name] for entry in entries if entry.name in projects}
    names, problems, left_out, classes = [], [], [], dict[str, int | None]()
    for name, project in sorted(projects.items()):
        try:
            if (project / PROJECT_FILE).is_file():
                document = Document.read(project)
                status = document.log.status.status if document.log.status else "open"
                if document.status.value in EXPORTED_STATUSES:
                    names.append(name)
                    objects = document.snapshot.objects.values()
                    classes |= {item.class_name or NO_CLASS: None for item in objects}
                    classes |= document.snapshot.state.classes
                elif document.has_new_results and status in EXPORTED_STATUSES:
                    problems.append(f"{name}: tracked again since it was {status}; set its status again")
                else:
                    left_out.append(f"{name} ({document.status.value})")
        except InputError as error:
            problems.append(_format_problem(folder, name, error))
    left_out += [f"{name} (open)" for name in sorted(tracked - projects.keys())]
    return names, classes, problems, left_out


def _format_problem(folder: Path, name: str, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder."""
    text = str(error).replace(f"{folder}{os.sep}", "")
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"


def _export_clip(
    results: Path,
    job: JobRecord | None,
    outputs: Sequence[str],
    document: Document,
    classes: Mapping[str, int],
) -> list[str]:
    """Replace the outputs of a clip by a project's, and write others.

    The job's `PROBABILITIES` are kept unless they are among ``outputs``; return their names.

    Args:
        job: record of the job that has made the results, which gets the project's class names and no error.
    """
    snapshot, record = freeze_export(document)
    if record["status"] not in EXPORTED_STATUSES:
        raise InputError("changed during the export; accept it again")
    results.mkdir(exist_ok=True)
    replaceable = read_export(results / CORRECTED_FILE).files
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
        if tracked:  # its files are named like frames, or as now exported
            stems = {document.frames.stem(index) for index in range(snapshot.count)}
            for file in list_files(results):
                path = PurePosixPath(file)
                if path.parts[0] in tracked and (path.stem in stems or file in record["files"]):
                    replaceable.add(file)
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
