"""Drawn masks by content, and tracked masks by layer and frame."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from io import BytesIO
from operator import attrgetter

import msgspec
import numpy as np
from msgspec import Struct
from PIL import Image

from aotlab import InputError, sdk
from aotlab_studio.cache import LRUCache
from aotlab_studio.document.database import Database
from aotlab_studio.document.scores import Score

MASK_CACHE_BYTES = 64 * 2**20
"""Memory for decoded drawn masks, and as much for tracked ones."""
MAX_SCORES = 100_000
"""Largest number of scores kept in memory, and of frames whose scores are kept in the project."""


def encode_png(ids: np.ndarray) -> bytes:
    """Return a gray PNG of H×W ids, 16-bit if an id is above 255."""
    content, kind = BytesIO(), np.uint16 if ids.max(initial=0) > 255 else np.uint8
    Image.fromarray(ids.astype(kind)).save(content, format="PNG", compress_level=1)
    return content.getvalue()


def decode_png(content: bytes) -> np.ndarray:
    """Read H×W uint16 ids; content of other kinds raises any error of a decoder."""
    with sdk.decode_image(BytesIO(content)) as image:
        return np.array(image).astype(np.uint16)


class MaskStore:
    """Stores masks of one object each, H×W bool, by a digest of their pixels."""

    def __init__(self, database: Database, size: tuple[int, int]) -> None:
        self.size, self._database = size, database
        self._cache: LRUCache[np.ndarray] = LRUCache(MASK_CACHE_BYTES, attrgetter("nbytes"))
        self._unions: dict[frozenset[str], str] = {}

    def encode(self, mask: np.ndarray, new_pngs: dict[str, bytes]) -> str:
        """Return the digest of a mask, under which its PNG is added to ``new_pngs``; empty for an empty mask."""
        if not mask.any():
            return ""
        digest = _digest_mask(mask)
        new_pngs[digest] = encode_png(mask)
        self._cache.put(digest, mask.copy())
        return digest

    def unite(self, digests: Sequence[str]) -> str:
        """Return the digest of the union of masks; empty if one of them is damaged."""
        if len(digests) == 1:
            return digests[0]
        key = frozenset(digests)
        if key not in self._unions:
            with suppress(InputError):
                self._unions[key] = _digest_mask(np.any([self.read(digest) for digest in digests], axis=0))
        return self._unions.get(key, "")

    def read(self, digest: str) -> np.ndarray:
        """Return a mask, which must not be changed; raise `InputError` if it is missing or damaged."""
        mask = self._cache.get(digest) if digest else np.zeros(self.size, bool)
        if mask is None:
            mask = decode_mask(digest, self._database.read_content("masks", digest))
            if mask is None:
                raise InputError("a drawn mask is damaged; reset the frame, then draw it again")
            self._cache.put(digest, mask)
        return mask


def decode_mask(digest: str, content: bytes) -> np.ndarray | None:
    """Return the mask H×W bool of a PNG; None if it is damaged, or not the mask of the digest."""
    mask = None
    with suppress(Exception):  # decoders raise any
        mask = decode_png(content) > 0
    return mask if mask is not None and _digest_mask(mask) == digest else None


def _digest_mask(mask: np.ndarray) -> str:
    return hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()[:32]


class TrackedMasks(Struct, frozen=True, omit_defaults=True):
    """Description of the tracked masks of a frame, stored with their PNG; the last row of a finished layer has none."""

    frame: int
    """Frame number; -1 in the last row of a finished layer."""
    scores: dict[int, Score] = {}
    """Scores of the tracked objects."""
    absent: list[int] = []
    """Objects that are absent, so that their tracking has ended."""
    digest: str = ""
    num_frames: int = 0
    """Number of tracked frames of a finished layer, in its last row; a layer with fewer is unfinished."""
    model: str = ""
    """Result of `describe_model`, or the job that it was read from; empty: unknown."""
    row_id: int = 0
    """0: not stored yet."""


decode_tracked_masks = msgspec.json.Decoder(TrackedMasks).decode
decode_scores = msgspec.json.Decoder(dict[int, Score]).decode


class TrackedLayer:
    """Tracked masks of a layer by frame; the last ones count."""

    def __init__(self, count: int) -> None:
        self.frames: dict[int, TrackedMasks] = {}
        self.coverage: dict[int, np.ndarray] = {}
        """N int8 of each object: 1 where it is tracked, -1 where it is absent, 0 elsewhere."""
        self.finished = False
        self.missing = np.ones(count, bool)
        """Frames that are not tracked, N bool."""

    def add(self, masks: TrackedMasks) -> None:
        """Add the masks of a frame."""
        frame = masks.frame
        self.finished = frame < 0 and len(self.frames) >= masks.num_frames
        if not 0 <= frame < len(self.missing):
            return
        self.frames[frame] = masks
        self.missing[frame] = False
        for object_id in {*self.coverage, *masks.scores, *masks.absent}:
            covered = self.coverage.setdefault(object_id, np.zeros(len(self.missing), np.int8))
            covered[frame] = 1 if object_id in masks.scores else -(object_id in masks.absent)


class TrackedMaskStore:
    """Tracked masks by layer, loaded on demand; all methods raise `InputError` if the project cannot be read."""

    def __init__(self, database: Database, size: tuple[int, int], count: int) -> None:
        self._database, self._size, self.count = database, size, count
        self._layers: dict[int, TrackedLayer] = {}
        self._lock = threading.Lock()
        self._cache: LRUCache[np.ndarray] = LRUCache(MASK_CACHE_BYTES, attrgetter("nbytes"))
        self._scores: LRUCache[dict[int, Score]] = LRUCache(MAX_SCORES, len)
        self._new_scores: dict[str, bytes] = {}
        """Scores to store with the next frame."""
        (self.last_row,) = database.query("SELECT ifnull(max(id), 0) FROM tracked_masks")[0]
        """Last row id of all layers; 0: none."""

    def open(self, layer_id: int) -> TrackedLayer:
        """Return the masks of a layer, which grow as it is tracked."""
        with self._lock:
            if layer_id not in self._layers:
                self._layers[layer_id] = self._load_layer(layer_id)
            return self._layers[layer_id]

    def put(self, layer_id: int, masks: TrackedMasks, ids: np.ndarray) -> None:
        """Append a frame, H×W ids, to a layer."""
        content = encode_png(ids)
        digest = hashlib.sha256(content).hexdigest()[:16]
        self._append(layer_id, msgspec.structs.replace(masks, digest=digest), content)

    def finish(self, layer_id: int) -> None:
        """Mark a layer as finished."""
        self._append(layer_id, TrackedMasks(-1, num_frames=len(self.open(layer_id).frames)), b"")

    def read(self, masks: TrackedMasks) -> np.ndarray:
        """Return the ids H×W of a frame, read-only; raise `InputError` if they are damaged."""
        row_id = masks.row_id
        return self._cache.get_or_compute(
            row_id, lambda: decode_png(self.read_png(masks)).reshape(self._size)
        )

    def read_scores(self, digest: str, measure: Callable[[], dict[int, Score]]) -> dict[int, Score]:
        """Return the scores of the masks of a frame by their digest, measured once."""
        if (scores := self._scores.get(digest)) is None:
            try:
                scores = decode_scores(self._database.read_content("scores", digest))
            except ValueError:  # missing or damaged
                scores = measure()
                self._new_scores[digest] = msgspec.json.encode(scores)
            self._scores.put(digest, scores)
        return scores

    def delete_unreachable(self, layer_ids: Collection[int]) -> None:
        """Remove masks of other layers, damaged and replaced masks, and old scores."""
        intact = "(SELECT *, CAST(note AS TEXT) AS note_text FROM tracked_masks WHERE json_valid(note_text))"
        last = f"SELECT max(id) FROM {intact} GROUP BY layer, json_extract(note_text, '$.frame')"
        kept = f"layer IN ({','.join(map(str, layer_ids))}) AND id IN ({last})"
        with self._database.transaction() as connection:
            connection.execute(f"DELETE FROM tracked_masks WHERE NOT ({kept})")
            newest = f"SELECT rowid FROM scores ORDER BY rowid DESC LIMIT {MAX_SCORES}"
            connection.execute(f"DELETE FROM scores WHERE rowid NOT IN ({newest})")

    def _load_layer(self, layer_id: int) -> TrackedLayer:
        layer = TrackedLayer(self.count)
        rows = "SELECT id, note FROM tracked_masks WHERE layer = ? ORDER BY id"
        for row_id, note in self._database.query(rows, layer_id):
            with suppress(ValueError):  # damaged
                layer.add(msgspec.structs.replace(decode_tracked_masks(note), row_id=row_id))
        return layer

    def read_png(self, masks: TrackedMasks) -> bytes:
        """Return the PNG of a frame; raise `InputError` if it is damaged."""
        content = self._database.read_content("tracked_masks", masks.row_id)
        if hashlib.sha256(content).hexdigest()[:16] != masks.digest:
            problem, remedy = f"the mask of frame {masks.frame} is damaged", "clear tracking of the frame"
            raise InputError(f"{self._database.path}: {problem}; {remedy}, then track it again")
        return content

    def _append(self, layer_id: int, masks: TrackedMasks, content: bytes) -> None:
        layer, note = self.open(layer_id), msgspec.json.encode(masks)
        decode_tracked_masks(note)  # check that it can be read back
        with self._database.transaction() as connection:
            row = layer_id, note, content
            row_id = connection.execute("INSERT INTO tracked_masks VALUES (NULL, ?, ?, ?)", row).lastrowid
            scores, self._new_scores = self._new_scores, {}
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", list(scores.items()))
        assert row_id is not None
        layer.add(msgspec.structs.replace(masks, row_id=row_id))
        self.last_row = row_id
