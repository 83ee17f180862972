"""Batch of clips: each is opened for the requests that need it; all are tracked and exported together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from aotlab import InputError, internal, sdk
from aotlab_studio.batch.clips import BatchClip, describe_document, find_clips, find_track_range
from aotlab_studio.batch.export import export_clip, format_problem, list_exports, withdraw_masks
from aotlab_studio.document.folder import read_levels
from aotlab_studio.document.log import Actor
from aotlab_studio.lock import find_owner
from aotlab_studio.protocol import Clip, ExportedClips
from aotlab_studio.review.output import THUMBNAIL, draw_thumbnail
from aotlab_studio.session.session import Session
from aotlab_studio.video import FrameStore, encode_jpeg

MAX_SENTENCES = 3
CLOSE_DELAY = 10.0
"""Seconds for which a clip stays open after its page has left, as the page may be reloaded."""

logger = logging.getLogger(__name__)


@dataclass
class OpenClip:
    session: Session
    people: list[str] = field(default_factory=list)
    """Person of each request in progress; empty for another program, or without a name."""
    cancel_timer: Callable[[], None] = lambda: None
    """Cancels the timer that closes the clip."""

    def find_other(self, person: str) -> str:
        """Return another person whose page uses the clip; empty without one, or if ``person`` is unknown."""
        return next((other for other in self.people if person and other not in ("", person)), "")


class Batch:
    """The clips of a folder. A clip is opened for a request, and closed when nothing uses it.

    Args:
        folder: folder of videos, or of the results of a list of videos; others raise `InputError`.
        open_session: opens the session of a folder of results or of a video, with ``project``.
    """

    def __init__(self, folder: Path, open_session: Callable[..., Session]) -> None:
        self.folder, self._open_session = folder, open_session
        if not find_clips(folder):
            raise InputError(f"{folder}: holds neither videos nor results of a batch; choose another folder")
        self._open: dict[str, OpenClip] = {}
        self._locks: dict[str, threading.RLock] = {}
        """Lock of each clip, held while it is opened or closed. Other clips need not wait."""
        self._export_lock = threading.Lock()
        self._tracking = ThreadPoolExecutor(1, "track all")
        self._tracking_runs: dict[str, Future[str]] = {}
        """Last tracking of each clip; its result is the error message, empty on success."""
        self._unexported: set[str] = set()
        """Clips that the running export has not written yet."""
        self._clips: dict[str, BatchClip] = {}
        """Clips of the last list by name; their files are read again only after a change."""

    def list_clips(self, person: str = "") -> list[Clip]:
        """Return all clips: failed ones, then by number of checks. A clip that ``person`` has open has no holder."""
        clips = dict[str, BatchClip]()
        for clip in find_clips(self.folder):
            previous = self._clips.get(clip.name, clip)
            clips[clip.name] = previous if previous.file_times == clip.file_times else clip
        self._clips = clips
        rows = [self._describe(clip, person) for clip in clips.values() if not clip.is_untouched]
        rows.sort(key=lambda row: (not row.error, -len(row.sentences)))
        return [msgspec.structs.replace(row, sentences=row.sentences[:MAX_SENTENCES]) for row in rows]

    # Opening

    @contextmanager
    def use(self, name: str, person: str, *, is_page: bool = False) -> Iterator[Session]:
        """Yield the session of a clip for a request of a person. The clip is closed after its last request.

        If the request is from a page, raises `InputError` while another person's page uses the clip.
        """
        page_person = person if is_page else ""
        with self._lock(name):
            clip = self._open.get(name) or self._open_clip(name)
            if is_page:
                self._require_free(name, person)
                if (run := self._tracking_runs.get(name)) is not None and run.done():
                    self._tracking_runs.pop(name, None)  # its error is shown until a page opens the clip
            clip.people.append(page_person)
        try:
            folder_lock = clip.session.document.database.folder_lock
            if folder_lock is not None and not clip.find_other(person):
                folder_lock.name_person(person)
            yield clip.session.with_actor(Actor(author=person))
        finally:
            with self._lock(name):
                clip.people.remove(page_person)
                self.close_if_unused(name, CLOSE_DELAY if is_page else 0.0)

    def close_if_unused(self, name: str, delay: float = 0.0) -> None:
        """Close a clip that no request uses, after ``delay`` seconds. While it is tracked, it stays open."""
        with self._lock(name):
            clip = self._open.get(name)
            if clip is None or clip.people:
                return
            clip.cancel_timer()
            if clip.session.runner.running_job:
                delay = CLOSE_DELAY
            if delay:
                timer = threading.Timer(delay, self.close_if_unused, [name])
                timer.daemon = True
                timer.start()
                clip.cancel_timer = timer.cancel
            else:
                self._close(name)

    def close(self) -> None:
        self._tracking.shutdown(wait=False, cancel_futures=True)
        self._tracking_runs.clear()
        for name in list(self._locks):
            self._close(name)

    def _close(self, name: str) -> None:
        with self._lock(name):
            if (clip := self._open.pop(name, None)) is not None:
                clip.cancel_timer()
                clip.session.close()

    def _open_clip(self, name: str) -> OpenClip:
        clip = self._find_clip(name)
        path = clip.path if clip.job.written else Path(clip.job.video)
        session = self._open_session(path, project=clip.project)
        session.document.shared = True
        return self._open.setdefault(name, OpenClip(session))

    def _require_free(self, name: str, person: str) -> None:
        """Raise `InputError` while another person's page uses an open clip."""
        if other := self._open[name].find_other(person):
            raise InputError(f"{name}: {other} has it open; choose another clip, or wait")

    def _lock(self, name: str) -> threading.RLock:
        return self._locks.setdefault(name, threading.RLock())

    def _find_clip(self, name: str) -> BatchClip:
        """Return a clip; raise `InputError` if it is missing or untouched."""
        clip = next((clip for clip in find_clips(self.folder) if clip.name == name), None)
        if clip is None or clip.is_untouched:
            raise InputError(f"{name[:80]}: no such clip in {self.folder}; open the list")
        return clip

    # Work on clips

    def track_all(self, person: str) -> int:
        """Track all clips that have drawn masks and untracked frames, one after the other; return their number."""
        waiting = {name for name, run in [*self._tracking_runs.items()] if not run.done()}
        names = sorted({clip.name for clip in self.list_clips() if clip.untracked} - waiting)
        for name in names:
            self._tracking_runs[name] = self._tracking.submit(self._track, name, person)
        return len(names)

    def export_all(self, outputs: Sequence[str], person: str = "") -> ExportedClips:
        """Write the masks of all corrected and accepted clips, with the same class ids in all of them.

        They replace the results of tracking; masks of a video go to ``NAME.masks`` beside it. Each clip gets the
        ``outputs`` besides those that it has. Raises `InputError` for an unknown output.
        """
        for output in outputs:
            sdk.find_output(output)
        with self._export_lock:
            exports = list_exports(find_clips(self.folder), outputs)
            classes = dict[str, int | None]()
            for export in exports:
                classes |= {name: class_id for name, class_id in export.classes.items() if classes.get(name) is None}
            class_ids = internal.merge_class_ids(self.folder / internal.CLASSES, classes) if classes else {}
            self._unexported = {export.clip.name for export in exports if export.outputs}
            try:
                for export in exports:
                    try:
                        withdraw_masks(export)
                        if export.outputs:
                            with self.use(export.clip.name, person) as session:
                                export_clip(export, session.document, class_ids)
                    except InputError as error:
                        export.problem = format_problem(export.clip, error)
                    self._unexported.discard(export.clip.name)
            finally:
                self._unexported.clear()
            return ExportedClips(
                [export.clip.name for export in exports if export.outputs and not export.problem],
                [export.problem for export in exports if export.problem],
                sorted(f"{export.clip.name} ({'; '.join(export.notes)})" for export in exports if export.notes),
            )

    def _track(self, name: str, person: str) -> str:
        """Track the range of a clip in both directions; return the error message, empty on success."""
        try:
            with self.use(name, person) as session:
                self._require_free(name, person)
                if (frames := find_track_range(session.document)) is None:
                    return ""  # tracked or accepted while it waited
                start, first, last = frames
                job = session.runner.start(session.document, start, "both", first, last)
                job.ended.wait()
                return job.problem or ""
        except InputError as error:
            return str(error)
        except Exception:
            logger.exception("%s: tracking failed", name)
            return "internal error; the program's output has the details"

    # Description

    def _describe(self, clip: BatchClip, person: str) -> Clip:
        name, opened = clip.name, self._open.get(clip.name)
        try:
            row = clip.row if opened is None else describe_document(name, opened.session.document)
            # with any other status, a person has dealt with the error
            error = clip.job.error or "" if row.status == "open" else ""
        except InputError as problem:
            row, error = Clip(name, clip.job.frames, objects=0), str(problem)
        lock = opened.session.document.database.folder_lock if opened is not None else None
        owner = lock.owner if lock is not None else find_owner(clip.project)
        if lock is not None and person == lock.owner.person:
            owner = None  # it is free for this person
        holder = "this program" if lock is not None and not lock.owner.person else str(owner or "")
        exporting = ["waits for export"] if name in self._unexported else []
        sentences = exporting or self._describe_tracking(name) or row.sentences
        return msgspec.structs.replace(row, holder=holder, error=error, sentences=sentences)

    def draw_thumbnail(self, name: str) -> bytes:
        """Return a JPEG of three frames with masks: the first, the least confident and the last one.

        Without a project, it is the thumbnail of tracking, or the first frame. Raises `InputError` for a missing clip.
        """
        clip = self._find_clip(name)
        document = clip.read_document()
        if document is None and (clip.path / THUMBNAIL).is_file():
            return (clip.path / THUMBNAIL).read_bytes()
        frames = FrameStore(Path(clip.job.video), levels=clip.job.levels or read_levels(clip.project))
        masks = {0: np.zeros(frames.size, np.uint16)}
        if document is not None and (annotated := document.snapshot.annotated_frames):
            snapshot = document.snapshot
            confidence = {index: [item.confidence for item in snapshot.scores(index).values()] for index in annotated}
            worst = min(annotated, key=lambda index: min(confidence[index], default=1.0))
            masks = {index: snapshot.labels(index) for index in (annotated[0], worst, annotated[-1])}
        images = [draw_thumbnail(frames.read(index), labels) for index, labels in masks.items()]
        return encode_jpeg(internal.concat_images(images), None)

    def _describe_tracking(self, name: str) -> list[str]:
        """Return the progress of `track_all` in a clip, or why it failed; empty if it did not track the clip."""
        run, clip = self._tracking_runs.get(name), self._open.get(name)
        if run is None or run.done():
            return [run.result()] if run is not None and run.result() else []
        job = clip.session.runner.running_job if clip else None
        return [f"tracking: {job.done} of {job.total} frames" if job else "waits for tracking"]
