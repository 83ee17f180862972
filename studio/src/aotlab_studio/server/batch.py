"""Server of a list of videos: results of a batch, or a folder of videos. List, status, holders, tracking of all."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aotlab import InputError, open_frames
from aotlab.sdk import IMAGE_SUFFIXES, list_videos
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import LOG_FILE, PROJECT_FILE, PROJECT_SUFFIX
from aotlab_studio.document.planning import TrackRequest
from aotlab_studio.document.results import RECORD_FILE
from aotlab_studio.files import read_holder
from aotlab_studio.protocol import Clip, ClipStatus, ExportedClips, OutdatedPolicy
from aotlab_studio.review.batch import list_sentences, rank_entries
from aotlab_studio.server.app import (
    CACHE_HEADERS,
    NO_CACHE_HEADERS,
    build_app,
    load_page_files,
    read_body,
    read_person,
)
from aotlab_studio.server.batch_export import export_clips
from aotlab_studio.server.session import Note, OutdatedError, Session, list_checks
from aotlab_studio.video import encode_jpeg

REVIEW_FILE = "review.json"
MAX_SENTENCES = 3
THUMBNAIL_WIDTH = 320
RELEASE_SECONDS = 10.0
"""seconds after which a video that no page shows is released, for a page that is reloaded"""

log = logging.getLogger(__name__)


class StatusMessage(msgspec.Struct):
    """Body of a request that sets the status of a video."""

    status: ClipStatus
    note: Note = ""
    outdated: OutdatedPolicy = "ask"


def read_entries(folder: Path) -> list[dict[str, Any]] | None:
    """Return the reviews of the videos of a batch, the most urgent first, or the videos of a folder.

    None for any other path.
    """
    try:
        entries = msgspec.json.decode((folder / REVIEW_FILE).read_bytes(), type=list[dict[str, Any]])
        return rank_entries([entry for entry in entries if entry["status"] != "waiting"])
    except (OSError, ValueError, KeyError):
        return [
            {"name": path.name, "video": str(path), "frames": None, "objects": 0, "error": "", "rate": "25"}
            for path in _list_videos(folder)
        ] or None


def _list_videos(folder: Path) -> list[Path]:
    """Return the videos of a folder; none in a project, or in a folder of images other than masks beside videos."""
    if not folder.is_dir() or (folder / PROJECT_FILE).exists():
        return []
    videos = [path for path in list_videos(folder) if path.suffix != PROJECT_SUFFIX]
    masks = {f"{path.stem}.png" for path in videos}
    images = {path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    return videos if images <= masks else []


@dataclass(frozen=True)
class ClipState:
    """What the list shows of a project."""

    status: ClipStatus
    note: str
    person: str
    frames: int
    objects: int
    untracked: bool
    """whether masks are drawn, and frames are without a result"""
    sentences: list[str]
    """what to check, worst first"""

    @classmethod
    def describe(cls, document: Document) -> ClipState:
        """Return the state of a document."""
        now, (status, note) = document.snapshot, document.status
        names = {item.id: item.name for item in now.objects}
        checks = [check for check in list_checks(now) if check.object_id in names]
        sentences = [f"frame {check.frame}: {names[check.object_id]} {check.sentence}" for check in checks]
        untracked = bool(now.keyframes) and len(now.annotated_frames) < now.count
        return cls(status, note, document.person, now.count, len(now.objects.ids), untracked, sentences)


@dataclass
class OpenClip:
    """A video that is open in this program."""

    session: Session
    app: ASGIApp
    person: str = ""
    """who opened it; empty: unknown"""
    pages: int = 0
    """connected pages"""
    requests: int = 0
    """requests that are being answered, pages included"""
    used: float = 0.0
    """time of the last request, of the event loop's clock"""


class Batch:
    """The videos of a list, opened when a page asks for them, and released when no page shows them.

    Args:
        folder: results of ``aotlab track --jobs``, or videos.
        open_clip: opens the session of a folder of results, or of a video in the project given.

    Raises:
        InputError: neither.
    """

    def __init__(self, folder: Path, open_clip: Callable[[Path, Path], Session]) -> None:
        self.folder, self._open_clip = folder, open_clip
        self._closed = threading.Event()
        self._waiting: list[str] = []
        """videos that are going to be tracked"""
        self._open: dict[str, OpenClip] = {}
        self._queue, self._problems = threading.Lock(), dict[str, str]()
        self._locks: dict[str, threading.RLock] = {}
        """by the name of the video; held while it is opened, used or closed, so that no other video waits"""
        self._states: dict[str, tuple[list[Any], ClipState]] = {}
        """by name: sizes and times of the files of a project, and what was read of them"""
        if not self.read_entries():
            raise InputError(
                f"{folder}: holds neither videos nor results of a list of videos; choose another folder"
            )

    def list_clips(self) -> list[Clip]:
        """Return all videos, the most urgent first."""
        return [self._describe(entry) for entry in self.read_entries()]

    def enter(self, name: str, person: str, *, page: bool) -> OpenClip:
        """Begin a request of a person for a video, which is opened first; `leave` ends it.

        Raises:
            InputError: no such video, another person or program has it, or as ``open_clip``.
        """
        with self._lock(name):
            found = self._open.get(name)
            if found is not None and found.pages and person and found.person not in ("", person):
                raise InputError(f"{name}: {found.person} has it open; choose another video, or wait")
            found = found or self._open_session(name)
            if person and person != found.person:
                found.person = person
                found.session.document.set_lock_owner(person)
            found.requests += 1
            found.pages += page
            if page:
                found.session.runner.wake()
            return found

    def leave(self, name: str, found: OpenClip, *, page: bool) -> None:
        """End a request."""
        with self._lock(name):
            found.requests -= 1
            found.pages -= page

    def set_status(
        self, name: str, status: ClipStatus, note: str, person: str, outdated: OutdatedPolicy = "ask"
    ) -> None:
        """Store the status of a video, as `Session.set_status`; raises `InputError` as `enter`."""
        with self._lock(name):
            found = self.enter(name, "" if name in self._open else person, page=False)
        try:  # without the lock: it may wait for corrections
            found.session.by(person).set_status(status, note, outdated)
        finally:
            self.leave(name, found, page=False)
            self.release(name)

    def release(self, name: str) -> None:
        """Close the session of a video unless something is being done with it."""
        with self._lock(name):
            found = self._open.get(name)
            if found is not None and not found.requests and not found.session.runner.busy:
                del self._open[name]
                found.session.close()

    def track_all(self, person: str) -> int:
        """Track all videos with drawn masks and frames without a result, one after the other; return their number."""
        with self._queue:
            chosen = [
                clip.name for clip in self.list_clips() if clip.untracked and clip.name not in self._waiting
            ]
            self._waiting += chosen
            if chosen and len(chosen) == len(self._waiting):
                threading.Thread(
                    target=self._track_waiting, args=(person,), name="track all", daemon=True
                ).start()
        return len(chosen)

    def _track_waiting(self, person: str) -> None:
        while True:
            with self._queue:
                if not self._waiting or self._closed.is_set():
                    return
                name = self._waiting[0]
            try:
                self._track(name, person)
            except InputError as error:
                self._problems[name] = str(error)
            except Exception:  # the videos after it are tracked
                log.exception("%s: tracking failed", name)
                self._problems[name] = "internal error; the program's output has the details"
            with self._queue:
                self._waiting.remove(name)

    def _track(self, name: str, person: str) -> None:
        found = self.enter(name, person if name not in self._open else "", page=False)
        try:
            session = found.session.by(person)
            drawn = session.document.snapshot.keyframes
            if not drawn:
                raise InputError("its drawn masks were removed; draw one and track it")
            session.track(TrackRequest(drawn[0], "both")).wait()
            problem = session.job.problem if session.job else None
            self._problems[name] = problem or ""
        finally:
            self.leave(name, found, page=False)
            self.release(name)

    def export_all(self, outputs: list[str]) -> ExportedClips:
        """Export all corrected or accepted videos; raises `InputError` as `export_clips`."""
        opened = {name: found.session.document for name, found in self._open.items()}
        return export_clips(self.folder, outputs, opened)

    def close(self) -> None:
        """Close all sessions."""
        self._closed.set()
        for name in list(self._locks):
            with self._lock(name):
                if name in self._open:
                    self._open.pop(name).session.close()

    def _describe(self, entry: dict[str, Any]) -> Clip:
        name, project = entry["name"], self._locate_project(entry["name"])
        holder = read_holder(project) if project.is_dir() else None
        error, state = (
            entry["error"],
            ClipState("open", "", "", entry["frames"] or 0, entry["objects"], False, []),
        )
        try:
            if (project / PROJECT_FILE).is_file():
                state = self._read_state(name, project)
        except InputError as problem:
            error = str(problem)
        sentences = list_sentences(entry) if entry.get("notes", {}).get("objects") else state.sentences
        if name in self._waiting:
            found = self._open.get(name)
            job = found.session.job if found else None
            sentences = [
                f"tracking: {job.done} of {job.total} frames" if job and job.alive else "waits for tracking"
            ]
        elif self._problems.get(name):
            sentences = [self._problems[name]]
        return Clip(
            name=name,
            status=state.status,
            note=state.note,
            person=state.person,
            holder=str(holder or ""),
            error=error,
            frames=state.frames,
            objects=state.objects,
            untracked=state.untracked,
            sentences=sentences[:MAX_SENTENCES],
        )

    def _read_state(self, name: str, project: Path) -> ClipState:
        """Return what the list shows of a project; raise `InputError` if it is damaged."""
        found = self._open.get(name)
        if found is not None:
            return ClipState.describe(found.session.document)
        files = [project / PROJECT_FILE, project / LOG_FILE, *sorted(project.glob("layers/*.bin"))]
        stamp = [(path.name, info.st_mtime_ns, info.st_size) for path in files if (info := _stat(path))]
        if name not in self._states or self._states[name][0] != stamp:
            self._states[name] = stamp, ClipState.describe(Document.read(project))
        return self._states[name][1]

    def _lock(self, name: str) -> threading.RLock:
        """Return the lock of a video; raises `InputError` as `_require_clip`."""
        if name not in self._locks:
            self._require_clip(name)
        return self._locks.setdefault(name, threading.RLock())

    def _open_session(self, name: str) -> OpenClip:
        entry = self._require_clip(name)
        tracked = (self.folder / name / RECORD_FILE).is_file()
        path = self.folder / name if tracked else Path(entry["video"])
        session = self._open_clip(path, self._locate_project(name))
        session.shared = True
        self._open[name] = OpenClip(session, build_app(session))
        return self._open[name]

    def _require_clip(self, name: str) -> dict[str, Any]:
        for entry in self.read_entries():
            if entry["name"] == name:
                if entry["error"] and not Path(entry["video"] or "").exists():
                    raise InputError(
                        f"{name}: could not be tracked ({entry['error']}), and its video is missing"
                    )
                return entry
        raise InputError(f"{name[:80]}: no such video in {self.folder}; open the list")

    def read_entries(self) -> list[dict[str, Any]]:
        """Return the reviews of all videos, or the videos."""
        return read_entries(self.folder) or []

    def _locate_project(self, name: str) -> Path:
        return self.folder / f"{name}{PROJECT_SUFFIX}"


def build_batch_app(batch: Batch) -> Starlette:
    """Return the application of a batch, without its guard."""
    endpoints = BatchEndpoints(batch)
    return Starlette(
        routes=[
            Route("/", endpoints.get_file),
            Route("/page/{name}", endpoints.get_file),
            Route("/clips", endpoints.get_clips),
            Route("/clips/{name}", endpoints.set_status, methods=["POST"]),
            Route("/track", endpoints.track_all, methods=["POST"]),
            Route("/export", endpoints.export_all, methods=["POST"]),
            Route("/thumbnail/{name}", endpoints.get_thumbnail),
            Mount("/clip/{clip}", endpoints.serve_clip),
        ],
        exception_handlers={
            OutdatedError: lambda _, error: PlainTextResponse(str(error), 428),
            InputError: lambda _, error: PlainTextResponse(str(error), 409),
            ClientDisconnect: lambda _, error: Response(status_code=400),  # nobody reads it
        },
    )


class BatchEndpoints:
    """Responses to HTTP requests; those below ``/clip/NAME/`` are of a video's own application."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._files = load_page_files()

    async def get_file(self, request: Request) -> Response:
        """Return a file of the page."""
        name = request.path_params.get("name", "batch.html")
        return self._files.get(name, PlainTextResponse("no such file", 404))

    async def get_clips(self, request: Request) -> Response:
        """Return the list of videos."""
        clips = await run_in_threadpool(self._batch.list_clips)
        return Response(msgspec.json.encode(clips), media_type="application/json", headers=NO_CACHE_HEADERS)

    async def set_status(self, request: Request) -> Response:
        """Store the status of a video."""
        try:
            stored = msgspec.json.decode(await read_body(request) or b"", type=StatusMessage)
        except ValueError as error:
            return PlainTextResponse(f"status: {error}", 422)
        name, person = request.path_params["name"], read_person(request)
        await run_in_threadpool(
            self._batch.set_status, name, stored.status, stored.note, person, stored.outdated
        )
        return Response(status_code=204)

    async def track_all(self, request: Request) -> Response:
        """Track all videos with drawn masks; return the number of videos."""
        return JSONResponse(await run_in_threadpool(self._batch.track_all, read_person(request)))

    async def export_all(self, request: Request) -> Response:
        """Export all corrected or accepted videos in the outputs of the body; return `ExportedClips`."""
        try:
            outputs = msgspec.json.decode(await read_body(request) or b"", type=list[str])
        except ValueError as error:
            return PlainTextResponse(f"outputs: {error}", 422)
        exported = await run_in_threadpool(self._batch.export_all, outputs)
        return Response(msgspec.json.encode(exported), media_type="application/json")

    async def get_thumbnail(self, request: Request) -> Response:
        """Return the first, the least confident and the last frame of a video, with masks; or its first frame."""
        entries = {entry["name"]: entry for entry in await run_in_threadpool(self._batch.read_entries)}
        name = request.path_params["name"]
        path = self._batch.folder / name / "thumbnail.jpg"
        if name not in entries:
            return PlainTextResponse("no thumbnail", 404)
        if path.is_file():
            return FileResponse(path, headers=NO_CACHE_HEADERS)
        content = await run_in_threadpool(draw_first_frame, Path(entries[name]["video"] or ""))
        return Response(content, media_type="image/jpeg", headers=CACHE_HEADERS)

    async def serve_clip(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a video's application answer."""
        name, person = scope["path_params"]["clip"], read_person(HTTPConnection(scope))
        page, loop = scope["type"] == "websocket", asyncio.get_running_loop()
        found = await run_in_threadpool(self._batch.enter, name, person, page=page)
        try:
            await found.app(scope, receive, send)
        finally:
            found.used = loop.time()
            loop.call_later(RELEASE_SECONDS, lambda: loop.create_task(self._release(name, found)))
            await run_in_threadpool(self._batch.leave, name, found, page=page)

    async def _release(self, name: str, found: OpenClip) -> None:
        loop = asyncio.get_running_loop()
        if found.session.runner.busy:
            loop.call_later(RELEASE_SECONDS, lambda: loop.create_task(self._release(name, found)))
        elif loop.time() - found.used >= RELEASE_SECONDS:
            await run_in_threadpool(self._batch.release, name)


def draw_first_frame(video: Path) -> bytes:
    """Return the first frame of a video as JPEG; raise `InputError` if it cannot be read."""
    return encode_jpeg(next(iter(open_frames(video))), THUMBNAIL_WIDTH)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
