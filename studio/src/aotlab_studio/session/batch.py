"""A batch: opening, status, tracking and export of its clips."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np

from aotlab import InputError, sdk
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Actor, Document
from aotlab_studio.document.folder import read_levels
from aotlab_studio.document.log import FINAL_STATUSES, FrameRange
from aotlab_studio.document.objects import NO_CLASS
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.files import clean_up, read_exported, read_stamp, stage_files
from aotlab_studio.lock import LOCK, read_owner
from aotlab_studio.protocol import Clip, ExportedClips
from aotlab_studio.review.checks import list_checks
from aotlab_studio.review.output import THUMBNAIL, draw_thumbnail
from aotlab_studio.session.clips import BatchClip, find_clips
from aotlab_studio.session.export import PROBABILITIES, export_masks, replace_export, snapshot_for_export
from aotlab_studio.session.session import Session
from aotlab_studio.video import FrameStore, encode_jpeg

MAX_SENTENCES = 3
RELEASE_SECONDS = 10.0
"""seconds after which a clip that no page shows is released, for a page that is reloaded"""
LOCK_TIMEOUT = 10.0
"""seconds to wait for a run that tracks the same clip"""

log = logging.getLogger(__name__)


@dataclass
class OpenClip:
    """A clip that is open in this program."""

    session: Session
    person: str = ""
    """who uses it; empty: unknown"""
    pages: int = 0
    """connected pages"""
    requests: int = 0
    """requests that are being answered, pages included"""
    timer: threading.Timer | None = None
    """releases it, unless a request comes before"""

    def cancel_timer(self) -> None:
        """Cancel its release."""
        if self.timer is not None:
            self.timer.cancel()


class Batch:
    """The clips of a folder. Each is opened for a request, and released when nothing uses it.

    Args:
        folder: results of a list of videos, or videos; any other raises `InputError`.
        open_session: opens the session of a folder of results or of a video, with ``project``.
    """

    def __init__(self, folder: Path, open_session: Callable[..., Session]) -> None:
        self.folder, self._open_session = folder, open_session
        if not find_clips(folder):
            raise InputError(f"{folder}: holds neither videos nor results of a batch; choose another folder")
        self._open: dict[str, OpenClip] = {}
        self._locks: dict[str, threading.RLock] = {}
        """lock of each clip, held while it is opened, used or closed, so that the others need not wait"""
        self._export = threading.Lock()
        self._tracking = ThreadPoolExecutor(1, "track all")
        self._runs: dict[str, Future[str]] = {}
        """last tracking of each clip; its result is the error message, empty on success"""
        self._clips: dict[str, BatchClip] = {}
        """clips of the last list by name; unchanged ones are not read again"""
        self._described: dict[str, tuple[tuple[str, int, int], Clip]] = {}
        """digest, time and size of each project that is not open, and what the list shows of it"""

    def list_clips(self) -> list[Clip]:
        """Return all clips, the most urgent first."""
        known = self._clips
        clips_now = ((known.get(clip.name, clip), clip) for clip in find_clips(self.folder))
        self._clips = {now.name: old if old.stamp == now.stamp else now for old, now in clips_now}
        found = [clip for clip in self._clips.values() if not clip.is_untouched]
        clips = [self._describe(clip) for clip in sorted(found, key=lambda clip: clip.rank)]
        if any(clip.is_video for clip in found):  # without a rank
            clips.sort(key=lambda clip: len(clip.sentences), reverse=True)
        return [msgspec.structs.replace(clip, sentences=clip.sentences[:MAX_SENTENCES]) for clip in clips]

    # Opening

    @contextmanager
    def use(
        self, name: str, person: str, *, page: bool = False, connected: bool = False
    ) -> Iterator[Session]:
        """Yield the session of a clip, which is opened if needed, for a request of a person.

        Args:
            page: a page makes the request, which is refused while another person's page is connected; after the last
                request, the clip stays open for `RELEASE_SECONDS`.
            connected: the request is the connection of a page.
        """
        with self._lock(name):
            clip = self._open.get(name) or self._open_clip(name)
            if page and clip.pages and person and clip.person not in ("", person):
                raise InputError(f"{name}: {clip.person} has it open; choose another clip, or wait")
            is_holder = page or not clip.pages
            clip.requests += 1
            clip.pages += connected
            if connected and (run := self._runs.get(name)) is not None and run.done():
                self._runs.pop(name, None)  # its error is shown until a page opens the clip
        stays_open = False
        try:
            folder_lock = clip.session.document.database.folder_lock
            if is_holder and person not in ("", clip.person) and folder_lock is not None:
                folder_lock.name_person(person)
                clip.person = person
            if connected:
                clip.session.runner.schedule()
            stays_open = page
            yield clip.session.with_actor(Actor(person))
        finally:
            with self._lock(name):
                clip.requests -= 1
                clip.pages -= connected
                self.release(name, later=stays_open)

    def release(self, name: str, *, later: bool = False) -> None:
        """Close a clip unless a request uses it, after `RELEASE_SECONDS` if it is being tracked, or for ``later``."""
        with self._lock(name):
            clip = self._open.get(name)
            if clip is None or clip.requests:
                return
            clip.cancel_timer()
            if later or clip.session.runner.busy:
                clip.timer = threading.Timer(RELEASE_SECONDS, self.release, [name])
                clip.timer.daemon = True
                clip.timer.start()
            else:
                del self._open[name]
                clip.session.close()

    def close(self) -> None:
        """Close all clips."""
        self._tracking.shutdown(wait=False, cancel_futures=True)
        self._runs.clear()
        for name in list(self._locks):
            with self._lock(name):
                if (clip := self._open.pop(name, None)) is not None:
                    clip.cancel_timer()
                    clip.session.close()

    def _open_clip(self, name: str) -> OpenClip:
        found = self._find_clip(name)
        path = found.path if found.job.written else Path(found.job.video)
        session = self._open_session(path, project=found.project)
        with ExitStack() as cleanup:
            cleanup.callback(session.close)
            clean_up(found.results, sdk.CORRECTED_FILE)
            cleanup.pop_all()
        session.document.shared = True
        clip = self._open[name] = OpenClip(session)
        return clip

    def _lock(self, name: str) -> threading.RLock:
        """Return the lock of a clip; raise `InputError` for an unknown clip."""
        if name not in self._locks:
            self._find_clip(name)
        return self._locks.setdefault(name, threading.RLock())

    def _find_clip(self, name: str) -> BatchClip:
        """Return a clip; raise `InputError` if it is missing or cannot be opened."""
        clip = next((clip for clip in find_clips(self.folder) if clip.name == name), None)
        if clip is None or clip.is_untouched:
            raise InputError(f"{name[:80]}: no such clip in {self.folder}; open the list")
        if clip.job.error and not os.path.exists(clip.job.video):
            raise InputError(f"{name}: could not be tracked ({clip.job.error}), and its video is missing")
        return clip

    # Work on clips

    def track_all(self, person: str) -> int:
        """Track the range of clips with drawn masks and untracked frames, one after the other; return their number."""
        waiting = {name for name, run in [*self._runs.items()] if not run.done()}
        chosen = sorted({clip.name for clip in self.list_clips() if clip.untracked} - waiting)
        for name in chosen:
            self._runs[name] = self._tracking.submit(self._track, name, person)
        return len(chosen)

    def export_all(self, outputs: Sequence[str], person: str = "") -> ExportedClips:
        """Replace the results of all corrected or accepted clips by the masks of their projects.

        All clips get the same class ids. Those of videos are written into ``NAME.masks`` beside the video.

        Args:
            outputs: outputs to write besides those that a clip has; an unknown one raises `InputError`.
            person: who exports; empty: unknown.
        """
        for output in outputs:
            sdk.find_output(output)
        with self._export:
            chosen, classes, problems, left_out = _choose_clips(find_clips(self.folder), outputs)
            shared, written = sdk.merge_class_ids(self.folder / sdk.CLASSES, classes) if chosen else {}, []
            for clip in chosen:
                try:
                    with self.use(clip.name, person) as session:
                        kept = _export_clip(clip, outputs, session.document, shared)
                    written.append(clip.name)
                    left_out += [f"{clip.name} ({output}: as tracked)" for output in kept]
                except InputError as error:
                    problems.append(_format_problem(clip, error))
                except OSError as error:
                    problem = f"cannot be written ({error.strerror}); free space, or check the permissions"
                    problems.append(f"{clip.name}: {problem}")
            return ExportedClips(written, problems, sorted(left_out))

    def _track(self, name: str, person: str) -> str:
        """Track the range of a clip in both directions; return the error message."""
        try:
            with self.use(name, person, page=True) as session:  # not while another person has it open
                (first, last), drawn, _ = list_frames_to_track(session.document.snapshot)
                session.track(drawn[0] if drawn else first, "both", first, last)
                job = session.runner.job
                assert job is not None
                job.wait()
                return job.problem or ""
        except InputError as error:
            return str(error)
        except Exception:
            log.exception("%s: tracking failed", name)
            return "internal error; the program's output has the details"

    # Description

    def _describe(self, clip: BatchClip) -> Clip:
        name, error, objects = clip.name, clip.job.error or "", len(clip.review.objects)
        shown = Clip(name, clip.job.frames, objects, digest=clip.digest, sentences=clip.sentences)
        opened, file = self._open.get(name), clip.project / PROJECT_FILE
        try:
            if opened is not None:
                shown = describe_project(name, opened.session.document)
            elif file.is_file():
                stamp = clip.digest, *read_stamp(file)
                if name not in self._described or self._described[name][0] != stamp:
                    document = clip.read_document()
                    self._described[name] = stamp, describe_project(name, document) if document else shown
                shown = self._described[name][1]
            error = error if shown.status == "open" else ""  # others have masks or a decision of a person
        except InputError as problem:
            error = str(problem)
        sentences = self._describe_tracking(name) or shown.sentences
        lock = opened.session.document.database.folder_lock if opened is not None else None
        owner = lock.owner if lock is not None else read_owner(clip.project)
        holder = "this program" if lock is not None and not lock.owner.person else str(owner or "")
        return msgspec.structs.replace(shown, holder=holder, error=error, sentences=sentences)

    def draw_thumbnail(self, name: str) -> bytes:
        """Return a JPEG of the first frame with a result, the least confident one and the last, with masks.

        Without a project, it is of the results of tracking; without results, of the first frame. Raises `InputError`
        for an unknown clip, or one that cannot be read.
        """
        clip, opened = self._find_clip(name), self._open.get(name)
        document = opened.session.document if opened else clip.read_document()
        if document is None and (clip.path / THUMBNAIL).is_file():
            return (clip.path / THUMBNAIL).read_bytes()
        frames = FrameStore(Path(clip.job.video), levels=read_levels(clip.project))
        masks = {0: np.zeros(frames.size, np.uint16)}
        if document is not None:
            snapshot = document.snapshot
            confidence = {
                index: min((score.confidence for score in snapshot.scores(index).values()), default=1.0)
                for index in snapshot.annotated_frames
            }
            if confidence:
                worst = min(confidence, key=confidence.__getitem__)
                masks = {index: snapshot.labels(index) for index in (min(confidence), worst, max(confidence))}
        images = [draw_thumbnail(frames.read(index), labels) for index, labels in masks.items()]
        return encode_jpeg(sdk.concat_images(images), None)

    def _describe_tracking(self, name: str) -> list[str]:
        """Return the progress of the tracking of a clip, or why it failed; empty for any other clip."""
        run, clip = self._runs.get(name), self._open.get(name)
        if run is None or run.done():
            return [run.result()] if run is not None and run.result() else []
        job = clip.session.runner.job if clip else None
        return [f"tracking: {job.done} of {job.total} frames" if job and job.alive else "waits for tracking"]


def describe_project(name: str, document: Document) -> Clip:
    """Return what the list shows of a document."""
    snapshot = document.snapshot
    objects, (first, last) = snapshot.objects, snapshot.editable_range
    (start, end), drawn, annotated = list_frames_to_track(snapshot)
    checks = [check.describe(objects[check.object_id].name) for check in list_checks(snapshot)]
    return Clip(
        name, last + 1 - first, len(objects), *document.status, digest=document.digest,
        untracked=bool(drawn) and len(annotated) < end + 1 - start,
        sentences=[*filter(None, [document.conflict]), *checks],
    )  # fmt: skip


def list_frames_to_track(snapshot: Snapshot) -> tuple[FrameRange, list[int], list[int]]:
    """Return the range to track, and its frames with drawn masks and with masks of any kind."""
    first, last = snapshot.state.ranges.get("track") or snapshot.editable_range
    drawn, annotated = (
        [index for index in frames if first <= index <= last]
        for frames in (snapshot.keyframes, snapshot.annotated_frames)
    )
    return (first, last), drawn, annotated


def _choose_clips(
    clips: Iterable[BatchClip], outputs: Sequence[str]
) -> tuple[list[BatchClip], dict[str, int | None], list[str], list[str]]:
    """Return the corrected and accepted clips, their class ids by name, error messages, and the other clips."""
    chosen, problems, left_out, classes = [], [], [], dict[str, int | None]()
    for clip in clips:
        if clip.is_untouched:
            continue
        try:
            document = clip.read_document()
            if document is None:
                left_out += [] if clip.is_video else [f"{clip.name} (open)"]
            elif document.status.value in FINAL_STATUSES:
                _list_outputs(clip, outputs)  # before anything is written
                chosen.append(clip)
                objects = document.snapshot.objects.values()
                classes |= {item.class_name or NO_CLASS: None for item in objects}
                classes |= document.snapshot.state.classes
            else:
                status = document.log.status.status if document.log.status else "open"
                if document.new_results and status in FINAL_STATUSES:
                    problem = f"tracked again since it was {status}; set its status again"
                    problems.append(f"{clip.name}: {problem}")
                else:
                    left_out.append(f"{clip.name} ({document.status.value})")
        except InputError as error:
            problems.append(_format_problem(clip, error))
    return chosen, classes, problems, left_out


def _format_problem(clip: BatchClip, error: InputError) -> str:
    """Return the error message of a clip, with paths relative to the folder of its batch."""
    text = str(error).replace(f"{clip.path.parent}{os.sep}", "")
    return text if text.startswith(f"{clip.name}: ") else f"{clip.name}: {text}"


def _list_outputs(clip: BatchClip, outputs: Sequence[str]) -> tuple[list[str], set[str], list[str]]:
    """Return the outputs to write, if any, the files of tracking that they replace, and the `PROBABILITIES` to keep."""
    corrected = {PurePosixPath(file).parts[0] for file in read_exported(clip.results, sdk.CORRECTED_FILE)}
    file_names = {name: sdk.find_output(name).file_name for name in sdk.list_outputs()}
    tracked = {*clip.job.written} - corrected - {sdk.CORRECTED_FILE}
    kept = [name for name in PROBABILITIES if file_names[name] in tracked and name not in outputs]
    tracked.difference_update(file_names[name] for name in kept)
    names = [name for name, file in file_names.items() if name in outputs or file in corrected | tracked]
    if not names:
        raise InputError("no output is chosen; choose one, such as masks")
    return names, tracked, kept


def _export_clip(
    clip: BatchClip, outputs: Sequence[str], document: Document, classes: Mapping[str, int]
) -> list[str]:
    """Replace the outputs of a clip by its document's, and write others; return the `PROBABILITIES` that are kept."""
    job, results = clip.job, clip.results
    names, tracked, kept = _list_outputs(clip, outputs)
    snapshot, record = snapshot_for_export(document)
    if record["status"] not in FINAL_STATUSES:
        raise InputError("changed during the export; accept it again")
    old_files = read_exported(results, sdk.CORRECTED_FILE) | {sdk.CORRECTED_FILE}
    first, last = snapshot.editable_range
    with stage_files(results) as made:
        export_masks(document.frames, snapshot, made, names, first=first, last=last, classes=classes)
        # files beside those of tracking, such as the scores of a review
        old_files.update({*os.listdir(made)}.difference(sdk.find_output(name).file_name for name in names))
        with sdk.locked(results / LOCK, LOCK_TIMEOUT, subject=results):
            for name in tracked:
                files = sdk.list_output_files(results / name, job)
                old_files.update(file.relative_to(results).as_posix() for file in files)
            class_names, _ = snapshot.describe_objects()
            try:
                # first, as after a kill in between, the digest of the masks says that they are not exported
                if not clip.is_video:
                    sdk.write_job_record(results, replace(job, class_names=class_names, error=None))
                replace_export(made, sdk.CORRECTED_FILE, record, old_files=old_files)
            except BaseException:
                if not clip.is_video:
                    sdk.write_job_record(results, job)
                raise
    return kept
