"""Files from the network, resumed where an earlier attempt broke off."""

from __future__ import annotations

import glob
import hashlib
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

PATIENCE = 60.0
"""seconds without a byte after which a server counts as gone"""
BLOCK = 2**20
HUB = "hf://"
"""how the address of a file on the Hugging Face Hub begins: hf://owner/repository or hf://owner/repository/file"""


def fetch(address: str, path: Path, *, hub_file: str) -> None:
    """Put a file at ``path``: from a URL, the Hugging Face Hub, or a path on this machine.

    What a URL had sent before it broke off stays beside ``path`` and is not asked for again.

    Args:
        address: http://, https://, file://, hf://owner/repository[/file], or a path.
        path: where it goes; written under another name until it is whole.
        hub_file: the file of a repository whose address names none.

    Raises:
        InputError: it cannot be fetched, or came only in part.
    """
    if address.startswith(HUB):
        _copy(from_hub(address, hub_file), path)
    elif address.startswith(("http://", "https://")):
        _from_url(address, path)
    else:
        _copy(Path(address.removeprefix("file://")), path)


def fetch_from_google_drive(identity: str, path: Path) -> None:
    """Put a file of Google Drive at ``path`` with gdown, which resumes; errors as `fetch`."""
    try:
        import gdown
        from gdown.exceptions import DownloadError
        from requests import ConnectionError as NoConnection
        from requests import RequestException, Timeout
    except ImportError as error:
        raise InputError("gdown is not installed, or too old; pip install 'gdown>=6.3'") from error
    part = _part(path, identity)
    try:
        gdown.download(id=identity, output=str(part), resume=True, use_cookies=False, timeout=PATIENCE)
    except (NoConnection, Timeout) as error:
        raise InputError(
            f"Google Drive, file {identity}: broke off or cannot be reached; try again to go on"
        ) from error
    except (DownloadError, RequestException, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"Google Drive, file {identity}: {lines[0][:200]}") from error
    part.replace(path)


def _from_url(address: str, path: Path) -> None:
    part = _part(path, address)
    have = part.stat().st_size if part.is_file() else 0
    try:
        request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            whole = int(length) + (have if resumed else 0) if length and length.isdecimal() else None
            with part.open("ab" if resumed else "wb") as file:
                shutil.copyfileobj(answer, file, BLOCK)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there is not a part of what the server has now
            part.unlink(missing_ok=True)
        raise InputError(
            f"{address}: the server says {error.code} {error.reason}; check the address"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{address}: broke off or cannot be reached ({reason}); try again to go on"
        ) from error
    got = part.stat().st_size
    if whole is not None and got != whole:
        raise InputError(f"{address}: {got} of {whole} bytes came; try again to go on")
    part.replace(path)


def from_hub(address: str, file: str) -> Path:
    """A file of the Hugging Face Hub, in the Hub's cache; ``file`` where the address names none. Errors as `fetch`."""
    parts = address.removeprefix(HUB).split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise InputError(f"{address}: expected hf://owner/repository or hf://owner/repository/file")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download("/".join(parts[:2]), parts[2] if len(parts) > 2 else file))
    except Exception as error:  # the Hub's client has errors of several libraries
        raise InputError(
            f"{address}: {(str(error).strip().splitlines() or ['no answer'])[0][:200]}"
        ) from error


def _copy(source: Path, path: Path) -> None:
    if not is_file(source):
        raise InputError(f"{source}: no such file; expected a checkpoint")
    part = _part(path)
    try:
        shutil.copyfile(source, part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{source}: cannot be copied to {path} ({error.strerror or error})") from error


def remove_parts(path: Path) -> None:
    """Remove what earlier attempts at this file, from any source, left of it."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def _part(path: Path, source: str = "") -> Path:
    """The part of a source that has arrived, which another source must not go on with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.name}.{hashlib.sha256(source.encode()).hexdigest()[:8]}.part")
