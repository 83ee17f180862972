"""Session of a video: prompts, tracking, status and export. Knows nothing of the web."""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from aotlab import InputError, OutputOptions, Prompt, internal, sdk
from aotlab_studio import protocol
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.editing import EDITS, Box, Clicks, EditResult, Points
from aotlab_studio.document.folder import EXPORT
from aotlab_studio.document.log import Actor, Direction, FrameRange, NonNegativeInt, VideoStatus
from aotlab_studio.document.outdated import list_corrections, list_outdated
from aotlab_studio.document.painting import find_outlines, is_far_from, limit_to_prompt
from aotlab_studio.document.review import FINISHED_STATUSES, REVIEW_EDITS, describe_gaps
from aotlab_studio.protocol import JobProgress, OutdatedChoice, OutdatedPolicy
from aotlab_studio.review.checks import list_checks
from aotlab_studio.session.export import add_record, export_masks, is_matte, snapshot_for_export
from aotlab_studio.tracking.jobs import JobRunner, MakeTracker, TrackingJob
from aotlab_studio.tracking.models import TrackerLoader, import_tracker
from aotlab_studio.utils.files import stage_files

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""Function from a frame H×W×3 uint8 and prompts by object id to H×W ids."""
MAX_WAIT = 3600.0
"""Largest number of seconds that a status or an export waits for corrections."""
MAX_CHECKS = 500
REPEATABLE_ACTIONS = [*(edit.__name__ for edit in (*EDITS, *REVIEW_EDITS)), "undo", "redo", "suggest", "set_status"]
"""Actions that need no connection, and whose message may arrive again."""


class LazySegmenter:
    """A segmenter that loads its model at the first prompt; sessions may share it."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.is_loaded = False

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        import_tracker()
        labels = self._segmenter(frame, prompts)
        self.is_loaded = True
        return labels


class Session:
    """Prompts, tracking, status and export of a document. Other edits are functions of `editing`.

    Args:
        make_tracker: returns the tracker for a job.
        segmenter: turns prompts into a mask; None: prompts are refused.
        loader: loads the models that ``make_tracker`` uses; None: the page offers no choice.
    """

    def __init__(
        self,
        document: Document,
        make_tracker: MakeTracker,
        segmenter: Segmenter | None = None,
        loader: TrackerLoader | None = None,
    ) -> None:
        self.document, self.segmenter, self.loader = document, segmenter, loader
        self.runner = JobRunner(document, make_tracker)
        if loader is not None:
            loader.listeners.add(document.emit)
        self.video_id = secrets.token_hex(8)
        self._export_lock = threading.Lock()
        self._canceled_exports: set[int | None] = set()
        """Keys of canceled exports; None: all. The message of an export may come after its cancellation."""

    def with_actor(self, actor: Actor) -> Session:
        """Return a view of this session whose edits an actor makes; see `Document.with_actor`."""
        view = copy.copy(self)
        view.document = self.document.with_actor(actor)
        return view

    def describe(self) -> protocol.Description:
        """Return all that a page needs when it opens."""
        document, job = self.document, self.runner.running_job
        frames, state = document.frames, msgspec.structs.asdict(document.describe_page_state())
        kinds = {name: sdk.find_output(name) for name in internal.list_outputs()}
        return protocol.Description(
            **state, name=frames.name, project=document.header.id, video=self.video_id, frames=frames.count,
            size=frames.size, rate=float(frames.source.rate), shared=document.shared,
            timeline=document.timeline(),  # later than the state: pages expect no older marks
            outputs={
                name: f"{kind.file_name}: {kind.description}" for name, kind in kinds.items() if not is_matte(kind)
            },
            models=[*self.loader.models] if self.loader else [], model=self.loader.chosen if self.loader else "",
            repeatable_actions=REPEATABLE_ACTIONS, job=job.report() if job is not None else None,
            problems=[*filter(None, [document.read_only_warning, document.tracked_again_warning])],
        )  # fmt: skip

    def require_current(
        self, action: str, outdated: OutdatedPolicy, first: int = 0, last: int | None = None, gaps: str = ""
    ) -> list[FrameRange]:
        """Return the outdated frames of a range. Without ``proceed``, raise `UnfinishedError` for them or ``gaps``."""
        ranges = list_outdated(self.document.snapshot, first, last)
        if (ranges or gaps) and outdated != "proceed":
            can_wait = bool(ranges) and (
                self.runner.running_job is not None or bool(list_corrections(self.document.snapshot))
            )
            raise UnfinishedError(action, ranges, gaps, can_wait=can_wait)
        return ranges

    def set_status(
        self,
        status: VideoStatus,
        note: Annotated[str, Meta(max_length=100)] = "",
        outdated: OutdatedPolicy = "ask",
        digest: str | None = None,
        step: NonNegativeInt | None = None,
        seen: NonNegativeInt | None = None,
    ) -> None:
        """Store the status of the visible masks. Raises `UnfinishedError`, or `InputError` after changes by others.

        Args:
            outdated: what to do about outdated frames and, to accept the video, about frames without masks.
            digest: `Review.digest` in the list that the person has seen; None: it is not checked.
            step: last step that the person has seen; later ones must not have changed masks or objects. None: the
                current step.
            seen: `Review.status_count` that the person has seen; None: it is not checked.
        """
        document = self.document
        name, remedy = document.frames.name, "look at it, then set the status again"
        document.rules.refresh()
        with document.lock:
            step = document.log.head if step is None else step
            if digest not in (None, document.review.digest):
                raise InputError(f"{name}: changed since the list was read; {remedy}")
        self._wait_for_tracking(outdated)
        with document.lock:
            if step > len(document.log.steps) or not document.take_snapshot(step).shows_same(document.snapshot):
                raise InputError(f"{name}: changed meanwhile; {remedy}")
            document.review.require_allowed(status, seen)
            gaps = describe_gaps(document.snapshot) if status == "accepted" else ""
            is_finished = status in FINISHED_STATUSES
            known_outdated = self.require_current("accept", outdated, gaps=gaps) if is_finished else []
            document.review.set_status(status, note, known_outdated, seen)

    def pause(self) -> None:
        """Pause the running job; raise `InputError` if none is running."""
        self._require_job("pause").pause()
        self.runner.wake()

    def resume(self) -> None:
        """Continue a paused job; raise `InputError` if no job is running."""
        self._require_job("resume").resume()

    def stop(self) -> None:
        """Stop the running job and keep its results; raise `InputError` if none is running."""
        self._require_job("stop")
        self.runner.stop()

    def close(self) -> None:
        """Stop jobs and exports; release the project."""
        self._canceled_exports.add(None)
        self.runner.close()
        if self.loader is not None:
            self.loader.listeners.discard(self.document.emit)
        self.document.close()

    def suggest(
        self,
        frame: int,
        object_id: int | None,
        box: Box | None = None,
        positive: Clicks | None = None,
        negative: Clicks | None = None,
        scribble: Clicks | None = None,
        extend: bool = False,
        overwrite: bool = False,
        separate: bool = False,
        keep_others: bool = False,
    ) -> EditResult:
        """Segment the object at a box, clicks or a scribble, and draw its mask.

        Args:
            object_id: the object; None: a new one.
            scribble: points of a line on the object.
            extend: add to the object's mask instead of replacing it.
            overwrite: take pixels of other objects' drawn masks too; pixels of tracked masks are always taken.
            separate: away from the object's mask, make a new object. On it, clicks or a scribble grow the mask near
                them, or shrink it if all are negative.
            keep_others: take no pixel of another object, unless ``overwrite`` is set.
        """
        positive, negative, stroke = positive or [], negative or [], scribble or []
        document, labels = self.document, self.document.snapshot.labels(frame)
        visible_mask = np.zeros(labels.shape, bool) if object_id is None else labels == object_id
        added_points, mode = [*positive, *stroke], "extend" if extend else "replace"
        if separate and is_far_from(visible_mask, box, [*positive, *stroke[:1], *stroke[-1:]]):
            object_id = None
        elif separate and box is None and visible_mask.any():
            mode = "correct"
        elif separate and box is None and not added_points:
            raise InputError("remove: the object has no mask on this frame; click on the object first")
        if object_id is not None:
            editing.require_editable(document, object_id)
        document.snapshot.require_not_frozen([frame])
        kept = {"overwrite": overwrite, "keep_others": keep_others}
        protected = editing.find_protected_pixels(document, frame, object_id, **kept)
        signs = [1] * len(positive) + [0] * len(negative)
        previous_mask = visible_mask if mode == "correct" else None
        prompt = Prompt([*positive, *negative], signs, box, stroke, mask=previous_mask, exclude=protected)
        self.runner.delay_corrections()
        mask = self._segment(frame, prompt)
        with document.lock:
            # again, as others may have drawn in the meantime
            protected = editing.find_protected_pixels(document, frame, object_id, **kept) & mask
            mask &= ~protected
            if mode != "correct" and not mask.any():
                others = " but pixels of other objects, drawn, locked or hidden" if protected.any() else ""
                remedy = "Try a tighter box, a click, or the brush, which takes drawn pixels too"
                raise InputError(f"nothing found there{others}; nothing was changed. {remedy}")

            def edit(before: np.ndarray) -> np.ndarray:
                after = before | mask if mode == "extend" else mask
                if mode == "correct":
                    after = limit_to_prompt(before, mask, added_points or negative, positive=bool(added_points))
                    if after.any() and (after == before).all():
                        raise InputError("nothing found at the click; use the brush or the eraser")
                if not after.any():
                    raise InputError("nothing would be left of the object; press M if it is not on this frame")
                return after

            result = editing.edit_mask(document, frame, object_id, edit, "prompt")
        return msgspec.structs.replace(result, protected_pixels=int(protected.sum()))

    def preview(self, frame: int, positive: Points) -> list[list[tuple[int, int]]]:
        """Return outlines of the mask that clicks would make; raise `InputError` for clicks outside the image."""
        protected = editing.find_protected_pixels(self.document, frame, None)
        return find_outlines(self._segment(frame, Prompt(positive, exclude=protected)))

    def set_model(self, name: str) -> None:
        """Choose the model of the next jobs, of all clips of a batch; raise `InputError` if it is not offered."""
        if self.loader is None:
            raise InputError(f"model {name[:40]!r}: this session offers no choice of models")
        self.loader.choose(name)

    def track(
        self,
        frame: int,
        direction: Direction = "forward",
        first: int = 0,
        last: int | None = None,
        object_id: int | None = None,
    ) -> JobProgress:
        """Start a job with the arguments of `plan_request`; raise `InputError` if they are invalid, or a job runs."""
        return self.runner.start(self.document, frame, direction, first, last, object_id).report()

    def review(self) -> list[protocol.FrameToCheck]:
        """Return the frames with the worst `MAX_CHECKS` checks, worst first, except those marked as checked."""
        snapshot, frames = self.document.snapshot, dict[int, dict[int, list[str]]]()
        for check in list_checks(snapshot)[:MAX_CHECKS]:
            frames.setdefault(check.frame, {}).setdefault(check.object_id, []).append(check.description)
        frames_to_check = []
        for frame, reasons in frames.items():
            sentences = [f"{snapshot.objects[key].name} {', '.join(texts)}" for key, texts in reasons.items()]
            frames_to_check.append(protocol.FrameToCheck(frame, list(reasons), "; ".join(sentences)))
        return frames_to_check

    @property
    def archive(self) -> Path:
        """Archive of the last export."""
        return self.document.folder / EXPORT / f"{self.document.frames.name}.zip"

    def export(
        self,
        names: list[str],
        first: int = 0,
        last: int | None = None,
        outdated: OutdatedPolicy = "ask",
        key: int | None = None,
        refine_edges: bool = False,
    ) -> protocol.ExportResult:
        """Replace the last export in the project's folder by the masks of a range of frames; see `archive`.

        Args:
            key: random number by which `cancel_export` cancels the export.
            refine_edges: whether alpha follows the colors of the frames near the borders of masks.
        """
        document, folder = self.document, self.archive.parent
        options = dict.fromkeys(names, OutputOptions(refine_edges=refine_edges))
        start, end = document.snapshot.editable_range
        last = end if last is None else last
        if not (frames := range(max(first, start), min(last, end) + 1)):
            remedy = f"give a range within {start} to {end}, with the smaller number first"
            raise InputError(f"export: no frames from {first} to {last}; {remedy}")
        first, last = frames[0], frames[-1]

        def require_not_canceled() -> None:
            if not self._canceled_exports.isdisjoint((None, key)):
                raise InputError("export: canceled; nothing was written")

        def report(done: int, total: int) -> None:
            document.emit(protocol.ExportEvent(done, total))
            require_not_canceled()

        if not self._export_lock.acquire(blocking=False):
            raise InputError("export: another export is running; wait until it ends")
        try:
            self._wait_for_tracking(outdated, require_not_canceled)
            with document.lock:
                self.require_current("export", outdated, first, last)
                snapshot, record = snapshot_for_export(document, first, last)
            with stage_files(folder, internal.EXPORT_RECORD) as staging:
                entries, _ = export_masks(
                    document.frames, snapshot, staging, names, first=first, last=last, options=options,
                    on_frame=report,
                )  # fmt: skip
                add_record(staging, internal.EXPORT_RECORD, record, archive=self.archive.name)
        finally:
            self._export_lock.release()
        unclassed = sum(not item.class_name for item in snapshot.objects.values())
        return protocol.ExportResult(self.archive.name, len(frames) - len(entries), unclassed)

    def cancel_export(self, key: int) -> None:
        """Stop the export with this key, even if it has not begun; it leaves no file."""
        self._canceled_exports.add(key)
        self.runner.wake()

    def _require_job(self, action: str) -> TrackingJob:
        job = self.runner.running_job
        if job is None:
            raise InputError(f"{action}: nothing is being tracked")
        return job

    def _wait_for_tracking(self, outdated: OutdatedPolicy, check: Callable[[], object] = lambda: None) -> None:
        """With ``wait``, wait for tracking. A pause, `MAX_WAIT` or an error of ``check`` ends the wait."""
        if outdated == "wait":
            if (job := self.runner.running_job) is not None:
                job.resume()
            self.runner.wait(MAX_WAIT, check)

    def _segment(self, frame: int, prompt: Prompt) -> np.ndarray:
        """Return the mask that the segmenter makes of a prompt, H×W bool."""
        if self.segmenter is None:
            raise InputError("prompt: this session has no segmenter; draw the mask")
        image, segmenter = self.document.frames.read(frame), self.segmenter
        if is_first := isinstance(segmenter, LazySegmenter) and not segmenter.is_loaded:
            self.document.emit(protocol.LoadingEvent(True))
        try:
            return segmenter(image, {1: prompt}) == 1
        finally:
            if is_first:
                self.document.emit(protocol.LoadingEvent(False))


class UnfinishedError(InputError):
    """Frames are outdated or have no masks. A person may repeat the action with one of ``choices`` as ``outdated``."""

    def __init__(self, action: str, ranges: list[FrameRange], gaps: str = "", *, can_wait: bool) -> None:
        problems, remedy = [gaps] if gaps else [], "Track or draw them"
        if ranges:
            texts = ", ".join(f"{first} to {last}" if first < last else str(first) for first, last in ranges[:5])
            texts += ", …" if len(ranges) > 5 else ""
            count = sum(last - first + 1 for first, last in ranges)
            problem = ": a drawn mask has changed since, or tracking was cut off"
            remedy = "Track them again (unlock locked objects first)"
            if can_wait:
                problem, remedy = ", and tracking has not finished", "Let it finish"
            problems.append(f"{count} {'frame is' if count == 1 else 'frames are'} outdated ({texts}){problem}")
        super().__init__(f"{'; '.join(problems)}. {remedy}, or {action} them as they are?")
        self.choices: list[OutdatedChoice] = ["wait", "proceed"] if can_wait else ["proceed"]
