"""Archives for the benchmarks' servers: written from a folder of results, and checked entry by entry."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.masks.id_maps import PALETTE
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, is_file
from aotlab.utils.image_files import reason_of
from aotlab.utils.progress import progress_bar

DEPTH_BYTE = 24
"""offset of the bit depth in a PNG file"""
LARGEST_MASK = 2**20
"""bytes that a PNG may have beside two for each pixel"""
DATE = (1980, 1, 1, 0, 0, 0)
"""of every entry, so that the same results give the same archive"""


@dataclass(frozen=True)
class Expected:
    """What a server wants of one sequence."""

    name: str
    frames: tuple[str, ...]
    """stems of its frames"""
    size: tuple[int, int]
    """(height, width) of the masks in pixels"""
    ids: frozenset[int]
    """ids that may occur beside 0"""


def check_results(results: Path, wanted: Sequence[Expected], *, progress: bool = False) -> list[str]:
    """A line for each frame of ``results/<sequence>/<frame>.png`` that is missing or wrong; more is passed over."""
    problems = []
    for item, stem in _frames(wanted, "checking", progress):
        path = results / item.name / f"{stem}.png"
        problem = mask_problem(path.read_bytes(), item) if is_file(path) else "missing"
        if problem is not None:
            problems.append(f"{path}: {problem}")
    return problems


def write_archive(
    archive: Path, results: Path, wanted: Sequence[Expected], folder: str = "", *, progress: bool = False
) -> None:
    """Pack results that `check_results` has passed. Masks get the standard palette, whatever theirs is.

    Args:
        archive: the zip.
        results: may hold more; that is left out.
        wanted: every sequence.
        folder: in the archive, around the sequences; "" for its root.
        progress: show a bar on stderr.

    Raises:
        InputError: the archive cannot be written.
    """
    # PNGs are compressed already
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as out:
        for item, stem in _frames(wanted, "packing", progress):
            content = (results / item.name / f"{stem}.png").read_bytes()
            entry = zipfile.ZipInfo(_entry(folder, item, stem), DATE)
            entry.external_attr = 0o644 << 16  # readable where the server unpacks it
            out.writestr(entry, with_palette(content))


def check_archive(
    archive: Path, wanted: Sequence[Expected], folder: str = "", *, progress: bool = False
) -> list[str]:
    """A line for each entry of a zip that is missing, wrong, or not asked for.

    Raises:
        InputError: not a readable zip.
    """
    if not is_file(archive):
        raise InputError(f"{archive}: no such file; give a zip that submit wrote")
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if not name.endswith("/")]
            expected = {_entry(folder, item, stem) for item in wanted for stem in item.frames}
            if expected.isdisjoint(names):
                return [_misplaced(names, min(expected))]
            problems = [f"{name}: not asked for" for name in sorted(set(names) - expected)]
            problems += [f"{name}: twice" for name in sorted(expected) if names.count(name) > 1]
            present = set(names)
            for item, stem in _frames(wanted, "checking", progress):
                name = _entry(folder, item, stem)
                problem = _entry_problem(file, name, item) if name in present else "missing"
                if problem is not None:
                    problems.append(f"{name}: {problem}")
            return problems
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{archive}: not a readable zip ({error}); write it anew") from error


def mask_problem(content: bytes, item: Expected) -> str | None:
    """What is wrong with the bytes of a mask; None where nothing is."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, mode, (width, height) = image.format, image.mode, image.size
            labels = np.array(image) if (height, width) == item.size else None  # a bomb is not unpacked
    except Exception as error:  # decoders raise all kinds of errors
        return f"not a readable PNG ({reason_of(error)})"
    if kind != "PNG":
        return f"a {kind} file, where a PNG is wanted"
    if mode not in ("P", "L") or content[DEPTH_BYTE] != 8:
        return f"of mode {mode} with {content[DEPTH_BYTE]} bits, where an 8-bit palette PNG is wanted"
    if labels is None:
        return f"{width}×{height}, where {item.size[1]}×{item.size[0]} is wanted"
    extra = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0, *item.ids}
    if extra:
        known = ", ".join(map(str, sorted(item.ids)))
        return f"holds {', '.join(map(str, sorted(extra)))}, where the objects are {known}"
    return None


def with_palette(content: bytes) -> bytes:
    """The bytes of a mask with the standard palette; the same ones if it has that."""
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "P" and image.getpalette() == PALETTE.ravel().tolist():
            return content
        palette_image = Image.fromarray(np.array(image), mode="P")
    palette_image.putpalette(PALETTE.tobytes())
    out = io.BytesIO()
    palette_image.save(out, format="PNG")
    return out.getvalue()


def _frames(wanted: Sequence[Expected], verb: str, progress: bool) -> Iterator[tuple[Expected, str]]:
    """Every frame of every sequence, with a bar."""
    total = sum(len(item.frames) for item in wanted)
    with progress_bar(total, unit="frame", title=verb, shown=progress) as bar:
        for item in wanted:
            for stem in item.frames:
                yield item, stem
                bar.update()


def _entry(folder: str, item: Expected, stem: str) -> str:
    return "/".join(filter(None, (folder, item.name, f"{stem}.png")))


def _entry_problem(file: zipfile.ZipFile, name: str, item: Expected) -> str | None:
    size, most = file.getinfo(name).file_size, LARGEST_MASK + 2 * item.size[0] * item.size[1]
    if size > most:
        return f"{size} bytes, where a mask has {most} at most"
    try:
        return mask_problem(file.read(name), item)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
    ) as error:
        return f"cannot be unpacked ({error})"


def _misplaced(names: Sequence[str], example: str) -> str:
    """The line for an archive that holds nothing of what is wanted."""
    first = f"its first is {min(names)}" if names else "it is empty"
    return f"no entry has a path that is expected: {first}, but one like {example} is wanted"
