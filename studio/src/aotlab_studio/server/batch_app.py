"""Web server of a list of clips: the list over HTTP, and each clip's own application below its name."""

from __future__ import annotations

import asyncio
from typing import get_args

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from aotlab import InputError
from aotlab_studio.document.log import ClipStatus
from aotlab_studio.server.actions import MESSAGES
from aotlab_studio.server.app import CACHE_HEADERS, NO_CACHE_HEADERS, make_page_routes, read_body, read_person
from aotlab_studio.server.batch import Batch, OpenClip
from aotlab_studio.server.session import OutdatedError

RELEASE_SECONDS = 10.0
"""seconds after which a clip that no page shows is released, for a page that is reloaded"""


def build_batch_app(batch: Batch) -> Starlette:
    """Return the application of a batch, without its guard."""
    endpoints = BatchEndpoints(batch)
    return Starlette(
        routes=[
            *make_page_routes("batch.html"),
            Route("/clips", endpoints.get_clips),
            Route("/clips/{name}", endpoints.set_status, methods=["POST"]),
            Route("/track", endpoints.track_all, methods=["POST"]),
            Route("/export", endpoints.export_all, methods=["POST"]),
            Route("/thumbnail/{name}", endpoints.get_thumbnail),
            Mount("/clip/{clip}", endpoints.serve_clip),
        ],
        exception_handlers={
            OutdatedError: lambda _, error: JSONResponse(
                {"error": str(error), "choices": ["wait"] * error.waits + ["proceed"]}, 428
            ),
            InputError: lambda _, error: PlainTextResponse(str(error), 409),
            ClientDisconnect: lambda _, error: Response(status_code=400),  # nobody reads it
        },
    )


class BatchEndpoints:
    """Responses to HTTP requests; those below ``/clip/NAME/`` are of a clip's own application."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._timers: dict[str, asyncio.Task[None]] = {}
        """by clip: its release"""

    async def get_clips(self, request: Request) -> Response:
        """Return the list of clips."""
        clips = await run_in_threadpool(self._batch.list_clips)
        return Response(msgspec.json.encode(clips), media_type="application/json", headers=NO_CACHE_HEADERS)

    async def set_status(self, request: Request) -> Response:
        """Store the status of a clip, with the parameters of `Session.set_status`."""
        try:
            stored = msgspec.json.decode(await read_body(request), type=MESSAGES["set_status"])
        except ValueError as error:
            return PlainTextResponse(f"status: {error}; give one of {', '.join(get_args(ClipStatus))}", 422)
        name, person = request.path_params["name"], read_person(request)

        def store() -> None:
            with self._batch.use(name, person) as session:
                session.set_status(**msgspec.structs.asdict(stored))

        await run_in_threadpool(store)
        return Response(status_code=204)

    async def track_all(self, request: Request) -> Response:
        """Track all clips with drawn masks; return their number."""
        return JSONResponse(await run_in_threadpool(self._batch.track_all, read_person(request)))

    async def export_all(self, request: Request) -> Response:
        """Export all corrected or accepted clips in the outputs of the body; return `ExportedClips`."""
        try:
            outputs = msgspec.json.decode(await read_body(request), type=list[str])
        except ValueError as error:
            return PlainTextResponse(f"outputs: {error}", 422)
        exported = await run_in_threadpool(self._batch.export_all, outputs)
        return Response(msgspec.json.encode(exported), media_type="application/json")

    async def get_thumbnail(self, request: Request) -> Response:
        """Return the image of `Batch.draw_thumbnail`; a browser may keep it by the digest in its address."""
        try:
            content = await run_in_threadpool(self._batch.draw_thumbnail, request.path_params["name"])
        except InputError as error:
            return PlainTextResponse(str(error), 404)
        headers = CACHE_HEADERS if request.query_params.get("digest") else NO_CACHE_HEADERS
        return Response(content, media_type="image/jpeg", headers=headers)

    async def serve_clip(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a clip's application answer."""
        name, person = scope["path_params"]["clip"], read_person(HTTPConnection(scope))
        page = scope["type"] == "websocket"
        found = await run_in_threadpool(self._batch.enter, name, person, page=page)
        try:
            await found.app(scope, receive, send)
        finally:
            await run_in_threadpool(self._batch.leave, name, found, page=page)
            if name in self._timers:
                self._timers[name].cancel()
            self._timers[name] = asyncio.create_task(self._release_later(name, found))

    async def _release_later(self, name: str, found: OpenClip) -> None:
        """Release a clip after a while without a request, and after its tracking."""
        await asyncio.sleep(RELEASE_SECONDS)
        while found.session.runner.busy:
            await asyncio.sleep(RELEASE_SECONDS)
        await run_in_threadpool(self._batch.release, name)
