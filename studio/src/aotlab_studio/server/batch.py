"""Server of all videos of a batch: list, status and holders; one session per video."""

from __future__ import annotations

import asyncio
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
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aotlab import InputError
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import LOG_FILE, PROJECT_FILE, PROJECT_SUFFIX
from aotlab_studio.files import read_holder
from aotlab_studio.protocol import Clip, ClipStatus, Outdated
from aotlab_studio.review.batch import list_sentences, rank_entries
from aotlab_studio.server.app import NO_CACHE_HEADERS, build_app, load_page_files, read_body, read_person
from aotlab_studio.server.session import Note, Session

REVIEW_FILE = "review.json"
MAX_SENTENCES = 3
RELEASE_SECONDS = 10.0
"""seconds after which a video that no page shows is released, for a page that is reloaded"""


class StatusMessage(msgspec.Struct):
    """Body of a request that sets the status of a video."""

    status: ClipStatus
    note: Note = ""
    outdated: Outdated = "ask"


def read_entries(folder: Path) -> list[dict[str, Any]] | None:
    """Return the reviews of the videos of a batch, first those to look at first; None for any other folder."""
    try:
        entries = msgspec.json.decode((folder / REVIEW_FILE).read_bytes(), type=list[dict[str, Any]])
        return rank_entries([entry for entry in entries if entry["status"] != "waiting"])
    except (OSError, ValueError, KeyError):
        return None


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
    """The videos of a batch, opened when a page asks for them, and released when no page shows them.

    Args:
        folder: results of ``aotlab track --jobs``.
        open_clip: opens the session of a folder of results.

    Raises:
        InputError: not the results of a batch.
    """

    def __init__(self, folder: Path, open_clip: Callable[[Path], Session]) -> None:
        self.folder, self._open_clip = folder, open_clip
        self._open: dict[str, OpenClip] = {}
        self._locks: dict[str, threading.RLock] = {}
        """by the name of the video; held while it is opened, used or closed, so that no other video waits"""
        self._statuses: dict[str, tuple[list[Any], tuple[tuple[ClipStatus, str], str]]] = {}
        """by name: sizes and times of the files of a project, and what was read of them"""
        if not self._read_entries():
            raise InputError(f"{folder}: holds no results of a list of videos; run aotlab track --jobs first")

    def list_clips(self) -> list[Clip]:
        """Return all videos, first those to look at first."""
        return [self._describe(entry) for entry in self._read_entries()]

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
                found.session.document.name_holder(person)
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
        self, name: str, status: ClipStatus, note: str, person: str, outdated: Outdated = "ask"
    ) -> None:
        """Store the status of a video, as `Session.set_status`; raises `InputError` as `enter`."""
        with self._lock(name):
            found = self.enter(name, "" if name in self._open else person, page=False)
            try:
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

    def close(self) -> None:
        """Close all sessions."""
        for name in list(self._locks):
            with self._lock(name):
                if name in self._open:
                    self._open.pop(name).session.close()

    def _describe(self, entry: dict[str, Any]) -> Clip:
        project = self._locate_project(entry["name"])
        holder = read_holder(project) if project.is_dir() else None
        status: ClipStatus = "open"
        note, person, error = "", "", entry["error"]
        try:
            if (project / PROJECT_FILE).is_file():
                (status, note), person = self._read_status(entry["name"], project)
        except InputError as problem:
            error = str(problem)
        return Clip(
            name=entry["name"],
            status=status,
            note=note,
            person=person,
            holder=str(holder or ""),
            error=error,
            frames=entry["frames"] or 0,
            objects=entry["objects"],
            sentences=list_sentences(entry)[:MAX_SENTENCES],
        )

    def _read_status(self, name: str, project: Path) -> tuple[tuple[ClipStatus, str], str]:
        """Return status, note and person of a video; raise `InputError` if its project is damaged."""
        found = self._open.get(name)
        if found is not None:
            return found.session.document.status, found.session.document.person
        files = [project / PROJECT_FILE, project / LOG_FILE, *sorted(project.glob("layers/*.bin"))]
        stamp = [(path.name, info.st_mtime_ns, info.st_size) for path in files if (info := _stat(path))]
        if name not in self._statuses or self._statuses[name][0] != stamp:
            document = Document.read(project)
            self._statuses[name] = stamp, (document.status, document.person)
        return self._statuses[name][1]

    def _lock(self, name: str) -> threading.RLock:
        """Return the lock of a video; raises `InputError` as `_require_clip`."""
        if name not in self._locks:
            self._require_clip(name)
        return self._locks.setdefault(name, threading.RLock())

    def _open_session(self, name: str) -> OpenClip:
        self._require_clip(name)
        session = self._open_clip(self.folder / name)
        session.shared = True
        self._open[name] = OpenClip(session, build_app(session))
        return self._open[name]

    def _require_clip(self, name: str) -> None:
        for entry in self._read_entries():
            if entry["name"] == name:
                if entry["error"]:
                    raise InputError(f"{name}: could not be tracked ({entry['error']}); track it again")
                return
        raise InputError(f"{name[:80]}: no such video in {self.folder}; open the list")

    def _read_entries(self) -> list[dict[str, Any]]:
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
            Route("/thumbnail/{name}", endpoints.get_thumbnail),
            Mount("/clip/{clip}", endpoints.serve_clip),
        ],
        exception_handlers={
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

    async def get_thumbnail(self, request: Request) -> Response:
        """Return the first, the least confident and the last frame of a video, with masks."""
        names = {clip.name for clip in await run_in_threadpool(self._batch.list_clips)}
        path = self._batch.folder / request.path_params["name"] / "thumbnail.jpg"
        if request.path_params["name"] not in names or not path.is_file():
            return PlainTextResponse("no thumbnail", 404)
        return FileResponse(path, headers=NO_CACHE_HEADERS)

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


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
