"""Web server of a batch: the list of its clips, and the pages of each clip."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from aotlab import InputError
from aotlab_studio import protocol
from aotlab_studio.batch.batch import Batch
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document import schema
from aotlab_studio.document.log import Actor
from aotlab_studio.document.rules import Rules
from aotlab_studio.server import http
from aotlab_studio.server.app import build_app


def build_batch_app(batch: Batch) -> Starlette:
    """Return the application of a batch, without its guard."""
    clip_app = build_app(lambda connection: connection.scope["session"])

    def require_person(request: Request) -> str:
        actor = Actor(author=http.read_person(request))
        actor.require_author()
        return actor.author

    def get_clip(request: Request) -> BatchClip:
        return batch.find_clip(request.path_params["name"])

    def track_all(request: Request) -> Response:
        return http.respond_json(batch.track_all(require_person(request)))

    async def export_clips(request: Request) -> Response:
        person = require_person(request)
        body = msgspec.json.decode(await http.read_body(request), type=protocol.ExportRequest)
        export_all = partial(batch.export_all, body.outputs, person, refine_edges=body.refine_edges)
        return http.respond_json(await run_in_threadpool(export_all))

    async def read_schema(request: Request) -> Response:
        """Return the classes of an uploaded schema, which is not stored."""
        return http.respond_json(schema.read_schema(await http.read_body(request)).classes)

    def get_schema(request: Request) -> Response:
        """Return the schema of the list in a format of other tools."""
        if (found := schema.SCHEMA_WRITERS.get(request.path_params["format"])) is None:
            return PlainTextResponse(f"no such format; give one of {', '.join(schema.SCHEMA_WRITERS)}", 404)
        name, write = found
        headers = {"content-disposition": f"attachment; filename={name}"}
        return PlainTextResponse(write(batch.rules.current.classes), headers=headers)

    def get_history(request: Request) -> Response:
        return http.respond_json(batch.list_history(request.path_params["name"]))

    async def change_rules(request: Request) -> Response:
        person = require_person(request)
        rules = Rules.parse(await http.read_body(request))
        await run_in_threadpool(batch.rules.change, rules, person)
        return get_rules(request)

    def get_rules(request: Request) -> Response:
        batch.rules.require_known()
        return http.respond_json(batch.rules.current)

    def get_sheet(request: Request) -> Response:
        return http.respond_json(batch.images.list_sheet(get_clip(request)))

    def get_thumbnail(request: Request) -> Response:
        """Return a thumbnail, or that of one frame; a browser may keep it by the digest in its address."""
        clip, images = get_clip(request), batch.images
        is_frame = "index" in request.path_params
        try:
            content = images.draw_frame(clip, http.parse_index(request)) if is_frame else images.draw_thumbnail(clip)
        except InputError:
            batch.check_frames(clip.name)
            raise
        headers = http.CACHE_HEADERS if request.query_params.get("digest") else None
        return Response(content, media_type="image/jpeg", headers=headers)

    async def serve_clip(scope: Scope, receive: Receive, send: Send) -> None:
        name, person = scope["path_params"]["clip"], http.read_person(HTTPConnection(scope))
        connected, cleanup = scope["type"] == "websocket", ExitStack()
        # a status in the list, or strokes of a page that closes: others may have the clip open
        is_page = not scope["path"].endswith("/edits")
        try:
            use = batch.use(name, person, is_page=is_page)
            session = await run_in_threadpool(cleanup.enter_context, use)
            if connected and not session.document.read_only_warning:
                await run_in_threadpool(session.runner.schedule)
            await clip_app({**scope, "session": session}, receive, send)
        except InputError:
            await run_in_threadpool(batch.check_frames, name)
            if not connected:
                raise
            await WebSocket(scope, receive, send).close(1008)  # the page then requests the reason
        finally:
            await run_in_threadpool(cleanup.close)

    def respond_problem(request: Request, error: Exception) -> Response:
        """Return the text of an error, or show it in the list if a browser opens a clip."""
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(str(error), 409)
        next_clip = {"next": ""} if "next" in request.query_params else {}  # the list then opens another one
        return RedirectResponse(f"../../?{urlencode({'problem': str(error), **next_clip})}", 303)

    return Starlette(
        routes=[
            *http.make_page_routes("batch.html"),
            Route("/clips", lambda request: http.respond_json(batch.list_clips(http.read_person(request)))),
            Route("/track", track_all, methods=["POST"]),
            Route("/export", export_clips, methods=["POST"]),
            Route("/rules", get_rules),
            Route("/rules", change_rules, methods=["POST"]),
            Route("/schema", read_schema, methods=["POST"]),
            Route("/schema/{format}", get_schema),
            Route("/history/{name}", get_history),
            Route("/sheet/{name}", get_sheet),
            Route("/thumbnail/{name}", get_thumbnail),
            Route("/thumbnail/{name}/{index}", get_thumbnail),
            Mount("/clip/{clip}", serve_clip),
        ],
        exception_handlers={
            InputError: respond_problem,
            msgspec.DecodeError: lambda _, error: PlainTextResponse(f"body: {error}", 422),
            ClientDisconnect: lambda _, error: Response(status_code=400),  # nobody reads it
        },
    )
