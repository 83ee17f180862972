"""Resumable downloads."""

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

TIMEOUT = 60.0
"""timeout in seconds without data"""
BLOCK = 2**20
HUB = "hf://"
"""prefix of addresses on the Hugging Face Hub: hf://owner/repository or hf://owner/repository/file"""


def fetch(address: str, path: Path, *, hub_file: str) -> None:
    """Fetch a file from a URL, the Hugging Face Hub or a local path.

    A partial download stays beside ``path`` and is resumed.

    Args:
        address: http://, https://, file://, hf://owner/repository[/file], or a path.
        path: destination, written under a temporary name first.
        hub_file: file to fetch if a repository's address has no file.

    Raises:
        InputError: not available, or incomplete.
    """
    if address.startswith(HUB):
        _copy(from_hub(address, hub_file), path)
    elif address.startswith(("http://", "https://")):
        _from_url(address, path)
    else:
        _copy(Path(address.removeprefix("file://")), path)


def fetch_from_google_drive(file_id: str, path: Path) -> None:
    """Fetch a file from Google Drive with gdown, which resumes; errors as in `fetch`."""
    try:
        import gdown
        from gdown.exceptions import DownloadError
        from requests import ConnectionError as NoConnection
        from requests import RequestException, Timeout
    except ImportError as error:
        raise InputError("gdown is not installed, or too old; pip install 'gdown>=6.3'") from error
    part = _part(path, file_id)
    try:
        gdown.download(id=file_id, output=str(part), resume=True, use_cookies=False, timeout=TIMEOUT)
    except (NoConnection, Timeout) as error:
        raise InputError(
            f"Google Drive, file {file_id}: broke off or cannot be reached; run the command again to resume"
        ) from error
    except (DownloadError, RequestException, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"Google Drive, file {file_id}: {lines[0][:200]}") from error
    part.replace(path)


def _from_url(address: str, path: Path) -> None:
    part = _part(path, address)
    have = part.stat().st_size if part.is_file() else 0
    try:
        request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            whole = int(length) + (have if resumed else 0) if length and length.isdecimal() else None
            with part.open("ab" if resumed else "wb") as file:
                shutil.copyfileobj(answer, file, BLOCK)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the partial file does not match the server's file
            part.unlink(missing_ok=True)
        raise InputError(
            f"{address}: the server answered {error.code} {error.reason}; check the address"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{address}: broke off or cannot be reached ({reason}); run the command again to resume"
        ) from error
    got = part.stat().st_size
    if whole is not None and got != whole:
        raise InputError(f"{address}: received {got} of {whole} bytes; run the command again to resume")
    part.replace(path)


def from_hub(address: str, file: str) -> Path:
    """Return a file of the Hugging Face Hub in its cache; ``file`` is the default name. Errors as in `fetch`."""
    parts = address.removeprefix(HUB).split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise InputError(f"{address}: expected hf://owner/repository or hf://owner/repository/file")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download("/".join(parts[:2]), parts[2] if len(parts) > 2 else file))
    except Exception as error:  # the Hub's client raises errors of several libraries
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
    """Remove partial downloads of this file from any source."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def _part(path: Path, source: str = "") -> Path:
    """Return the path of a partial download, which is specific to its source."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.name}.{hashlib.sha256(source.encode()).hexdigest()[:8]}.part")
