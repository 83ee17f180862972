"""A list of clips, which are videos in a folder or of a batch: opening, status, tracking, export, web server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from aotlab import InputError
from aotlab.sdk import JOB_RECORD, concat_images
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Actor, Document
from aotlab_studio.document.folder import PROJECT_SUFFIX, digest_results, read_job, read_levels
from aotlab_studio.document.log import digest_values
from aotlab_studio.lock import read_owner
from aotlab_studio.protocol import Clip, ExportedClips
from aotlab_studio.review.batch import REVIEW_FILE, ClipEntry, list_sentences, locate_video, read_entries
from aotlab_studio.review.output import THUMBNAIL, draw_thumbnail
from aotlab_studio.server.app import CACHE_HEADERS, build_app, make_page_routes, read_body, read_person
from aotlab_studio.session.actions import MESSAGES
from aotlab_studio.session.export import export_clips
from aotlab_studio.session.session import OutdatedError, Session, list_checks
from aotlab_studio.video import FrameStore, encode_jpeg

MAX_SENTENCES = 3
RELEASE_SECONDS = 10.0
"""seconds after which a clip that no page shows is released, for a page that is reloaded"""

log = logging.getLogger(__name__)


@dataclass
class OpenClip:
    """A clip that is open in this program."""

    session: Session
    app: ASGIApp
    person: str = ""
    """who opened it; empty: unknown"""
    pages: int = 0
    """connected pages"""
    requests: int = 0
    """requests that are being answered, pages included"""


class Batch:
    """The clips of a list. Each is opened for a request, and released when nothing uses it.

    Args:
        folder: results of ``aotlab track --jobs``, or videos; any other raises `InputError`.
        open_clip: opens the session of a folder of results or of a video, with ``project``.
    """

    def __init__(self, folder: Path, open_clip: Callable[..., Session]) -> None:
        self.folder, self._open_clip = folder, open_clip
        if not read_entries(folder):
            raise InputError(f"{folder}: holds neither videos nor results of a batch; choose another folder")
        self._open: dict[str, OpenClip] = {}
        self._locks: dict[str, threading.RLock] = {}
        """lock of each clip, held while it is opened, used or closed, so that the others need not wait"""
        self._tracking = ThreadPoolExecutor(1, "track all")
        self._runs: dict[str, Future[str]] = {}
        """last tracking of each clip; its result is the error message, empty on success"""
        self._described: dict[str, tuple[list[tuple[int, int] | None], Clip]] = {}
        """stamps of the files of each project that is not open, and what the list shows of it"""

    def list_clips(self) -> list[Clip]:
        """Return all clips, the most urgent first."""
        clips = [self._describe_entry(entry) for entry in read_entries(self.folder) or ()]
        if not (self.folder / REVIEW_FILE).is_file():  # otherwise, they are ranked by what was lost
            clips.sort(key=lambda clip: len(clip.sentences), reverse=True)
        return [msgspec.structs.replace(clip, sentences=clip.sentences[:MAX_SENTENCES]) for clip in clips]

    # Opening

    def enter(self, name: str, person: str, *, page: bool) -> OpenClip:
        """Return a clip for a request of a person, and open it if needed; `leave` ends the request.

        The request of a ``page`` lasts as long as its connection; meanwhile, other persons cannot open the clip.
        """
        with self._lock(name):
            clip = self._open.get(name)
            if clip is not None and clip.pages and person and clip.person not in ("", person):
                raise InputError(f"{name}: {clip.person} has it open; choose another clip, or wait")
            clip = clip or self._open_session(name)
            folder_lock = clip.session.document.database.folder_lock
            if person and person != clip.person and folder_lock is not None:
                clip.person = person
                folder_lock.name_person(person)
            clip.requests += 1
            clip.pages += page
            if page:
                clip.session.runner.schedule()
            return clip

    def leave(self, name: str, clip: OpenClip, *, page: bool) -> None:
        """End a request."""
        with self._lock(name):
            clip.requests -= 1
            clip.pages -= page

    def release(self, name: str) -> None:
        """Close a clip unless a request uses it or it is being tracked."""
        with self._lock(name):
            clip = self._open.get(name)
            if clip is not None and not clip.requests and not clip.session.runner.busy:
                del self._open[name]
                clip.session.close()

    def close(self) -> None:
        """Close all clips."""
        self._tracking.shutdown(wait=False, cancel_futures=True)
        self._runs.clear()
        for name in list(self._locks):
            with self._lock(name):
                if name in self._open:
                    self._open.pop(name).session.close()

    @contextmanager
    def use(self, name: str, person: str) -> Iterator[Session]:
        """Yield the session of a clip, for a person who need not be the one that has it open."""
        with self._lock(name):
            clip = self.enter(name, "" if name in self._open else person, page=False)
        try:
            yield clip.session.with_actor(Actor(person))
        finally:
            self.leave(name, clip, page=False)
            self.release(name)

    def _lock(self, name: str) -> threading.RLock:
        """Return the lock of a clip; raise `InputError` for an unknown clip."""
        if name not in self._locks:
            self._find_entry(name)
        return self._locks.setdefault(name, threading.RLock())

    def _open_session(self, name: str) -> OpenClip:
        entry, job = self._find_entry(name), read_job(self.folder / name)
        path = self.folder / name if job is not None and job.written else locate_video(self.folder, entry)
        session = self._open_clip(path, project=self._locate_project(name))
        session.document.shared = True
        self._open[name] = OpenClip(session, build_app(session))
        return self._open[name]

    def _find_entry(self, name: str) -> ClipEntry:
        """Return the entry of a clip; raise `InputError` if it is missing or cannot be opened."""
        entry = next((entry for entry in read_entries(self.folder) or () if entry.name == name), None)
        if entry is None:
            raise InputError(f"{name[:80]}: no such clip in {self.folder}; open the list")
        if entry.error and not locate_video(self.folder, entry).exists():
            raise InputError(f"{name}: could not be tracked ({entry.error}), and its video is missing")
        return entry

    def _locate_project(self, name: str) -> Path:
        return self.folder / f"{name}{PROJECT_SUFFIX}"

    # Work on clips

    def track_all(self, person: str) -> int:
        """Track all clips with drawn masks and frames without a result, one after the other; return their number."""
        waiting = {name for name, run in self._runs.items() if not run.done()}
        chosen = {clip.name for clip in self.list_clips() if clip.untracked} - waiting
        for name in sorted(chosen):
            self._runs[name] = self._tracking.submit(self._track, name, person)
        return len(chosen)

    def export_all(self, outputs: list[str], person: str = "") -> ExportedClips:
        """Export all corrected or accepted clips for a person; raise `InputError` for an unknown output."""

        @contextmanager
        def open_clip(name: str) -> Iterator[Document]:
            with self.use(name, person) as session:
                yield session.document

        return export_clips(self.folder, outputs, open_clip)

    def _track(self, name: str, person: str) -> str:
        """Track a clip in both directions from its first drawn mask; return the error message."""
        try:
            with self.use(name, person) as session:
                session.track(next(iter(session.document.snapshot.keyframes), 0), "both")
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

    def _describe_entry(self, entry: ClipEntry) -> Clip:
        name, error = entry.name, entry.error
        project, results = self._locate_project(name), digest_values(digest_results(self.folder / name))
        clip = Clip(name, entry.frames or 0, entry.objects, digest=results, sentences=list_sentences(entry))
        try:
            if (project / PROJECT_FILE).is_file():
                clip = self._describe_project(name, project)
        except InputError as problem:
            error = str(problem)
        sentences = self._describe_tracking(name) or clip.sentences
        holder = str(read_owner(project) or "")
        return msgspec.structs.replace(clip, holder=holder, error=error, sentences=sentences)

    def _describe_project(self, name: str, project: Path) -> Clip:
        """Return what the list shows of a project; raise `InputError` if it is damaged."""
        if (clip := self._open.get(name)) is not None:
            return describe_clip(name, clip.session.document)
        stamps = [_read_stamp(path) for path in (self.folder / name / JOB_RECORD, project / PROJECT_FILE)]
        cached = self._described.get(name)
        if cached is None or cached[0] != stamps:
            cached = self._described[name] = stamps, describe_clip(name, Document.read(project))
        return cached[1]

    def draw_thumbnail(self, name: str) -> bytes:
        """Return a JPEG of the first frame with a result, the least confident one and the last, with masks.

        Without a project, it is of the results of tracking; without results, of the first frame. Raises `InputError`
        for an unknown clip, or one that cannot be read.
        """
        entry, project = self._find_entry(name), self._locate_project(name)
        has_project, path = (project / PROJECT_FILE).is_file(), self.folder / name / THUMBNAIL
        if path.is_file() and not has_project:
            return path.read_bytes()
        frames = FrameStore(locate_video(self.folder, entry), levels=read_levels(project))
        clip, masks = self._open.get(name), {0: np.zeros(frames.size, np.uint16)}
        if has_project:
            snapshot = (clip.session.document if clip else Document.read(project)).snapshot
            confidence = {
                index: min((score.confidence for score in snapshot.scores(index).values()), default=1.0)
                for index in snapshot.annotated_frames
            }
            if confidence:
                worst = min(confidence, key=confidence.__getitem__)
                masks = {index: snapshot.labels(index) for index in (min(confidence), worst, max(confidence))}
        images = [draw_thumbnail(frames.read(index), labels) for index, labels in masks.items()]
        return encode_jpeg(concat_images(images), None)

    def _describe_tracking(self, name: str) -> list[str]:
        """Return the progress of the tracking of a clip, or why it failed; empty for any other clip."""
        run, clip = self._runs.get(name), self._open.get(name)
        if run is None or run.done():
            return [run.result()] if run is not None and run.result() else []
        job = clip.session.runner.job if clip else None
        return [f"tracking: {job.done} of {job.total} frames" if job and job.alive else "waits for tracking"]


def _read_stamp(path: Path) -> tuple[int, int] | None:
    """Return time and size of a file; None if it is missing."""
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size


def describe_clip(name: str, document: Document) -> Clip:
    """Return what the list shows of a document."""
    snapshot = document.snapshot
    objects, (first, last) = snapshot.objects, snapshot.editable_range
    checks = [check.describe(objects[check.object_id].name) for check in list_checks(snapshot)]
    return Clip(
        name, last + 1 - first, len(objects), *document.status, digest=document.digest,
        untracked=bool(snapshot.keyframes) and len(snapshot.annotated_frames) < last + 1 - first,
        sentences=[*filter(None, [document.conflict]), *checks],
    )  # fmt: skip


def build_batch_app(batch: Batch) -> Starlette:
    """Return the application of a batch, without its guard."""
    timers: dict[str, asyncio.Task[None]] = {}  # by clip: its release

    def get_clips(request: Request) -> Response:
        return JSONResponse(msgspec.to_builtins(batch.list_clips()))

    async def set_status(request: Request) -> Response:
        """Set the status of a clip; the body has the parameters of `Session.set_status`."""
        body = await read_body(request)
        name, person = request.path_params["name"], read_person(request)

        def store() -> None:
            fields = msgspec.json.decode(body, type=MESSAGES["set_status"])
            with batch.use(name, person) as session:
                session.set_status(**msgspec.structs.asdict(fields))

        await run_sync(store, limiter=CapacityLimiter(1))  # it may wait for an hour
        return Response(status_code=204)

    def track_all(request: Request) -> Response:
        return JSONResponse(batch.track_all(read_person(request)))

    async def export_all(request: Request) -> Response:
        outputs = msgspec.json.decode(await read_body(request), type=list[str])
        exported = await run_in_threadpool(batch.export_all, outputs, read_person(request))
        return JSONResponse(msgspec.to_builtins(exported))

    def get_thumbnail(request: Request) -> Response:
        """Return the image of `Batch.draw_thumbnail`; a browser may keep it by the digest in its address."""
        content = batch.draw_thumbnail(request.path_params["name"])
        headers = CACHE_HEADERS if request.query_params.get("digest") else None
        return Response(content, media_type="image/jpeg", headers=headers)

    async def serve_clip(scope: Scope, receive: Receive, send: Send) -> None:
        """Let a clip's application answer."""
        name, person = scope["path_params"]["clip"], read_person(HTTPConnection(scope))
        page = scope["type"] == "websocket"
        try:
            clip = await run_in_threadpool(batch.enter, name, person, page=page)
        except InputError:
            if not page:
                raise
            await WebSocket(scope, receive, send).close(1008)  # the page then asks why
            return
        try:
            await clip.app(scope, receive, send)
        finally:
            await run_in_threadpool(batch.leave, name, clip, page=page)
            if name in timers:
                timers[name].cancel()
            timers[name] = asyncio.create_task(release(name, clip))

    async def release(name: str, clip: OpenClip) -> None:
        """Release a clip after a while without a request, and after its tracking."""
        await asyncio.sleep(RELEASE_SECONDS)
        while clip.session.runner.busy:
            await asyncio.sleep(RELEASE_SECONDS)
        await run_in_threadpool(batch.release, name)

    return Starlette(
        routes=[
            *make_page_routes("batch.html"),
            Route("/clips", get_clips),
            Route("/clips/{name}", set_status, methods=["POST"]),
            Route("/track", track_all, methods=["POST"]),
            Route("/export", export_all, methods=["POST"]),
            Route("/thumbnail/{name}", get_thumbnail),
            Mount("/clip/{clip}", serve_clip),
        ],
        exception_handlers={
            OutdatedError: lambda _, error: JSONResponse(
                {"error": str(error), "choices": error.choices}, 428
            ),
            InputError: lambda _, error: PlainTextResponse(str(error), 409),
            msgspec.DecodeError: lambda _, error: PlainTextResponse(f"body: {error}", 422),
            ClientDisconnect: lambda _, error: Response(status_code=400),  # nobody reads it
        },
    )
