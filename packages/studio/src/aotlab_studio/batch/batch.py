"""Batch of clips, which are listed, tracked and exported together."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

import aotlab_video
from aotlab import InputError
from aotlab.utils.files import writing
from aotlab_studio.batch.clips import BatchClip, describe_document, find_track_range, list_clips
from aotlab_studio.batch.export import export_clip, format_problem, list_exports
from aotlab_studio.batch.images import ClipImages
from aotlab_studio.batch.open_clips import OpenClips
from aotlab_studio.protocol import Clip, ExportedClips
from aotlab_studio.session.session import Session
from aotlab_studio.utils.files import read_json, write_json

logger = logging.getLogger(__name__)
TRACKING_FILE = ".aotlab-tracking.json"
"""Names of the clips that *Track all* still has to track, in the folder of the batch."""


class Batch:
    """The clips of a folder of videos, or of results of one or several videos; other folders raise `InputError`."""

    def __init__(self, folder: Path, open_session: Callable[..., Session]) -> None:
        self.folder = folder
        self._clips = {clip.name: clip for clip in list_clips(folder)}
        """Clips of the last list by name; their files are read again only after a change."""
        if not self._clips:
            raise InputError(f"{folder}: holds neither videos nor results; choose another folder")
        self.open_clips = OpenClips(self.find_clip, open_session)
        self.images = ClipImages()
        self._unreadable = dict[str, tuple[object, str]]()
        """State of the files, and error message, of each clip whose frames cannot be read."""
        self._export_lock = threading.Lock()
        self._tracking = ThreadPoolExecutor(1, "track all")
        self._tracking_runs: dict[str, Future[str]] = {}
        """Last tracking of each clip; its result is the error message, empty on success."""
        self._cut_off = {*read_json(folder / TRACKING_FILE, list[str])}  # clips that *Track all* has not tracked
        self._unexported: set[str] = set()  # clips that the running export has not written yet

    def list_clips(self) -> list[Clip]:
        """Return all clips: failed ones, then by number of frames to check, those that are done last."""
        self._clips = {clip.name: self._reuse(clip) for clip in list_clips(self.folder)}
        rows = [self._describe(clip) for clip in self._clips.values() if clip.is_listed]
        return sorted(rows, key=lambda row: (row.status == "done", not row.error, -row.frames_to_check))

    def find_clip(self, name: str) -> BatchClip:
        """Return a clip; raise `InputError` if the list lacks it. The folder is listed only for a new clip."""
        clip: BatchClip | None
        if (known := self._clips.get(name)) is not None and known.path.exists():
            clip = BatchClip(known.path.parent, known.path.name, is_video=known.is_video)
        else:
            clip = next((clip for clip in list_clips(self.folder) if clip.name == name), None)
        clip = clip and self._reuse(clip)
        if clip is None or not clip.is_listed:
            raise InputError(f"{name[:80]}: no such clip; open the list")
        return clip

    def _reuse(self, clip: BatchClip) -> BatchClip:
        """Return the clip of the last list if its files are unchanged, as it has read them."""
        known = self._clips.get(clip.name, clip)
        return known if known.file_states == clip.file_states else clip

    def check_frames(self, name: str) -> None:
        """Read a frame of a clip; if that fails, list the clip as unreadable until its files change."""
        with suppress(InputError):  # no such clip
            clip = self.find_clip(name)
            try:
                self.images.require_readable(clip)
                self._unreadable.pop(name, None)
            except InputError as error:
                self._unreadable[name] = clip.file_states, format_problem(clip, error)

    @contextmanager
    def use(self, name: str, *, is_page: bool = False) -> Iterator[Session]:
        """Yield the session of a clip for a request, as `OpenClips.use` does."""
        with self.open_clips.use(name, is_page=is_page) as session:
            if is_page and (run := self._tracking_runs.get(name)) is not None and run.done():
                self._tracking_runs.pop(name, None)  # its error is shown until a page opens the clip
            yield session

    def close(self) -> None:
        self._tracking.shutdown(wait=False, cancel_futures=True)
        self._tracking_runs.clear()
        self.open_clips.close()

    def track_all(self) -> int:
        """Track all clips that have drawn masks and untracked frames, one after the other; return their number."""
        waiting = {name for name, run in [*self._tracking_runs.items()] if not run.done()}
        names = sorted({clip.name for clip in self.list_clips() if clip.trackable} - waiting)
        self._remember({*names, *waiting})
        for name in names:
            self._tracking_runs[name] = self._tracking.submit(self._track, name)
        return len(names)

    def stop_tracking(self) -> None:
        """Stop `track_all`; the clip that is being tracked keeps its tracked frames."""
        self._remember(set())
        for name, run in [*self._tracking_runs.items()]:
            session = self.open_clips.get_session(name)
            if run.cancel():
                self._tracking_runs.pop(name, None)
            elif session is not None and not run.done() and (job := session.runner.running_job) is not None:
                job.stop()

    def _remember(self, names: set[str]) -> None:
        """Store the names of the clips that *Track all* still has to track."""
        self._cut_off = names
        with suppress(OSError, InputError):  # a folder that cannot be written
            if names:
                write_json(self.folder / TRACKING_FILE, sorted(names))
            else:
                (self.folder / TRACKING_FILE).unlink(missing_ok=True)

    def export_all(
        self,
        outputs: Sequence[str],
        *,
        options: Mapping[str, Any] = aotlab_video.NO_OPTIONS,
        folder: Path | None = None,
    ) -> ExportedClips:
        """Write the masks of all clips that have any, with the same class ids in all of them.

        They replace the results of tracking; results that nobody has edited or marked as done stay as they are. Masks
        of a video go to ``NAME.masks`` beside it. Each clip gets the ``outputs`` besides those that it has.
        ``options``: those that outputs get besides the ones that they have. ``folder``: folder to write to instead,
        with a folder for each clip.
        Raises `InputError` for an unknown output, or a folder that cannot be written.
        """
        if folder is not None and folder.resolve() == self.folder.resolve():
            folder = None
        if folder is not None:
            if not folder.is_absolute():
                raise InputError("not an absolute path", subject=f"folder {folder}", remedy="begin it with /")
            with writing(folder):
                folder.mkdir(exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
        for output in outputs:
            aotlab_video.make_output(output)
        with self._export_lock:
            exports = list_exports(list_clips(self.folder), outputs, options)
            classes = dict[str, int | None]()
            for export in exports:
                classes |= {name: class_id for name, class_id in export.classes.items() if classes.get(name) is None}
            class_ids = self._share_class_ids(classes, folder)
            self._unexported = {export.clip.name for export in exports if export.outputs}
            try:
                for export in exports:
                    try:
                        if export.outputs:
                            with self.use(export.clip.name) as session:
                                export_clip(export, session.document, class_ids, folder)
                    except InputError as error:
                        export.problem = format_problem(export.clip, error)
                    self._unexported.discard(export.clip.name)
            finally:
                self._unexported.clear()
            return ExportedClips(
                [export.clip.name for export in exports if export.outputs and not export.problem],
                [export.problem for export in exports if export.problem],
                sorted(f"{export.clip.name} ({export.note})" for export in exports if export.note),
            )

    def _share_class_ids(self, classes: Mapping[str, int | None], folder: Path | None) -> dict[str, int]:
        """Return the ids of classes, also of those of the list, in whose folder they are stored."""
        path = (folder or next(iter(self._clips.values())).path.parent) / aotlab_video.CLASSES
        if aotlab_video.has_results(self.folder) and not path.exists():  # no list
            return aotlab_video.add_class_ids({}, classes)
        return aotlab_video.merge_class_ids(path, classes) if classes else {}

    def _track(self, name: str) -> str:
        """Track the range of a clip in both directions; return the error message, empty on success."""
        try:
            with self.use(name) as session:
                if (frames := find_track_range(session.document)) is None:
                    return ""  # tracked or done while it waited
                start, first, last = frames
                job = session.runner.start(start, "both", first, last)
                if name not in self._cut_off:  # stopped just before
                    job.stop()
                job.ended.wait()
                if job.command != "interrupt":  # the program does not end
                    self._remember(self._cut_off - {name})
                return job.problem or ""
        except InputError as error:
            return str(error)
        except Exception:
            logger.exception("%s: tracking failed", name)
            return "internal error; the program's output has the details"

    def _describe(self, clip: BatchClip) -> Clip:
        name = clip.name
        session = self.open_clips.get_session(clip.name)
        try:
            row = clip.row if session is None else describe_document(name, session.document)
            # otherwise, a person has dealt with the error
            error = clip.results.problem or "" if row.status == "to do" else ""
        except InputError as problem:
            row = Clip(name, len(clip.results.entries), objects=0, unreadable=True)
            error = str(problem)
        states, text = self._unreadable.get(name, (None, ""))
        if states == clip.file_states:
            row = msgspec.structs.replace(row, unreadable=True)
            error = text
        is_tracking = (run := self._tracking_runs.get(name)) is not None and not run.done()
        is_cut_off = name in self._cut_off and row.trackable and run is None
        return msgspec.structs.replace(
            row, error=error, tracking=is_tracking, cut_off=is_cut_off, exporting=name in self._unexported,
            messages=self._describe_tracking(name) or row.messages,
        )  # fmt: skip

    def _describe_tracking(self, name: str) -> list[str]:
        """Return the progress of `track_all` in a clip, or why it failed; empty if it did not track the clip."""
        run = self._tracking_runs.get(name)
        session = self.open_clips.get_session(name)
        if run is None or run.done():
            return [run.result()] if run is not None and run.result() else []
        job = session.runner.running_job if session else None
        return [f"tracking: {job.done} of {job.total} frames" if job else "queued"]
