"""Names and files: what a plain name is, what lies at a path, and writing so that a reader never sees half a file."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

LONGEST_NAME = 255
"""bytes of a file's name that file systems take"""
PICTURES = (".png", ".pdf", ".svg")
"""suffixes of plots"""
NOT_PLAIN = re.compile(r"^\.|^[A-Za-z]:|[/\\\x00-\x1f\x7f]|\s$|^\s")
"""what a plain name does not have: a dot in front, a drive, slashes, control characters, spaces around it"""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` if the block ends without an error.

    The temporary name keeps the suffix, so that writers which look at it choose the right format.

    Raises:
        InputError: the folder cannot be made or written, or something that is no file is there: renaming would put a
            file in the place of a device or pipe.
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
        with suppress(OSError):  # the error of the block says more
            temporary.unlink(missing_ok=True)


def require_replaceable(path: Path) -> None:
    """Refuse a path at which a new file would take the place of something that is no file.

    Raises:
        InputError: there is a folder, device or pipe, or a link to an open file of a process, as /dev/stdout is one.
    """
    stands_for_stream = os.path.islink(path) and os.readlink(path).startswith("/proc/")
    if stands_for_stream or (file_mode(path) and not is_file(path)):
        raise InputError(f"{_shown(path)}: is no file, and is not replaced by one; give another name")


def temporary_name(path: Path) -> str:
    """Name of the file that becomes ``path``; as long as file systems allow, so a long stem is shortened."""
    ending = f".{os.getpid()}.part{path.suffix}"
    stem = os.fsencode(path.stem)[: max(1, LONGEST_NAME - len(os.fsencode(ending)) - 1)]
    return f".{stem.decode(errors='ignore')}{ending}"


def plain_name(name: object, source: str) -> str:
    """The name, if it is one component of a path, so that it can neither leave its folder nor hide in it.

    Whatever reads names of sequences, frames or phases from a file, or makes paths of them, asks this first.

    Args:
        name: what was read.
        source: the file or setting that it comes from, for the message.

    Raises:
        InputError: empty, no text, hidden (a dot in front), too long, or with a slash, backslash, colon of a drive
            or control character.
    """
    if is_plain_name(name):
        return str(name)
    raise InputError(
        f"{source}: {ascii(name)[:80]} is not a plain name; give one without slashes, that does not begin with a dot"
    )


def is_plain_name(name: object) -> bool:
    """Whether `plain_name` takes it."""
    return isinstance(name, str) and NOT_PLAIN.search(name) is None and len(_encoded(name)) in range(1, 201)


def user_cache() -> Path:
    """Return the project's cache folder: the system's place for it, or ``~/.cache/aotlab`` of earlier versions.

    Raises:
        InputError: the user has no home.
    """
    from platformdirs import user_cache_path

    folder = user_cache_path("aotlab", appauthor=False)
    earlier = Path(os.environ.get("XDG_CACHE_HOME") or expand_home("~/.cache")) / "aotlab"
    return folder if folder.is_dir() or not earlier.is_dir() else earlier


def expand_home(path: str) -> Path:
    """A path whose ``~`` is the user's home.

    Raises:
        InputError: no such user, or one without a home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path[:200]}: nobody has this home; set HOME, or write the path out") from error


def read_text(path: Path, advice: str) -> str:
    """The text of a small file: UTF-8, with or without a byte order mark.

    Raises:
        InputError: missing, not readable, or no text; the sentence ends with ``advice``.
    """
    if not is_file(path):
        raise InputError(f"{path}: no such file; {advice}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 (byte {error.start}); {advice}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {advice}") from error


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path`` or behind it, if it is a link.

    Raises:
        InputError: that cannot be told, for example as its folder may not be entered or the path is too long.
    """
    return stat.S_ISREG(file_mode(path))


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be listed, as `is_file`."""
    if not stat.S_ISDIR(file_mode(path)):
        return False
    if not os.access(path, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"{path}: this folder may not be read; change its permissions")
    return True


def file_mode(path: Path) -> int:
    """What is at a path as `stat.S_ISREG` and its like take it, 0 where there is nothing; raises as `is_file`."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ELOOP:
            return 0  # a link that leads to itself leads to nothing
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{_shown(path)}: cannot be read ({reason}); check the path and its folders"
        ) from error


def real_path(path: Path) -> Path:
    """A path without links, as far as they can be followed; itself where it can be none, as with a NUL inside."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path


def _shown(path: Path) -> str:
    """A path for a message, cut where it is absurdly long."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:140]}...{text[-140:]}"


def _encoded(name: str) -> bytes:
    """The name's bytes; none where it has no encoding."""
    try:
        return name.encode()
    except UnicodeEncodeError:
        return b""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """As `atomic_path`, an open binary file, for writers that hide the reason when the disk is full.

    Raises:
        InputError: the folder cannot be made or written, or the file not to its end.
    """
    with atomic_path(path) as temporary:
        file = _ObservedFile(io.FileIO(temporary, "w"))
        try:
            with file:
                yield file
        except Exception as error:
            if file.failure is not None:
                raise file.failure from error
            raise


class _ObservedFile(io.BufferedWriter):
    """A binary file that remembers why it could not be written: PyTorch's writer raises an error of its own."""

    failure: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        """Write bytes; an error is remembered and raised."""
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Write what is buffered; an error is remembered and raised."""
        try:
            super().flush()
        except OSError as error:
            self.failure = error
            raise


def make_folder(folder: Path) -> Path:
    """Make ``folder`` and its parents; return it.

    Raises:
        InputError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); choose another folder"
        ) from error
    return folder


def require_writable(folder: Path) -> Path:
    """Make ``folder`` and prove that a file can be written there, before long work starts.

    Raises:
        InputError: it cannot be made or written.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(f"{folder}: cannot write here ({error.strerror}); choose another folder") from error


def require_output(path: Path, *suffixes: str) -> Path:
    """As `require_writable` for one file, before the long work whose result it will hold starts.

    Args:
        path: the file.
        suffixes: of the formats that can be written; any where none are given.

    Raises:
        InputError: another suffix, something that is no file is there, or its folder cannot be made or written.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(
            f"{_shown(path)}: cannot be written in a format of this name; give one that ends in {' or '.join(suffixes)}"
        )
    require_replaceable(path)
    require_writable(path.parent)
    return path


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that it holds; nothing where there is none.

    Raises:
        InputError: it cannot be removed.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be removed ({error.strerror}); choose another folder") from error
