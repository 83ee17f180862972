"""Folder of label maps, one PNG per frame, which also holds a note on the frame."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from io import BytesIO
from operator import attrgetter
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from aotlab import InputError
from aotlab.sdk import PALETTE, decode_image
from aotlab_studio.files import write_bytes
from aotlab_studio.review.scores import Score
from aotlab_studio.video import LRUCache

NOTE_KEY = "aotlab"
"""key of the PNG text that holds the note"""

FRAME_NAME = re.compile("[0-9]{6}|[1-9][0-9]{6,8}")
"""stem of a frame's file"""
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
"""last bytes of a complete PNG"""
CACHE_BYTES = 32 * 2**20
"""memory for decoded maps"""
log = logging.getLogger(__name__)


class Note(Struct, omit_defaults=True):
    """Note on a frame."""

    described: list[int] = []
    """objects that a given mask describes"""
    scores: dict[int, Score] = {}
    """by object id"""


def encode_png(ids: np.ndarray, note: Note) -> bytes:
    """Return a palette PNG (16-bit grey if an id is above 255) of H×W ids, with the note as text."""
    text = PngInfo()
    text.add_text(NOTE_KEY, msgspec.json.encode(note).decode())
    if ids.max(initial=0) > 255:
        image = Image.fromarray(ids.astype(np.uint16))
    else:
        image = Image.frombytes("P", ids.shape[::-1], ids.astype(np.uint8).tobytes())
        image.putpalette(PALETTE.tobytes())
    content = BytesIO()
    image.save(content, format="PNG", pnginfo=text, compress_level=1)
    return content.getvalue()


def decode_png(content: bytes) -> np.ndarray:
    """Read H×W uint16 ids from a PNG of `encode_png`; other content raises any error of a decoder."""
    with decode_image(BytesIO(content)) as image:
        return np.array(image).astype(np.uint16)


def _quarantine_damaged(folder: Path, size: tuple[int, int]) -> None:
    """Rename files that are cut off or of another size, so that they are not overwritten, and log a warning."""
    for path in folder.glob("*.png"):
        if not FRAME_NAME.fullmatch(path.stem) or not path.is_file():
            continue
        try:
            with decode_image(path) as image, path.open("rb") as file:
                file.seek(-len(PNG_END), os.SEEK_END)
                whole = image.size == size[::-1] and file.read() == PNG_END
        except Exception:  # decoders raise all kinds of errors
            whole = False
        if not whole:
            kept = path.with_name(f"{path.name}.damaged")
            os.replace(path, kept)
            log.warning(
                "%s: damaged, or not of the video's size %d×%d; kept as %s", path, *size[::-1], kept.name
            )


class LabelStore:
    """Label maps by frame number; each file is replaced as a whole. Damaged files are set aside.

    Args:
        folder: created with the first file.
        size: (height, width) of every map.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        _quarantine_damaged(folder, size)
        self._cache: LRUCache[np.ndarray] = LRUCache(CACHE_BYTES, attrgetter("nbytes"))
        self._present = {
            int(path.stem)
            for path in folder.glob("*.png")
            if FRAME_NAME.fullmatch(path.stem) and path.is_file()
        }

    def __contains__(self, index: int) -> bool:
        return index in self._present

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._present))

    def read(self, index: int) -> np.ndarray | None:
        """Return the map of a frame, which must not be changed; None without a file.

        Raises:
            InputError: the file is broken or of another size.
        """
        found = self._cache.get(index)
        if found is not None or index not in self._present:
            return found
        try:
            ids = decode_png(self.locate(index).read_bytes()).reshape(self.size)
        except Exception as error:  # decoders raise all kinds of errors
            raise InputError(
                f"{self.locate(index)}: not a readable mask ({error}); delete this file"
            ) from error
        self._cache.put(index, ids)
        return ids

    def read_note(self, index: int) -> Note:
        """Return the note of a frame, without decoding the pixels; an empty one if it is damaged."""
        try:
            with decode_image(self.locate(index)) as image:
                return msgspec.json.decode(image.info.get(NOTE_KEY, "{}"), type=Note)
        except Exception:  # decoders raise all kinds of errors
            return Note()

    def read_content(self, index: int) -> bytes | None:
        """Return the file of a frame; None without a file."""
        return self.locate(index).read_bytes() if index in self._present else None

    def put(self, index: int, content: bytes | None) -> None:
        """Replace the file of a frame, or remove it (None); raises `InputError` if it cannot be written."""
        path = self.locate(index)
        if content is None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be removed ({error.strerror}); make its folder writable"
                ) from error
            self._present.discard(index)
            self._cache.drop(index)
            return
        write_bytes(path, content)
        self._cache.put(index, decode_png(content))
        self._present.add(index)

    def locate(self, index: int) -> Path:
        """Return the path of a frame's file, which need not exist."""
        return self.folder / f"{index:06d}.png"
