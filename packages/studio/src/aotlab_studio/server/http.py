"""Requests and responses that the servers of a session and of a batch share."""

from __future__ import annotations

import html
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import aotlab_video
from aotlab import InputError
from aotlab_studio.session.export import is_matte
from aotlab_studio.utils.files import encode_json

PAGE = files("aotlab_studio") / "page"
COMMON_OUTPUTS = ("masks", "coco", "cvat", "yolo", "overlay")
MAX_UPLOAD_BYTES = 32 * 2**20
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
CACHE_HEADERS = {"cache-control": "private, max-age=3600"}


def respond_json(value: Any, status: int = 200) -> Response:
    return Response(encode_json(value), status, media_type="application/json")


def parse_index(request: Request) -> int:
    """Return the frame number of an address; raise `InputError` for other text."""
    text = str(request.path_params["index"])
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"frame {text[:20]!r}: no such frame")
    return int(text)


async def read_body(request: Request) -> bytes:
    """Return the body; answer 413 if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_UPLOAD_BYTES:
            raise HTTPException(413, f"larger than {MAX_UPLOAD_BYTES >> 20} MiB; send fewer masks at once")
    return bytes(body)


def _draw_outputs(checked: Collection[str]) -> str:
    """Return the checkboxes of the outputs that a project can be exported in, those of `COMMON_OUTPUTS` first."""
    boxes = {
        name: f'<label><input type="checkbox" name="{name}"{" checked" * (name in checked)}> '
        f"{html.escape(f'{kind.file_name}: {kind.description}')}</label>"
        for name in aotlab_video.list_outputs()
        if not is_matte(kind := aotlab_video.make_output(name))
    }
    common = [boxes.pop(name) for name in COMMON_OUTPUTS if name in boxes]
    return "".join([*common, "<details><summary>More</summary>", *boxes.values(), "</details>"])


def _draw_switch(option: aotlab_video.OutputOption) -> str:
    """Return the checkbox of an option that is on or off, with the outputs that have it; empty for other options."""
    if option.choices:
        return ""
    text = option.name.replace("_", " ").capitalize()
    outputs = [name for name in aotlab_video.list_outputs() if aotlab_video.select_options(name, {option.name: True})]
    box = f'<input type="checkbox" data-option="{option.name}" data-outputs="{" ".join(outputs)}">'
    return f'<label title="{html.escape(option.help)}">{box} {text}</label>'


def make_page_routes(start: str, folder: Path = Path()) -> list[Route]:
    """Return the routes of the page's files; ``start`` is served at /. No request reaches the file system.

    ``folder``: folder of a list, to which it exports by default.
    """
    pages = dict[str, Response]()
    inserted = {
        "folder of a list": html.escape(str(folder.absolute()).encode(errors="replace").decode()),
        "icons.svg": (PAGE / "icons.svg").read_text(),
        "output options": "".join(map(_draw_switch, aotlab_video.list_output_options())),
        "outputs": _draw_outputs(("masks", "overlay")),
        "outputs of a list": _draw_outputs(("masks", "coco")),
    }
    for file in PAGE.iterdir():
        if kind := CONTENT_TYPES.get(Path(file.name).suffix):
            content = file.read_bytes()
            for name, text in inserted.items():
                content = content.replace(f"<!-- {name} -->".encode(), text.encode())
            pages[file.name] = Response(content, media_type=kind)

    def get_file(request: Request) -> Response:
        return pages.get(request.path_params.get("name", start)) or PlainTextResponse("no such file", 404)

    return [Route("/", get_file), Route("/page/{name}", get_file)]
