"""Requests and responses that the servers of a session and of a batch share."""

from __future__ import annotations

import html
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aotlab import InputError, internal, sdk
from aotlab_studio.utils.files import encode_json

MAX_UPLOAD_BYTES = 32 * 2**20
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
CACHE_HEADERS = {"cache-control": "private, max-age=3600"}


def respond_json(value: Any, status: int = 200) -> Response:
    return Response(encode_json(value), status, media_type="application/json")


def parse_index(request: Request) -> int:
    """Return the frame number of an address; raise `InputError` for other text."""
    text = str(request.path_params["index"])
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"frame {text[:20]!r} is not a number; give its number")
    return int(text)


async def read_body(request: Request) -> bytes:
    """Return the body; answer 413 if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_UPLOAD_BYTES:
            raise HTTPException(413, f"larger than {MAX_UPLOAD_BYTES >> 20} MiB; send fewer masks at once")
    return bytes(body)


def _draw_switch(option: sdk.OutputOption) -> str:
    """Return the checkbox of an option of outputs that is on or off; empty for others."""
    if option.choices:
        return ""
    text = option.name.replace("_", " ").capitalize()
    box = f'<input type="checkbox" data-option="{option.name}">'
    return f'<label title="{html.escape(option.help)}">{box} {text}</label>'


def make_page_routes(start: str) -> list[Route]:
    """Return the routes of the page's files; ``start`` is served at /. No request reaches the file system."""
    folder, pages = files("aotlab_studio") / "page", dict[str, Response]()
    options = "".join(map(_draw_switch, internal.list_output_options())).encode()
    icons = (folder / "icons.svg").read_bytes()
    for file in folder.iterdir():
        if kind := CONTENT_TYPES.get(Path(file.name).suffix):
            content = file.read_bytes().replace(b"<!-- icons.svg -->", icons)
            content = content.replace(b"<!-- output options -->", options)
            pages[file.name] = Response(content, media_type=kind)

    def get_file(request: Request) -> Response:
        return pages.get(request.path_params.get("name", start)) or PlainTextResponse("no such file", 404)

    return [Route("/", get_file), Route("/page/{name}", get_file)]
