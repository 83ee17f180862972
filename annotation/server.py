"""The web around a session: the page's files, frames and masks over HTTP, everything else over a WebSocket."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from aotlab.annotation.actions import act
from aotlab.annotation.description import objects_of
from aotlab.annotation.gate import Gate, gated
from aotlab.annotation.guard import Guard
from aotlab.annotation.runs import encode_runs
from aotlab.annotation.session import Session
from aotlab.annotation.timeline import frame_codes
from aotlab.annotation.uploads import load_upload
from aotlab.utils.errors import InputError

MESSAGE_BYTES = 2**20
"""Of a message at most; the longest stroke takes half of it."""
UPLOAD_BYTES = 32 * 2**20
"""Of a file of masks at most."""
WAITING = 5000
"""Events that may wait for a slow page; then it is disconnected, and begins anew."""
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def build(session: Session) -> Starlette:
    """The application, without its guard."""
    pages = Pages(session)
    return Starlette(
        routes=[
            Route("/", pages.file),
            Route("/page/{name}", pages.file),
            Route("/frame/{index:int}", pages.frame),
            Route("/labels/{index:int}", pages.labels),
            Route("/masks/{index:int}", pages.masks, methods=["POST"]),
            Route("/newest", pages.newest),
            Route("/export.zip", pages.archive),
            WebSocketRoute("/socket", pages.talk),
        ]
    )


class Pages:
    """What each address answers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._files = _page_files()

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            return PlainTextResponse("no such file", 404)
        content, kind = self._files[name]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    async def frame(self, request: Request) -> Response:
        """A frame as a JPEG, ``width`` pixels wide if that is given; with ``near`` one at hand in its place."""
        index = request.path_params["index"]
        if request.query_params.get("near"):
            content = await _answer(self._session.state.frames.near_jpeg, index)
            return content if isinstance(content, Response) else _jpeg(content, "no-store")
        text = request.query_params.get("width", "")
        width = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
        content = await _answer(self._session.state.frames.jpeg, index, width)
        return content if isinstance(content, Response) else _jpeg(content, "private, max-age=3600")

    async def newest(self, request: Request) -> Response:
        """The newest image of a stream."""
        live = self._session.live
        if live is None:
            return PlainTextResponse("no stream", 404)
        content = await _answer(live.newest, 320)
        return content if isinstance(content, Response) else _jpeg(content, "no-store")

    async def labels(self, request: Request) -> Response:
        """The masks of a frame as run lengths."""
        state = self._session.state
        content = await _answer(lambda index: encode_runs(state.labels(index)), request.path_params["index"])
        if isinstance(content, Response):
            return content
        return Response(content, media_type="application/octet-stream", headers={"cache-control": "no-store"})

    async def masks(self, request: Request) -> Response:
        """Take in a file of masks."""
        body = await _body(request)
        if body is None:
            return PlainTextResponse(f"masks: larger than {UPLOAD_BYTES >> 20} MiB; send fewer at once", 413)
        state, index = self._session.state, request.path_params["index"]
        known = await _answer(state.frames.check, index)
        if isinstance(known, Response):
            return known
        found = await _answer(load_upload, state, index, body, status=422)
        return found if isinstance(found, Response) else JSONResponse({"frames": found})

    async def archive(self, request: Request) -> Response:
        """What was exported last."""
        state = self._session.state
        path = state.project.folder / "export" / f"{state.frames.name}.zip"
        if not path.is_file():
            return PlainTextResponse("nothing is exported yet", 404)
        return FileResponse(path, filename=path.name, headers={"cache-control": "no-store"})

    async def talk(self, socket: WebSocket) -> None:
        """Serve a page's connection."""
        await Connection(self._session, socket).run()


class Connection:
    """One page: its messages in their order, and all events of the session."""

    def __init__(self, session: Session, socket: WebSocket) -> None:
        self._session, self._socket = session, socket
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Serve it until it goes."""
        await self._socket.accept()
        listeners = self._session.state.listeners
        listeners.append(self._tell)
        sender = asyncio.create_task(self._send())
        try:
            while True:
                await self._take(await self._socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass  # gone, or sent bytes where text is due
        finally:
            listeners.remove(self._tell)
            sender.cancel()

    async def _take(self, text: str) -> None:
        """Carry out a message, in its order; an export runs beside those after it, so that it can be cancelled."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self._events.put_nowait({"id": None, "error": "message: not JSON"})
            return
        if isinstance(message, dict) and message.get("do") == "export":
            self._export = asyncio.create_task(self._handle(message))
        else:
            await self._handle(message)

    async def _handle(self, message: Any) -> None:
        """Carry out a message and answer it."""
        number = message.get("id") if isinstance(message, dict) else None
        number = number if isinstance(number, int) else None
        try:
            if not isinstance(message, dict):
                raise InputError("message: expected an object with id and do")
            result = await run_in_threadpool(act, self._session, message)
            state = self._session.state
            step = state.history.last.serial if state.history.last else 0
            answer = {"id": number, "result": result, "revision": state.revision, "step": step}
        except InputError as error:
            answer = {"id": number, "error": str(error)}
        except Exception:  # the log has the traceback, and the page must hear of it
            logging.getLogger(__name__).exception("action failed")
            answer = {"id": number, "error": "internal error; the program's output has the details"}
        self._events.put_nowait(answer)

    def _tell(self, event: dict[str, Any]) -> None:
        """Queue an event; called from any thread."""
        state = self._session.state
        if event["event"] == "frame":
            event = {**event, "codes": frame_codes(state, event["frame"])}
        elif event["event"] == "objects":
            event = {**event, "objects": objects_of(state)}
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def _send(self) -> None:
        while True:
            event = await self._events.get()
            if self._events.qsize() > WAITING:
                await self._socket.close(1013, "too slow")
                return
            await self._socket.send_text(json.dumps(event))


def serve(
    session: Session, listener: socket.socket, *, host: str = "127.0.0.1", token: str | None = None
) -> Server:
    """The server on a bound socket, ready to `run`."""
    guard = Guard(build(session), listener.getsockname()[1], host=host, token=token)
    gate = Gate(guard.is_known)
    config = uvicorn.Config(
        guard,
        http=gated(gate, guard.opened),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws_max_size=MESSAGE_BYTES,
        ws_max_queue=32,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=2,
    )
    return Server(config, guard, listener, host)


class Server(uvicorn.Server):
    """A server that knows its address."""

    def __init__(self, config: uvicorn.Config, guard: Guard, listener: socket.socket, host: str) -> None:
        super().__init__(config)
        self._listener = listener
        host = reachable(host)
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{listener.getsockname()[1]}"
        self.url = f"{self.address}/?token={guard.token}"
        """what to open first"""

    def run_here(self) -> None:
        """Serve until Ctrl-C or `should_exit`."""
        self.run(sockets=[self._listener])


def reachable(host: str) -> str:
    """Return the host to put into an address: for all interfaces, this machine's address in its network."""
    if host not in ("0.0.0.0", "::", ""):
        return host
    family, other = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((other, 9))  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:  # no network
        return "::1" if ":" in host else "127.0.0.1"


def bind(host: str, port: int) -> socket.socket:
    """A socket to listen on; port 0: any free one. Raises `InputError` where it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        # asyncio sets it only for sockets that it makes itself; without it an answer of two parts takes 40 ms more
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        raise InputError(
            f"host {host}, port {port}: cannot listen there ({error}); choose another port"
        ) from error


async def _answer(function: Any, *arguments: Any, status: int = 404) -> Any:
    """Return a function's result, run in a thread; or a response of ``status`` with the sentence of its error."""
    try:
        return await run_in_threadpool(function, *arguments)
    except InputError as error:
        return PlainTextResponse(str(error), status)


def _jpeg(content: bytes, kept: str) -> Response:
    return Response(content, media_type="image/jpeg", headers={"cache-control": kept})


async def _body(request: Request) -> bytes | None:
    """The body, or None once it proves too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > UPLOAD_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _page_files() -> dict[str, tuple[bytes, str]]:
    """The page's files by name, so that no name of a request ever reaches the file system."""
    folder = files("aotlab.annotation") / "page"
    return {
        file.name: (file.read_bytes(), KINDS[Path(file.name).suffix])
        for file in folder.iterdir()
        if Path(file.name).suffix in KINDS
    }
