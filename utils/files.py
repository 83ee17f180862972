"""File names, file checks and atomic writes."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_NAME_BYTES = 255
"""largest length of a file name in bytes"""
MAX_FILE_BYTES = 2**30
"""largest JSON file that is read; a million polygons of 100 points take less"""
PLOT_SUFFIXES = (".png", ".pdf", ".svg")
"""allowed suffixes of plots"""
INVALID_FILE_NAME = re.compile(r"^\.|^[A-Za-z]:|[/\\\x00-\x1f\x7f\ud800-\udfff]|\s$|^\s")
"""pattern of names that are not plain: leading dot, drive, slashes, control and undecodable characters, outer spaces"""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` if the block ends without an error.

    The temporary name keeps the suffix, which selects the format in some writers.

    Raises:
        InputError: the folder cannot be created or written, or ``path`` exists and is not a regular file.
    """
    require_replaceable(path)
    temporary = make_folder(path.parent) / temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # the error of the block is more specific
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def require_replaceable(path: Path) -> None:
    """Check that a new file would not replace anything but a regular file.

    Raises:
        InputError: a folder, device, pipe, or a link to a process's open file, such as /dev/stdout.
    """
    stands_for_stream = os.path.islink(path) and os.readlink(path).startswith("/proc/")
    if stands_for_stream or (file_mode(path) and not is_file(path)):
        raise InputError(f"{_shorten_path(path)}: exists and is not a regular file; give another name")


def temporary_name(path: Path) -> str:
    """Return the temporary name for ``path``; a long stem is shortened."""
    ending = f".{os.getpid()}.part{path.suffix}"
    stem = os.fsencode(path.stem)[: max(1, MAX_NAME_BYTES - len(os.fsencode(ending)) - 1)]
    return f".{stem.decode(errors='ignore')}{ending}"


def require_file_name(name: object, source: str) -> str:
    """Return the name if it is a single, visible component of a path.

    Names of sequences, frames and phases from files are checked here before they become paths.

    Args:
        name: value to check.
        source: file or setting it comes from, for the message.

    Raises:
        InputError: empty, not a string, hidden (leading dot), too long, or with a slash, backslash, drive colon
            or control character.
    """
    if is_file_name(name):
        return str(name)
    raise InputError(
        f"{source}: {ascii(name)[:80]} is not a plain name; give one without slashes, that does not begin with a dot"
    )


def is_file_name(name: object) -> bool:
    """Return whether `require_file_name` accepts the name."""
    return (
        isinstance(name, str) and not INVALID_FILE_NAME.search(name) and len(name.encode()) in range(1, 201)
    )


def user_cache_folder() -> Path:
    """Return the project's cache folder in the system's place for it."""
    from platformdirs import user_cache_path

    return user_cache_path("aotlab", appauthor=False)


def expand_home(path: str) -> Path:
    """Expand ``~`` in a path; raises `InputError` if user or home is unknown."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path[:200]}: unknown home folder; set HOME, or give the full path") from error


def read_text(path: Path, advice: str) -> str:
    """Read a small UTF-8 file, with or without a byte order mark.

    Raises:
        InputError: missing, not readable, or not text; the message ends with ``advice``.
    """
    if not is_file(path):
        raise InputError(f"{path}: no such file; {advice}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 (byte {error.start}); {advice}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {advice}") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file in UTF-8 of at most `MAX_FILE_BYTES` bytes; raises `InputError` for any other."""
    if not is_file(path):
        raise InputError(f"{path}: no such file; expected a file of masks")

    def refuse_constant(name: str) -> float:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MB; split it by video")
        return json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=refuse_constant)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file of masks") from error
    except RecursionError as error:
        raise InputError(f"{path}: not readable as JSON (nested too deeply); export it again") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); export it again") from error


@contextmanager
def prefix_errors(subject: object) -> Iterator[None]:
    """Turn errors of the block, which parses a file, into an `InputError` about the subject, usually a path.

    Parsers index fields without checks: a missing field or a value of another type ends here. An `InputError` that does
    not begin with the subject gets it as its first words.
    """
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(subject)):
            raise
        raise InputError(f"{subject}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        reason = f"missing {reason}" if isinstance(error, KeyError) else reason
        raise InputError(f"{subject}: not readable ({reason}); export it again") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits; raises `InputError` if it cannot be read."""
    if not is_file(path):
        raise InputError(f"{path}: no such file; give a regular file")
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return total.hexdigest()


def is_file(path: Path) -> bool:
    """Return whether ``path`` is a regular file or a link to one.

    Raises:
        InputError: the path cannot be checked, for example in a closed folder or if it is too long.
    """
    return stat.S_ISREG(file_mode(path))


def is_folder(path: Path) -> bool:
    """Return whether ``path`` is a readable folder; raises as `is_file` does."""
    if not stat.S_ISDIR(file_mode(path)):
        return False
    if not os.access(path, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"{path}: this folder cannot be read; change its permissions")
    return True


def file_mode(path: Path) -> int:
    """Return the file mode of a path, 0 if nothing exists; raises as `is_file` does."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ELOOP:
            return 0  # a circular link counts as missing
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{_shorten_path(path)}: cannot be read ({reason}); check the path and its folders"
        ) from error


def real_path(path: Path) -> Path:
    """Resolve the links of a path; return it unchanged if it is invalid."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path


def _shorten_path(path: Path) -> str:
    """Return a path for a message, truncated if very long."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:140]}...{text[-140:]}"


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield an open binary file as `atomic_path` does, for writers that hide why a write failed.

    Raises:
        InputError: the folder cannot be created or written, or the file cannot be completed.
    """
    with atomic_path(path) as temporary, _ObservedFile(temporary, "w") as raw:
        try:
            with io.BufferedWriter(raw) as file:
                yield file
        except Exception as error:
            if raw.failure is not None:
                raise raw.failure from error
            raise


class _ObservedFile(io.FileIO):
    """Binary file that keeps its write error, which PyTorch's writer replaces with another."""

    failure: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        """Write bytes; keep and raise errors."""
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            raise


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents; return it. Raises `InputError` if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{_shorten_path(folder)}: this folder cannot be created ({reason}); choose another folder"
        ) from error
    return folder


def require_writable(folder: Path) -> Path:
    """Create ``folder`` and check that it is writable, before long work starts; raises `InputError` if it is not."""
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(f"{folder}: cannot write here ({error.strerror}); choose another folder") from error


def require_output(path: Path, *suffixes: str) -> Path:
    """Check that an output file can be written, before long work starts.

    Args:
        suffixes: allowed suffixes; empty: any.

    Raises:
        InputError: another suffix, not a regular file, or the folder cannot be created or written.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(
            f"{_shorten_path(path)}: cannot be written in a format of this name; give one that ends in {' or '.join(suffixes)}"
        )
    require_replaceable(path)
    require_writable(path.parent)
    return path


def remove(path: Path) -> None:
    """Remove a file, link or folder with its contents, if it exists; raises `InputError` if it cannot be removed."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be removed ({error.strerror}); choose another folder") from error
