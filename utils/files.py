"""File names, file checks and atomic writes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from aotlab.utils.errors import InputError, is_out_of_memory, require
from aotlab.utils.text import shorten

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
MAX_NAME_BYTES = 255
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)
"""Errors of parsers that use values of JSON or XML whose types, lengths or fields are not as expected."""
WRONG_TYPES = {"tuple_type": "should be a list", **dict.fromkeys(("dict_type", "model_type"), "should be an object")}
"""Messages of pydantic's errors that name types of Python, by the type of the error."""
SYSTEM_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Names of files that file managers of macOS and Windows create."""
NO_SPACE_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
TEMPORARY_NAME = re.compile(r"\..+\.[0-9a-f]{8}\.part(\.[^.]*)?$")
"""Names that `temporary_name` makes."""
INVALID_FILE_NAME = re.compile(r"^\.|^[A-Za-z]:|[/\\\x00-\x1f\x7f\ud800-\udfff]|\s$|^\s")
"""Unsafe file names: leading dot, drive, slashes, control and undecodable characters, outer spaces."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to ``path``; rename it to ``path`` if the block ends without an error.

    The temporary name keeps the suffix, which selects the format in some writers. Raises `InputError` if the folder
    cannot be created or written, or ``path`` exists and is not a regular file.
    """
    require_regular_file(path)
    temporary = make_folder(path.parent) / temporary_name(path)
    try:
        with writing(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # the error of the block is more specific
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn system errors of the block, which creates, writes or removes a path, into an `InputError` about it.

    Args:
        errors: further types of errors, of a library that writes the file.
    """
    caught: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except caught as error:
        problem = f"cannot be written ({describe_error(error)})"
        remedy = "free space or " if getattr(error, "errno", None) in NO_SPACE_ERRNOS else ""
        raise InputError(problem, subject=path, remedy=f"{remedy}choose another folder") from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file as `atomic_path` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a JSON file as `atomic_path` does; without ``indent``, it is one line."""
    separators = (",", ":") if indent is None else None
    write_text(path, json.dumps(value, indent=indent, separators=separators) + "\n")


def write_bytes(path: Path, content: Buffer) -> None:
    """Write a file as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def require_regular_file(path: Path) -> None:
    """Raise `InputError` if a path is a folder, device, pipe, or a link to a process's open file, as /dev/stdout is."""
    is_stream = os.path.islink(path) and os.readlink(path).startswith("/proc/")
    if is_stream or (path.exists() and not path.is_file()):
        raise InputError("exists and is not a regular file", subject=path, remedy="give another name")


def temporary_name(path: Path) -> str:
    """Return a new temporary name for ``path``; a long stem is shortened."""
    ending = f".{uuid.uuid4().hex[:8]}.part{path.suffix}"
    stem = os.fsencode(path.stem)[: max(1, MAX_NAME_BYTES - len(os.fsencode(ending)) - 1)]
    return f".{stem.decode(errors='ignore')}{ending}"


def require_file_name(name: object, source: str) -> str:
    """Return a name read from a file or setting, ``source``, if it can be that of a file.

    Raises `InputError` for other values, as names of sequences, frames and phases become paths.
    """
    if not is_file_name(name):
        raise InputError(
            f"{ascii(name)[:80]} is not a plain name",
            subject=source,
            remedy="give at most 200 bytes without slashes, no dot first, and no space first or last",
        )
    return str(name)


def is_file_name(name: object) -> bool:
    """Return whether a value is a single, visible component of a path, of at most 200 bytes."""
    return isinstance(name, str) and not INVALID_FILE_NAME.search(name) and len(name.encode()) in range(1, 201)


def is_inner_path(path: object) -> bool:
    """Return whether a value is a path below a folder: names separated by slashes, of which only the first is visible.

    A path that is absolute, or has the part ``..``, a drive or a character that no file name has, is not.
    """
    names = path.split("/") if isinstance(path, str) else [""]
    return all(name and not INVALID_FILE_NAME.search(name) for name in (names[0], *(n.lstrip(".") for n in names[1:])))


@contextmanager
def reading(subject: object, remedy: str = "export it again", *errors: type[Exception]) -> Iterator[None]:
    """Turn errors of the block, which reads a file, into an `InputError`: ``SUBJECT: not readable (REASON); REMEDY``.

    These are `OSError`, `EOFError` and `ValueError`, which parsers and pydantic raise with the reason. An `InputError`
    keeps its remedy.

    Args:
        subject: usually the path.
        errors: further types of errors: those of a library that reads the file.
    """
    caught: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, *errors)
    try:
        with prefix_errors(subject):
            yield
    except InputError:
        raise
    except caught as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"not readable ({describe_error(error)})", subject=subject, remedy=remedy) from error


@contextmanager
def prefix_errors(subject: object) -> Iterator[None]:
    """Put the subject before that of an `InputError` of the block, unless it is the same or empty."""
    try:
        yield
    except InputError as error:
        if subject:
            error.add_subject(subject)
        raise


def describe_error(error: BaseException) -> str:
    """Return the message of an error of a library in one line of at most 200 characters."""
    if isinstance(error, UnicodeDecodeError):
        return f"not text in {error.encoding.upper()} at position {error.start}"
    if host := _find_unreached_host(error):
        return f"no connection to {host}"
    text = _describe_wrong_value(error) or getattr(error, "strerror", None) or shorten(error, 201)
    text = text or type(error).__name__
    if len(text) > 200:  # whole sentences if possible
        text = text[:200].rpartition(". ")[0] or f"{text[:199]}…"
    return f"missing {text}" if isinstance(error, KeyError) else text


def _find_unreached_host(error: BaseException) -> str | None:
    """Return the host of an error of requests or httpx about a request without a response; None for others."""
    try:
        url = getattr(getattr(error, "request", None), "url", None)
    except RuntimeError:  # of httpx, without a request
        return None
    has_response = getattr(error, "response", None) is not None
    return None if has_response or url is None else urlsplit(str(url)).hostname


def _describe_wrong_value(error: BaseException) -> str:
    """Return where a value is of a wrong type, and how, for the first one of an error of pydantic; empty for others."""
    if not isinstance(error, ValueError) or not hasattr(error, "errors"):  # pydantic takes long to import
        return ""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"missing '{place}'"
    reason = WRONG_TYPES.get(first["type"]) or str(first.get("ctx", {}).get("error", first["msg"]))
    reason = reason.removeprefix("Input ")
    return shorten(f"{place}: {reason}" if place else reason, 201)


def sibling_path(source: Path, ending: str) -> Path:
    """Return the path next to a file or folder and named after it, such as ``clip.txt`` for ``clip.mp4``."""
    if source.name in ("", ".."):  # the working directory or the one above
        source = source.resolve()
    return source.parent / f"{base_name(source)}{ending}"


def base_name(source: Path) -> str:
    """Return the name of a folder, also of the one that ``..`` names, or of a file without its suffix."""
    source = source if source.name not in ("", "..") else source.resolve()
    return source.name if os.path.isdir(source) else source.stem


def require_file(path: Path, remedy: str) -> None:
    """Raise `InputError` unless a path is a regular file."""
    problem = "not a regular file" if path.exists() else "no such file"
    require(path.is_file(), problem, subject=path, remedy=remedy)


def require_none_missing(missing: Sequence[Path], reason: str) -> None:
    """Raise `InputError` with the first of some missing files, their number and the ``reason`` to expect them."""
    if missing:
        others = f", and {len(missing) - 1} more are missing" if len(missing) > 1 else ""
        raise InputError(f"no such file{others}", subject=missing[0], remedy=reason)


def read_text(path: Path, remedy: str = "save it as UTF-8") -> str:
    """Read a small UTF-8 file; raises `InputError`, which ends with ``remedy``, if it is missing or not text."""
    require_file(path, remedy)
    with reading(path, remedy):
        return path.read_text(encoding="utf-8-sig")


def read_json(path: Path, remedy: str = "export it again") -> Any:
    """Return the value of a JSON file in UTF-8; raises `InputError` if it is missing or not JSON."""
    text = read_text(path, remedy)
    with reading(path, remedy, RecursionError):
        return json.loads(text)


def read_model(path: Path, schema: type[T], remedy: str = "export it again") -> T:
    """Return the value of a JSON file as a pydantic type; raises `InputError` as `read_json`, or for other values."""
    from pydantic import TypeAdapter

    tree = read_json(path, remedy)
    with reading(path, remedy):
        return TypeAdapter(schema).validate_python(tree)


@contextmanager
def reading_json(path: Path, remedy: str = "export it again") -> Iterator[Any]:
    """Yield the value of a JSON file; `reading` turns errors of the block, also `MALFORMED`, into an `InputError`."""
    tree = read_json(path, remedy)
    with reading(path, remedy, *MALFORMED):
        yield tree


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits; raises `InputError` if it cannot be read."""
    require_file(path, "give another file")
    total = hashlib.sha256()
    with reading(path, "check its permissions"), path.open("rb") as file:
        while block := file.read(2**20):
            total.update(block)
    return total.hexdigest()


def cache_folder() -> Path:
    """Return the folder of files that several runs share: ``$AOTLAB_HOME``, else the user's cache folder.

    On Linux that is ``~/.cache/aotlab``.
    """
    from platformdirs import user_cache_path

    home = os.environ.get("AOTLAB_HOME")
    return Path(os.path.expanduser(home)) if home else user_cache_path("aotlab", appauthor=False)


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents; return it. Raises `InputError` if that fails."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_writable(folder: Path) -> Path:
    """Check that a folder is writable or can be created, before long work starts; raises `InputError` if not."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    with writing(folder), tempfile.TemporaryFile(dir=existing):
        return folder


def list_files(folder: Path, name: str = "") -> Iterator[str]:
    """Yield the paths in a folder of all files and links in it, except system files; ``name``: of this entry only."""
    top = folder / name
    for path in top.rglob("*") if top.is_dir() and not (name and top.is_symlink()) else [top]:
        if path.name not in SYSTEM_FILES and (path.is_symlink() or (path.exists() and not path.is_dir())):
            yield path.relative_to(folder).as_posix()


def remove(path: Path) -> None:
    """Remove a file, link or folder with its contents, if it exists; raises `InputError` if it cannot be removed."""
    with writing(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
