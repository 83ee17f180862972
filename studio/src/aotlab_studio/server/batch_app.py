"""Web server of a batch: the list of its clips, and the pages of each clip."""

from __future__ import annotations

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from aotlab import InputError
from aotlab_studio.server.app import CACHE_HEADERS, build_app, make_page_routes, read_body, read_person
from aotlab_studio.session.actions import MESSAGES
from aotlab_studio.session.batch import Batch
from aotlab_studio.session.session import OutdatedError


def build_batch_app(batch: Batch) -> Starlette:
    """Return the application of a batch, without its guard."""
    clip_app = build_app(lambda connection: connection.scope["session"])

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

        await run_sync(store, limiter=CapacityLimiter(1))  # in a separate thread, as it may wait for an hour
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
            await clip_app({**scope, "session": clip.session}, receive, send)
        finally:
            await run_in_threadpool(batch.leave, name, clip, page=page)
            if not clip.requests:
                await run_in_threadpool(batch.release_later, name)

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
