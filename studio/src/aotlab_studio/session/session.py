"""Session of a video: prompts, tracking and export. Knows nothing of the web."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from aotlab import InputError, Prompt, internal, sdk
from aotlab_studio import protocol
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.editing import EDITS, Box, Clicks, EditResult, KeptPixels, Points, Reach, Shape
from aotlab_studio.document.folder import EXPORT
from aotlab_studio.document.log import Direction
from aotlab_studio.document.outdated import can_track, find_pending_frames, list_corrections, list_outdated
from aotlab_studio.document.painting import find_outlines
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.protocol import JobProgress
from aotlab_studio.review.checks import list_checks
from aotlab_studio.session.export import add_record, export_masks, snapshot_for_export
from aotlab_studio.session.prompting import (
    Prompter,
    PromptInput,
    PromptMode,
    center_points,
    choose_change,
    draw_prompted,
)
from aotlab_studio.tracking.jobs import JobRunner, MakeTracker, TrackingJob
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_studio.utils.files import stage_files

MAX_CHECKS = 500
MAX_CANCELED = 16
REPEATABLE_ACTIONS = [*(edit.__name__ for edit in EDITS), "undo", "redo", "segment", "set_done"]
"""Actions that need no connection, and whose message may arrive again."""


@dataclass(frozen=True)
class Session:
    """Prompts, tracking and export of a document. Other edits are functions of `editing`."""

    document: Document
    runner: JobRunner
    prompter: Prompter
    loader: TrackerLoader | None = None
    """Loads the models of the trackers; None: the page offers no choice."""
    video_id: str = field(default_factory=partial(secrets.token_hex, 8))
    _export_lock: threading.Lock = field(default_factory=threading.Lock)
    _canceled_exports: deque[int | None] = field(default_factory=partial(deque, maxlen=MAX_CANCELED))
    """Keys of the last canceled exports; None: all. The message of an export may come after its cancellation."""

    @classmethod
    def create(
        cls,
        document: Document,
        make_tracker: MakeTracker,
        prompter: Prompter | None = None,
        loader: TrackerLoader | None = None,
    ) -> Session:
        """Return a new session; without a prompter, it refuses prompts."""
        prompter = prompter or Prompter()
        prompter.listeners.add(document.emit)
        if loader is not None:
            loader.listeners.add(document.emit)
        return cls(document, JobRunner(document, make_tracker), prompter, loader)

    def describe(self) -> protocol.Description:
        """Return all that a page needs when it opens."""
        document = self.document
        job = self.runner.running_job
        frames = document.frames
        state = msgspec.structs.asdict(document.describe_page_state())
        return protocol.Description(
            **state, name=frames.name, project=document.header.id, video=self.video_id, frames=frames.count,
            size=frames.size, rate=float(frames.source.rate),
            timeline=document.timeline(),  # later than the state: pages expect no older marks
            models=[*self.loader.models] if self.loader else [], model=self.loader.chosen if self.loader else "",
            segmenters=[*self.prompter.segmenters], segmenter=self.prompter.chosen,
            repeatable_actions=REPEATABLE_ACTIONS, job=job.report() if job is not None else None,
            cut_off=find_cut_off(document.snapshot) if job is None else None,
            read_only=bool(document.read_only_warning),
            problems=[*filter(None, [document.read_only_warning, document.tracked_again_warning])],
        )  # fmt: skip

    def require_finished(self, first: int, last: int) -> None:
        """Raise `UnfinishedError` if frames of a range are outdated."""
        if not (ranges := list_outdated(self.document.snapshot, first, last)):
            return
        count = sum(last - first + 1 for first, last in ranges)
        texts = [f"{first} to {last}" if first < last else str(first) for first, last in ranges]
        frames = f"{internal.format_count(count, 'frame')} ({', '.join([*texts[:5], *('…' for _ in texts[5:6])])})"
        is_tracking = self.runner.running_job is not None or list_corrections(self.document.snapshot)
        cause = "a drawn mask has changed since, or tracking was cut off; unlock locked objects, and track again"
        text = f"Tracking has not finished: {frames}" if is_tracking else f"Outdated: {frames}; {cause}"
        raise UnfinishedError(f"{text}. Export the frames as they are?")

    def pause(self) -> None:
        """Pause the running job; raise `InputError` if none is running."""
        self._require_job("pause").pause()

    def resume(self) -> None:
        """Continue a paused job; raise `InputError` if no job is running."""
        self._require_job("resume").resume()

    def stop(self) -> None:
        """Stop the running job and keep its results; raise `InputError` if none is running."""
        self._require_job("stop")
        self.runner.stop()

    def close(self) -> None:
        """Stop jobs and exports; release the project."""
        self._canceled_exports.append(None)
        self.runner.close()
        self.prompter.listeners.discard(self.document.emit)
        if self.loader is not None:
            self.loader.listeners.discard(self.document.emit)
        self.document.close()

    def segment(
        self,
        frame: int,
        object_id: int | None,
        box: Box | None = None,
        positive: Clicks | None = None,
        negative: Clicks | None = None,
        scribble: Clicks | None = None,
        mode: PromptMode = "replace",
        keep: KeptPixels = "drawn",
    ) -> EditResult:
        """Segment the object at a box, clicks or a scribble, and draw its mask.

        Args:
            object_id: the object; None: a new one.
            scribble: points of a line on the object.
            mode: whether to replace the mask, to add to it, or to decide by the place of the prompt.
            keep: pixels that other objects keep; the others are taken.
        """
        document = self.document
        prompts = PromptInput(box, positive or [], negative or [], scribble or [])
        labels = document.snapshot.labels(frame)
        visible_mask = labels == object_id if object_id is not None else np.zeros(labels.shape, bool)
        change = choose_change(visible_mask, object_id, prompts, mode)
        if change.object_id is not None:
            editing.require_editable(document, change.object_id)
        document.snapshot.require_not_frozen([frame])
        self.runner.delay_corrections()
        return draw_prompted(document, self.prompter, frame, change, prompts, keep)

    def preview(self, frame: int, positive: Points) -> list[list[tuple[int, int]]]:
        """Return outlines of the mask that clicks would make; raise `InputError` for clicks outside the image."""
        protected = editing.find_protected_pixels(self.document, frame, None)
        mask = self.prompter.segment(self.document, frame, Prompt(center_points(positive), exclude=protected))
        return find_outlines(mask)

    def preview_shape(self, frame: int, object_id: int, shape: Shape, radius: Reach) -> list[list[tuple[int, int]]]:
        """Return outlines of the mask that `editing.reshape` would make."""
        mask = self.document.snapshot.labels(frame) == self.document.snapshot.find_object(object_id).id
        return find_outlines(editing.reshape_mask(mask, shape, radius))

    def set_model(self, name: str) -> None:
        """Choose the model of the next jobs, of all clips of a batch; raise `InputError` if it is not offered."""
        if self.loader is None:
            raise InputError(f"model {name[:40]!r}: this session offers no choice of models")
        self.loader.choose(name)

    def set_segmenter(self, name: str) -> None:
        """Choose the segmenter of prompts, of all clips of a batch; raise `InputError` if it is not offered."""
        self.prompter.choose(name)

    def track(
        self,
        frame: int,
        direction: Direction = "forward",
        first: int = 0,
        last: int | None = None,
        object_id: int | None = None,
    ) -> JobProgress:
        """Start a job with the arguments of `plan_request`; raise `InputError` if they are invalid, or a job runs."""
        return self.runner.start(frame, direction, first, last, object_id).report()

    def list_frames_to_check(self) -> list[protocol.FrameToCheck]:
        """Return the frames with the worst `MAX_CHECKS` checks, worst first, except those marked as checked."""
        snapshot = self.document.snapshot
        frames = dict[int, dict[int, list[str]]]()
        for check in list_checks(snapshot)[:MAX_CHECKS]:
            frames.setdefault(check.frame, {}).setdefault(check.object_id, []).append(check.description)
        frames_to_check = []
        for frame, reasons in frames.items():
            sentences = [f"{snapshot.objects[key].name} {', '.join(texts)}" for key, texts in reasons.items()]
            frames_to_check.append(protocol.FrameToCheck(frame, list(reasons), "; ".join(sentences)))
        return frames_to_check

    @property
    def archive(self) -> Path:
        """Archive of the last export, in a temporary folder if that of the project cannot be written."""
        folder = self.document.folder
        folder = folder if os.access(folder, os.W_OK) else Path(self._temporary_folder.name)
        return folder / EXPORT / f"{self.document.frames.name}.zip"

    @cached_property
    def _temporary_folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="aotlab-")

    def export(
        self,
        names: list[str],
        first: int = 0,
        last: int | None = None,
        force: bool = False,
        key: int | None = None,
        options: list[str] | None = None,
    ) -> protocol.ExportResult:
        """Replace the last export in the project's folder by the masks of a range of frames; see `archive`.

        Args:
            key: random number by which `cancel_export` cancels the export.
            options: names of the switches of outputs that are on, such as ``refine_edges``.
        """
        document = self.document
        folder = self.archive.parent
        start, end = document.snapshot.editable_range
        last = end if last is None else last
        if not (frames := range(max(first, start), min(last, end) + 1)):
            remedy = f"give a range within {start} to {end}, with the smaller number first"
            raise InputError(f"export: no frames from {first} to {last}; {remedy}")
        first, last = frames[0], frames[-1]

        def require_not_canceled() -> None:
            if {None, key} & {*self._canceled_exports}:
                raise InputError("export: canceled; nothing was written")

        def report(done: int, total: int) -> None:
            document.emit(protocol.ExportEvent(done, total))
            require_not_canceled()

        if not self._export_lock.acquire(blocking=False):
            raise InputError("export: another export is running; wait until it ends")
        try:
            require_not_canceled()
            with document.lock:
                if not force:
                    self.require_finished(first, last)
                snapshot, record = snapshot_for_export(document, first, last)
            with stage_files(folder, internal.EXPORT_RECORD) as staging:
                entries, _ = export_masks(
                    document.frames, snapshot, staging, names, first=first, last=last, schema=document.schema,
                    options=dict.fromkeys(names, dict.fromkeys(options or (), True)), on_frame=report,
                )  # fmt: skip
                add_record(staging, internal.EXPORT_RECORD, record, archive=self.archive.name)
        finally:
            self._export_lock.release()
        unclassed = sum(not item.class_name for item in snapshot.objects.values())
        writers = {name: sdk.find_mask_writer(name) for name in names if name in sdk.list_mask_formats()}
        has_attributes = not snapshot.objects.keys().isdisjoint(snapshot.state.attributes)
        without_attributes = [name for name, item in writers.items() if has_attributes and not item.attributes]
        return protocol.ExportResult(self.archive.name, len(frames) - len(entries), unclassed, without_attributes)

    def cancel_export(self, key: int) -> None:
        """Stop the export with this key, even if it has not begun; it leaves no file."""
        self._canceled_exports.append(key)

    def _require_job(self, action: str) -> TrackingJob:
        job = self.runner.running_job
        if job is None:
            raise InputError(f"{action}: nothing is being tracked")
        return job


def find_cut_off(snapshot: Snapshot) -> protocol.CutOff | None:
    """Return the newest request that still has frames to track; None without one."""
    for layer_id, layer in reversed(snapshot.state.layers.items()):
        if layer.kind in ("forward", "backward", "both") and can_track(snapshot, layer_id):
            pending = np.flatnonzero(find_pending_frames(snapshot, layer_id)).tolist()
            start, first, last = layer.reference_frame, layer.first, layer.last
            if layer.kind == "forward":
                start, first = pending[0] - 1, 0
            elif layer.kind == "backward":
                start, last = pending[-1] + 1, snapshot.count - 1
            ids = {*map(snapshot.state.resolve, layer.objects)} - {0}
            only = ids.pop() if layer.takes_from is not None else None
            return protocol.CutOff(len(pending), start, layer.kind, min(first, start), max(last, start), only)
    return None


class UnfinishedError(InputError):
    """A video is not finished. A person may repeat the action with ``force``."""
