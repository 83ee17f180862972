"""Web server of a session: page, frames and masks over HTTP, actions and events over a WebSocket."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import msgspec
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from aotlab import InputError
from aotlab_studio.batch.images import draw_masks
from aotlab_studio.document.events import Event
from aotlab_studio.document.log import Origin
from aotlab_studio.protocol import Answer, Failure
from aotlab_studio.server import http
from aotlab_studio.server.guard import GuardMiddleware
from aotlab_studio.session.actions import REPEATABLE_ACTIONS, Targets, run_on_target
from aotlab_studio.session.session import Session, UnfinishedError
from aotlab_studio.session.uploads import load_upload
from aotlab_studio.utils.files import encode_json
from aotlab_studio.utils.video import encode_jpeg, require_frame

MAX_MESSAGE_BYTES = 2**20
"""Maximum size of a message, twice that of the longest stroke."""
MAX_SILENT = 64
"""Largest number of connections that have not sent a request yet."""
FIRST_REQUEST_SECONDS = 10
IDLE_SECONDS = 120
MIN_PAGE_ID = 2**32
"""Smallest message id of a page; pages begin at random numbers, so that they share no ids."""
MessageId = Annotated[int, msgspec.Meta(ge=MIN_PAGE_ID)]
DEFAULT_PORT = 8419


def build_app(find_session: Callable[[HTTPConnection], Session]) -> Starlette:
    """Return the application of the session that ``find_session`` returns for a request, without its guard."""

    def find_shown_session(request: HTTPConnection) -> Session:
        """Return the session; raise `InputError` if the page shows another project, opened at this address before."""
        session = find_session(request)
        if request.query_params.get("project", "") not in ("", session.document.header.id):
            raise InputError("this page shows another project; open that again, or reload the page")
        return session

    def get_frame(request: Request) -> Response:
        """Return a frame as JPEG.

        Fields of the query: ``width`` in pixels; ``near=1``: return the nearest decoded frame; ``masks=1``: draw the
        masks over it. A browser may cache the response if the query has the ``video`` of this session.
        """
        session = find_session(request)
        index = http.parse_index(request)
        query = request.query_params
        frames = session.document.frames
        text = query.get("width", "")
        width = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
        is_near = query.get("near") == "1"
        if query.get("masks") == "1":
            frame = draw_masks(frames.read(index, "small"), session.document.snapshot, index)
            content = encode_jpeg(frame, min(width or frames.size[1], frames.size[1]))
        else:
            content = frames.read_nearest_jpeg(index) if is_near else frames.read_jpeg(index, width)
        cacheable = query.get("video") == session.video_id and not is_near
        return Response(content, media_type="image/jpeg", headers=http.CACHE_HEADERS if cacheable else None)

    def get_labels(request: Request) -> Response:
        """Return the masks of a frame as run lengths, which a browser may cache like the JPEGs of `get_frame`."""
        session = find_shown_session(request)
        index = http.parse_index(request)
        headers = http.CACHE_HEADERS if request.query_params.get("video") == session.video_id else None
        content = encode_labels(session.document.snapshot.labels(index))
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def upload_masks(request: Request) -> Response:
        """Load the masks of an uploaded file.

        Fields of the query: ``chosen`` as in `load_upload`; ``page``: id of the page; ``id``: id of the message, by
        which a repeated request is recognized.
        """
        session = find_shown_session(request)
        query = request.query_params
        index = http.parse_index(request)
        require_frame(index, session.document.frames.count)
        body = await http.read_body(request)
        try:
            message = msgspec.json.decode(query.get("id", "null"), type=MessageId | None)
            origin = Origin(action="load_masks", page=query.get("page"), message_id=message)
            chosen = msgspec.json.decode(query.get("chosen", "null"), type=int | None)
            load = partial(load_upload, session.document, index, body, origin, chosen=chosen)
            loaded = await run_in_threadpool(load)
        except InputError as error:
            return PlainTextResponse(str(error), 422)
        session.runner.stop_if_invalid()
        return http.respond_json(loaded)

    async def store_edits(request: Request) -> Response:
        """Carry out the messages that a page sends when it closes; return an `Answer` or `Failure` for each."""
        try:
            messages = msgspec.json.decode(await http.read_body(request), type=list[dict[str, Any]])
        except (msgspec.DecodeError, RecursionError):
            return PlainTextResponse("edits: not a JSON list of messages", 422)
        if any(message.get("do") not in REPEATABLE_ACTIONS for message in messages):
            return PlainTextResponse(f"edits: expected {', '.join(REPEATABLE_ACTIONS)}", 422)
        session = find_shown_session(request)
        targets = Targets()
        answers = [await answer_message(session, message, Origin(), targets) for message in messages]
        return http.respond_json(answers)

    def get_archive(request: Request) -> Response:
        path = find_session(request).archive
        if not path.is_file():
            return PlainTextResponse("nothing is exported yet", 404)
        return FileResponse(path, filename=os.fsencode(path.name).decode(errors="replace"))

    async def serve_page(page: WebSocket) -> None:
        try:
            await Connection(find_shown_session(page), page).run()
        except InputError:
            await page.close(1008)  # the page then requests the reason

    return Starlette(
        routes=[
            *http.make_page_routes("index.html"),
            Route("/frame/{index}", get_frame),
            Route("/labels/{index}", get_labels),
            Route("/masks/{index}", upload_masks, methods=["POST"]),
            Route("/edits", store_edits, methods=["POST"]),
            Route("/export.zip", get_archive),
            WebSocketRoute("/socket", serve_page),
        ],
        exception_handlers={
            InputError: lambda _, error: PlainTextResponse(str(error), 404),
            msgspec.DecodeError: lambda _, error: PlainTextResponse("query: not a number or null", 422),
            ClientDisconnect: lambda _, error: Response(status_code=400),  # nobody reads it
        },
    )


async def answer_message(
    session: Session, message: dict[str, Any], origin: Origin, targets: Targets
) -> Answer | Failure:
    """Carry out an action in a thread, once for each message id of a page; return the reply."""
    document = session.document
    message_id = message["id"] if isinstance(message.get("id"), int) else None
    # programs may use an id again for another message
    unique_id = message_id if (message_id or 0) >= MIN_PAGE_ID else MIN_PAGE_ID + secrets.randbits(52)
    origin = msgspec.structs.replace(origin, message_id=unique_id)

    def act() -> Answer:
        result = run_on_target(session, message, origin, targets)
        with document.lock:  # events of this revision come before the answer
            step = document.log.message_steps.get(unique_id, 0)
            return Answer(message_id, result, document.revision, step)

    try:
        return await run_in_threadpool(act)
    except InputError as error:
        return Failure(message_id, str(error), isinstance(error, UnfinishedError))
    except OSError as error:
        return Failure(message_id, f"{message.get('do')}: {error}; free space, or check the disk")
    except Exception:
        logging.getLogger(__name__).exception("action failed")
        return Failure(message_id, "internal error; the program's output has the details")


class Connection:
    """WebSocket of one page. It carries out the page's messages in order, and sends all events of the session."""

    def __init__(self, session: Session, socket: WebSocket) -> None:
        self._session, self._socket = session, socket
        page = socket.query_params.get("page") or secrets.token_hex(8)
        self._origin = Origin(page=page)
        self._queue: asyncio.Queue[Event | Answer | Failure] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._targets = Targets()
        self._tasks: set[asyncio.Task[None]] = set()
        """Messages handled in the background; the event loop keeps only weak references to tasks."""

    async def run(self) -> None:
        """Exchange messages with the page until it disconnects."""
        await self._socket.accept()
        document = self._session.document
        document.listeners[self._notify] = self._origin.page
        sender = asyncio.create_task(self._send())
        try:
            while (text := (await self._socket.receive()).get("text")) is not None:
                await self._receive(text)
            await self._socket.close()  # bytes instead of text, or disconnected
        except (WebSocketDisconnect, RuntimeError):
            pass  # disconnected
        finally:
            del document.listeners[self._notify]
            sender.cancel()
        with suppress(InputError):  # a project that cannot be read
            await run_in_threadpool(document.emit_page_state)  # others can undo the steps of this page now

    async def _receive(self, text: str) -> None:
        """Carry out messages in order; an export runs in the background."""
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            self._queue.put_nowait(Failure(None, "message: not a JSON object with id and do"))
            return
        if message.get("do") == "export":
            task = asyncio.create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            await self._answer(message)

    async def _answer(self, message: dict[str, Any]) -> None:
        self._queue.put_nowait(await answer_message(self._session, message, self._origin, self._targets))

    def _notify(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def _send(self) -> None:
        while True:
            await self._socket.send_text(encode_json(await self._queue.get()).decode())


class PageProtocol(H11Protocol):
    """A connection, which is closed if no request comes in time. Of those that wait for one, the oldest are closed."""

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timer = self.loop.call_later(FIRST_REQUEST_SECONDS, transport.close)
        others = (other for other in self.connections if isinstance(other, PageProtocol))
        silent = {other.timer.when(): other for other in others if other.timer is not None}
        if len(silent) > MAX_SILENT:
            silent[min(silent)].transport.close()

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None:  # the guard ends connections without the cookie
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Server(uvicorn.Server):
    """The server of an application on a listening socket. `run_on_socket` starts it."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, *, host: str = "127.0.0.1", token: str | None = None
    ) -> None:
        port = listener.getsockname()[1]
        guard = GuardMiddleware(app, port, host=host, token=token)
        config = uvicorn.Config(
            guard, http=PageProtocol, log_level="warning", access_log=False, server_header=False, lifespan="off",
            ws_max_size=MAX_MESSAGE_BYTES, ws_max_queue=32,
            timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=2,
        )  # fmt: skip
        super().__init__(config)
        self._listener = listener
        host = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.url = f"{self.address}/?token={guard.token}"
        """First address to open."""

    def run_on_socket(self) -> None:
        """Serve until Ctrl-C or `should_exit`."""
        serving = self.serve(sockets=[self._listener])
        try:
            asyncio.run(serving)
        finally:
            serving.close()  # a signal may have come before it ran


def bind_socket(host: str, port: int | None) -> socket.socket:
    """Return a listening socket; raise `InputError` if it cannot listen there.

    The default is `DEFAULT_PORT`, or a free port if that is taken. Browsers keep the settings of a page by port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, DEFAULT_PORT if port is None else port), family=family)
    except (OSError, OverflowError, TypeError) as error:  # TypeError: no host can have this name
        is_taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        if port is None and is_taken:
            return bind_socket(host, 0)
        remedy = "choose another port" if is_taken else "give an address of this machine, such as 127.0.0.1"
        address = f"host {host}" if port is None else f"host {host}, port {port}"
        raise InputError(f"{address}: cannot listen there ({error}); {remedy}") from error
    # asyncio sets it only for sockets it creates; without it a response of two parts takes 40 ms more
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def encode_labels(labels: np.ndarray) -> bytes:
    """Return H×W ids as run lengths, which a page decodes faster than any image format.

    They run in rows, little-endian: height, width and n (uint32), n lengths (uint32), n ids (uint16).
    """
    flat = labels.astype(np.uint16).ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    lengths = np.diff(starts, append=flat.size)
    head = np.array([*labels.shape, len(starts)], "<u4")
    return head.tobytes() + lengths.astype("<u4").tobytes() + flat[starts].astype("<u2").tobytes()
