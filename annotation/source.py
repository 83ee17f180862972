"""Fingerprint of a video: size and digest of its first and last bytes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from aotlab.media.image_frames import SUFFIXES
from aotlab.utils.errors import InputError

EDGE_BYTES = 64 * 2**10
"""number of bytes read at the start and at the end of a file"""


@dataclass(frozen=True)
class Source:
    """Fingerprint stored in a project."""

    bytes: int
    """size of the file, or of all images of a folder"""
    digest: str
    """digest of the size and of the first and last bytes; for a folder also of names and sizes of its images"""


def source_of(path: Path) -> Source:
    """Return the fingerprint of a video file, an image stack or a folder of images.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        if not path.is_dir():
            return Source(_add(digest, path), digest.hexdigest())
        images = sorted(
            (entry for entry in os.scandir(path) if Path(entry.name).suffix.lower() in SUFFIXES),
            key=lambda entry: entry.name,
        )
        sizes = [entry.stat().st_size for entry in images]
        for entry, size in zip(images, sizes, strict=True):
            digest.update(f"{entry.name}\0{size}\0".encode(errors="surrogateescape"))
        for entry in (*images[:1], *images[-1:]):
            _add(digest, Path(entry.path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return Source(sum(sizes), digest.hexdigest())


def _add(digest: hashlib.blake2b, path: Path) -> int:
    """Add a file's size and its first and last bytes to a digest; return the size."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(f"{size}\0".encode())
        digest.update(file.read(EDGE_BYTES))
        file.seek(max(0, size - EDGE_BYTES))
        digest.update(file.read(EDGE_BYTES))
    return size
