"""Web server of a batch: the list of its clips, and the pages of each clip."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from aotlab import InputError
from aotlab_studio import protocol
from aotlab_studio.batch.batch import Batch
from aotlab_studio.server import http
from aotlab_studio.server.app import build_app


def build_batch_app(batch: Batch) -> Starlette:
    """Return the application of a batch, without its guard."""
    clip_app = build_app(lambda connection: connection.scope["session"])

    def track_all(_: Request) -> Response:
        return http.respond_json(batch.track_all())

    def stop_tracking(_: Request) -> Response:
        batch.stop_tracking()
        return http.respond_json(None)

    async def export_clips(request: Request) -> Response:
        body = msgspec.json.decode(await http.read_body(request), type=protocol.ExportRequest)
        folder = Path(body.folder) if body.folder else None
        export_all = partial(batch.export_all, body.outputs, options=dict.fromkeys(body.options, True), folder=folder)
        return http.respond_json(await run_in_threadpool(export_all))

    def get_thumbnail(request: Request) -> Response:
        """Return a thumbnail, which a browser may keep by the digest in its address."""
        clip = batch.find_clip(request.path_params["name"])
        try:
            content = batch.images.draw_thumbnail(clip)
        except InputError:
            batch.check_frames(clip.name)
            raise
        headers = http.CACHE_HEADERS if request.query_params.get("digest") else None
        return Response(content, media_type="image/jpeg", headers=headers)

    async def serve_clip(scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["clip"]
        cleanup = ExitStack()
        # the list marks a clip as done, or a page that closes sends its strokes
        is_page = not scope["path"].endswith("/edits")
        try:
            use = batch.use(name, is_page=is_page)
            session = await run_in_threadpool(cleanup.enter_context, use)
            await clip_app({**scope, "session": session}, receive, send)
        except InputError:
            await run_in_threadpool(batch.check_frames, name)
            if scope["type"] != "websocket":
                raise
            await WebSocket(scope, receive, send).close(1008)  # the page then requests the reason
        finally:
            await run_in_threadpool(cleanup.close)

    def respond_problem(request: Request, error: Exception) -> Response:
        """Return the text of an error, or show it in the list if a browser opens a clip."""
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(str(error), 409)
        return RedirectResponse(f"../../?{urlencode({'problem': str(error)})}", 303)

    return Starlette(
        routes=[
            *http.make_page_routes("batch.html", batch.folder),
            Route("/clips", lambda _: http.respond_json(batch.list_clips())),
            Route("/track", track_all, methods=["POST"]),
            Route("/stop", stop_tracking, methods=["POST"]),
            Route("/export", export_clips, methods=["POST"]),
            Route("/thumbnail/{name}", get_thumbnail),
            Mount("/clip/{clip}", serve_clip),
        ],
        exception_handlers={
            InputError: respond_problem,
            msgspec.DecodeError: lambda _, error: PlainTextResponse("body: not an export", 422),
            ClientDisconnect: lambda _, error: Response(status_code=400),  # nobody reads it
        },
    )
