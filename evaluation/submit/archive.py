"""Archives of id PNGs for the servers of benchmarks: writing and checking."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.evaluation.sequence_scores import find_unknown_ids
from aotlab.media.images import decode_image
from aotlab.media.labeled_video import Video
from aotlab.media.masks import PALETTE, list_ids
from aotlab.media.object_masks import read_labels
from aotlab.utils.files import atomic_path, describe_error, reading, require_file
from aotlab.utils.progress import progress_bar

DEPTH_BYTE = 24
"""offset of the bit depth in a PNG file"""
MAX_EXTRA_BYTES = 2**20
"""allowed size of a PNG in bytes beyond two per pixel"""
DATE = (1980, 1, 1, 0, 0, 0)
"""time stamp of every entry"""


@dataclass(frozen=True)
class ExpectedSequence:
    """Expected files of one sequence."""

    name: str
    frames: tuple[str, ...]
    """stems of its frames"""
    size: tuple[int, int]
    """(height, width) of the masks in pixels"""
    ids: frozenset[int]
    """allowed ids besides 0"""


def expect_sequence(video: Video) -> ExpectedSequence:
    """Return the results that the server expects of a video; read its given masks."""
    masks = [read_labels(mask) for mask in video.reference_masks.values()]
    ids = {item.object_id for item in video.objects} or set[int]().union(*map(list_ids, masks))
    size = video.output_size(*masks[0].shape)
    return ExpectedSequence(video.name, video.results, size, frozenset(ids))


def check_results(results: Path, expected: Sequence[ExpectedSequence]) -> list[str]:
    """Return a line for each invalid ``results/<sequence>/<frame>.png``, and one for a sequence's missing ones.

    Further files are ignored.
    """
    problems, missing = list[str](), dict[str, list[str]]()
    for item, stem in _iterate_frames(expected, "checking"):
        path = results / item.name / f"{stem}.png"
        if not path.is_file():
            missing.setdefault(item.name, []).append(str(path))
        elif problem := find_mask_problem(path.read_bytes(), item):
            problems.append(f"{path}: {problem}")
    return problems + _describe_missing(missing)


def write_archive(
    expected: Sequence[ExpectedSequence], results: Path, output: Path, folder: str = ""
) -> None:
    """Pack checked results. All masks get the standard palette.

    Args:
        results: folder of results; files that are not expected are skipped.
        output: path of the zip.
        folder: folder around the sequences in the archive; "" for its root.

    Raises:
        InputError: the archive cannot be written.
    """
    with open_archive(output) as archive:
        for item, stem in _iterate_frames(expected, "packing"):
            content = (results / item.name / f"{stem}.png").read_bytes()
            write_entry(archive, _entry_name(folder, item, stem), set_standard_palette(content))


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield a new zip, which gets its name when the block ends; raises `InputError` if it cannot be written."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        yield archive


def write_entry(archive: zipfile.ZipFile, name: str, content: bytes, *, compress: bool = False) -> None:
    """Write one file with a fixed time, so that the same results give the same archive."""
    entry = zipfile.ZipInfo(name, DATE)
    entry.external_attr = 0o644 << 16  # readable where the server unpacks it
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED)


def check_archive(archive: Path, expected: Sequence[ExpectedSequence], folder: str = "") -> list[str]:
    """Return the problems of a zip's entries as `check_results`, and unexpected ones; `InputError` for another file."""
    require_file(archive, "give a zip written by submit")
    with reading(archive, "write it again", zipfile.BadZipFile, kind="a readable zip"):
        file = zipfile.ZipFile(archive)
    with file:
        counts = Counter(name for name in file.namelist() if not name.endswith("/"))
        expected_entries = {_entry_name(folder, item, stem) for item in expected for stem in item.frames}
        if expected_entries.isdisjoint(counts):
            first = f"the first entry is {min(counts)}" if counts else "the archive is empty"
            return [f"no entry has an expected path: {first}; expected paths like {min(expected_entries)}"]
        problems = [f"{name}: unexpected" for name in sorted(counts.keys() - expected_entries)]
        problems += [f"{name}: duplicate entry" for name in sorted(expected_entries) if counts[name] > 1]
        missing = dict[str, list[str]]()
        for item, stem in _iterate_frames(expected, "checking"):
            name = _entry_name(folder, item, stem)
            if name not in counts:
                missing.setdefault(item.name, []).append(name)
            elif problem := _find_entry_problem(file, name, item):
                problems.append(f"{name}: {problem}")
        return problems + _describe_missing(missing)


def _describe_missing(missing: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for the missing masks of each sequence."""
    return [f"{names[0]}: missing ({len(names)} in all)" for names in missing.values()]


def find_mask_problem(content: bytes, item: ExpectedSequence) -> str | None:
    """Return the problem of a mask's bytes, or None."""
    try:
        with decode_image(io.BytesIO(content)) as image:
            kind, mode, (width, height) = image.format, image.mode, image.size
            # A small file can decode to a huge image, so the size is compared first.
            labels = np.array(image) if (height, width) == item.size else None
    except Exception as error:  # decoders raise all kinds of errors
        return f"not a readable PNG ({describe_error(error)})"
    if kind != "PNG":
        return f"a {kind} file; expected PNG"
    if mode not in ("P", "L") or content[DEPTH_BYTE] != 8:
        return f"mode {mode} with {content[DEPTH_BYTE]} bits; expected an 8-bit palette PNG"
    if labels is None:
        return f"{width}×{height}; expected {item.size[1]}×{item.size[0]}"
    if unknown := find_unknown_ids(labels, sorted(item.ids)):
        known = ", ".join(map(str, sorted(item.ids)))
        return f"unknown ids {', '.join(map(str, sorted(unknown)))}; the objects are {known}"
    return None


def set_standard_palette(content: bytes) -> bytes:
    """Return the bytes of a mask with the standard palette, unchanged if it has that already."""
    with decode_image(io.BytesIO(content)) as image:
        if image.mode == "P" and image.getpalette() == PALETTE.ravel().tolist():
            return content
        palette_image = Image.fromarray(np.array(image), mode="P")
    palette_image.putpalette(PALETTE.tobytes())
    out = io.BytesIO()
    palette_image.save(out, format="PNG")
    return out.getvalue()


def _iterate_frames(
    expected: Sequence[ExpectedSequence], verb: str
) -> Iterator[tuple[ExpectedSequence, str]]:
    total = sum(len(item.frames) for item in expected)
    with progress_bar(total, unit="frame", title=verb) as bar:
        for item in expected:
            for stem in item.frames:
                yield item, stem
                bar.update()


def _entry_name(folder: str, item: ExpectedSequence, stem: str) -> str:
    return "/".join(filter(None, (folder, item.name, f"{stem}.png")))


def _find_entry_problem(file: zipfile.ZipFile, name: str, item: ExpectedSequence) -> str | None:
    size, max_size = file.getinfo(name).file_size, MAX_EXTRA_BYTES + 2 * item.size[0] * item.size[1]
    if size > max_size:
        return f"{size} bytes; the limit is {max_size}"
    try:
        return find_mask_problem(file.read(name), item)
    except Exception as error:  # every kind of compression raises other errors
        return f"cannot be unpacked ({describe_error(error)})"
