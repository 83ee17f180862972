"""Drawn masks by content, and tracked masks by layer and frame."""

from __future__ import annotations

import hashlib
import re
import struct
import threading
import zlib
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
from msgspec import Struct
from PIL import Image

from aotlab import InputError
from aotlab.sdk import PALETTE, decode_image
from aotlab_studio.document.scores import Score
from aotlab_studio.files import RecordFile, write_bytes
from aotlab_studio.video import LRUCache

CACHE_BYTES = 64 * 2**20
"""memory for decoded masks of each kind"""
MAX_SCORES = 100_000
"""largest number of scores kept in memory"""


def encode_png(ids: np.ndarray) -> bytes:
    """Return a PNG of H×W ids: a palette image, 16-bit gray if an id is above 255."""
    if ids.max(initial=0) > 255:
        image = Image.fromarray(ids.astype(np.uint16))
    else:
        image = Image.frombytes("P", ids.shape[::-1], ids.astype(np.uint8).tobytes())
        image.putpalette(PALETTE.tobytes())
    content = BytesIO()
    image.save(content, format="PNG", compress_level=1)
    return content.getvalue()


def decode_png(content: bytes) -> np.ndarray:
    """Read H×W uint16 ids; content of other kinds raises any error of a decoder."""
    with decode_image(BytesIO(content)) as image:
        return np.array(image).astype(np.uint16)


class MaskStore:
    """Masks of one object each, H×W bool, in files named by a digest of their pixels."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size = folder, size
        self._cache: LRUCache[np.ndarray] = LRUCache(CACHE_BYTES, attrgetter("nbytes"))
        self._readable: dict[str, bool] = {}
        """by digest of each mask that was asked for"""

    def put(self, mask: np.ndarray) -> str:
        """Store a mask; return its digest, an empty text for an empty mask."""
        digest = _digest_mask(mask) if mask.any() else ""
        try:
            self._load(digest)
        except InputError:  # missing or damaged
            write_bytes(self.locate(digest), encode_png(mask))
        self._cache.put(digest, mask.copy())
        self._readable[digest] = True
        return digest

    def is_readable(self, digest: str) -> bool:
        """Return whether the file of a mask is neither missing nor damaged; it is read once, and after `put`."""
        if digest not in self._readable:
            try:
                self._readable[digest] = self.read(digest) is not None
            except InputError:
                self._readable[digest] = False
        return self._readable[digest]

    def read(self, digest: str) -> np.ndarray:
        """Return a mask, which must not be changed; raise `InputError` if its file is missing or damaged."""
        return self._cache.get_or_compute(digest, lambda: self._load(digest))

    def subtract(self, digest: str, area: np.ndarray) -> str:
        """Store a mask without an area, H×W bool; return its digest, the same one if it is damaged or unchanged."""
        mask = self.read(digest) if self.is_readable(digest) else np.zeros(self.size, bool)
        return self.put(mask & ~area) if (mask & area).any() else digest

    def _load(self, digest: str) -> np.ndarray:
        if not digest:
            return np.zeros(self.size, bool)
        path = self.locate(digest)
        try:
            mask = decode_png(path.read_bytes()) > 0
            stored = mask.shape == self.size and _digest_mask(mask) == digest
        except Exception:  # decoders raise all kinds of errors
            stored = False
        if not stored:
            raise InputError(f"{path}: not the mask that was stored, or missing; restore it from a backup")
        return mask

    def locate(self, digest: str) -> Path:
        """Return the path of a mask."""
        return self.folder / f"{digest}.png"


def _digest_mask(mask: np.ndarray) -> str:
    return hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()[:32]


class Result(Struct, frozen=True, omit_defaults=True):
    """Note on a tracked frame."""

    frame: int
    """frame number; -1 in the last record of a layer that is complete"""
    scores: dict[int, Score] = {}
    """by id of each object with a result"""
    absent: list[int] = []
    """objects that are not tracked any more on this frame, without a result"""
    provisional: bool = False
    """of one direction, replaced when the other one has come to this frame"""
    digest: str = ""
    """of the mask"""
    model: str = ""
    """name of the model"""


_decoder = msgspec.json.Decoder(Result)
LAYER_NAME = re.compile(r"([0-9]{6}|[1-9][0-9]{6,8})\.bin")
MAGIC = b"AOT2"
HEAD = struct.Struct("<4sIII")
"""start of a record: `MAGIC`, sizes of note and mask in bytes, CRC-32 of both sizes and the note"""


def read_record(file: IO[bytes], offset: int, length: int) -> tuple[Result, int, int] | None:
    """Return the note of the record at an offset, and offset and size of its mask; None unless it is whole.

    Args:
        length: bytes of the file that count.
    """
    file.seek(offset)
    head = file.read(HEAD.size)
    if not head.startswith(MAGIC) or len(head) < HEAD.size:
        return None
    _, note_size, mask_size, checksum = HEAD.unpack(head)
    start = offset + HEAD.size
    if start + note_size + mask_size > length:
        return None
    note = file.read(note_size)
    if checksum != zlib.crc32(head[4:12] + note):
        return None
    try:
        return _decoder.decode(note), start + note_size, mask_size
    except ValueError:
        return None


Place = tuple[int, int, str]
"""offset and size in bytes, and digest, of a mask in a file"""


class LayerFile(RecordFile):
    """Results of a layer, in records of one file; of several records of a frame the last counts.

    What follows the last whole record was cut off or is damaged: its frames have no result, and the layer is not
    complete.

    Args:
        size: height and width of the masks.
        count: number of frames of the video.
        end: bytes of the file that count; None: all.
    """

    def __init__(self, path: Path, size: tuple[int, int], count: int, end: int | None = None) -> None:
        super().__init__(path, path.stat().st_size if path.is_file() else 0)
        self.size, self._count = size, count
        self.results: dict[int, Result] = {}
        """by frame"""
        self.coverage: dict[int, np.ndarray] = {}
        """by object: 1 on each frame with a result, -1 where it is absent, 0 elsewhere; N int8"""
        self.complete = False
        self.places: dict[int, Place] = {}
        """position of the mask by frame, of the last result of each"""
        with suppress(OSError), path.open("rb") as file:
            length = self._size if end is None else min(self._size, end)
            while (found := read_record(file, self.end, length)) is not None:
                self._apply(*found)

    def put(self, result: Result, ids: np.ndarray) -> None:
        """Append a frame, H×W ids; raise `InputError` if that fails."""
        content = encode_png(ids)
        digest = hashlib.sha256(content).hexdigest()[:16]
        self._append(msgspec.structs.replace(result, digest=digest), content)

    def finish(self) -> None:
        """Mark the layer as complete; raise `InputError` if that fails."""
        self._append(Result(-1), b"")

    def read(self, frame: int, place: Place | None = None) -> np.ndarray:
        """Return the ids H×W of a frame with a result; raise `InputError` if they are damaged.

        Args:
            place: of the frame's mask; None: the last one.
        """
        start, size, digest = place or self.places[frame]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                content = file.read(size)
            if hashlib.sha256(content).hexdigest()[:16] != digest:
                raise ValueError("another content than was stored")
            return decode_png(content).reshape(self.size)
        except Exception as error:  # decoders raise all kinds of errors
            raise InputError(f"{self.path}: frame {frame} is damaged ({error}); track it again") from error

    def _append(self, result: Result, content: bytes) -> None:
        note = msgspec.json.encode(result)
        sizes = struct.pack("<II", len(note), len(content))
        head = MAGIC + sizes + struct.pack("<I", zlib.crc32(sizes + note))
        start = self.end + HEAD.size + len(note)
        self.append_bytes(head + note + content)
        self._apply(result, start, len(content))

    def _apply(self, result: Result, start: int, size: int) -> None:
        self.end, frame = start + size, result.frame
        self.complete = frame < 0
        if self.complete or frame >= self._count:
            return
        self.results[frame], self.places[frame] = result, (start, size, result.digest)
        for covered in self.coverage.values():
            covered[frame] = 0
        for object_id in (*result.scores, *result.absent):
            covered = self.coverage.setdefault(object_id, np.zeros(self._count, np.int8))
            covered[frame] = 1 if object_id in result.scores else -1


class LayerStore:
    """Files of layers by id, opened on demand."""

    def __init__(self, folder: Path, size: tuple[int, int], count: int) -> None:
        self._folder, self._size, self._count = folder, size, count
        self._files: dict[tuple[int, int | None], LayerFile] = {}
        self._lock = threading.Lock()
        self._cache: LRUCache[np.ndarray] = LRUCache(CACHE_BYTES, attrgetter("nbytes"))
        self.scores: LRUCache[dict[int, Score]] = LRUCache(MAX_SCORES, len)
        """of frames, by a text of what they show"""
        self.revision = 0
        """number of changes since the store was opened"""

    def open(self, layer_id: int, end: int | None = None) -> LayerFile:
        """Return the file of a layer, up to ``end`` as in `LayerFile`."""
        with self._lock:
            if (layer_id, end) not in self._files:
                path = self._folder / f"{layer_id:06d}.bin"
                self._files[layer_id, end] = LayerFile(path, self._size, self._count, end)
            return self._files[layer_id, end]

    def put(self, layer_id: int, result: Result, ids: np.ndarray) -> None:
        """Append a frame to a layer; raises `InputError` as `LayerFile.put`."""
        self.open(layer_id).put(result, ids)
        self.revision += 1

    def finish(self, layer_id: int) -> None:
        """Mark a layer as complete; raises `InputError` as `LayerFile.finish`."""
        self.open(layer_id).finish()
        self.revision += 1

    def read(self, file: LayerFile, frame: int) -> np.ndarray:
        """Return the ids H×W of a frame, which must not be changed; raises `InputError` as `LayerFile.read`."""
        place = file.places[frame]
        return self._cache.get_or_compute((file.path, place), lambda: file.read(frame, place))

    def keep_only(self, layer_ids: Collection[int]) -> None:
        """Remove the files of all other layers; a person's copies and other files stay."""
        for path in self._folder.glob("*.bin"):
            if LAYER_NAME.fullmatch(path.name) and path.is_file() and int(path.stem) not in layer_ids:
                path.unlink(missing_ok=True)
