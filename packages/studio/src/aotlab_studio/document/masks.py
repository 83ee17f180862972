"""Stores of drawn masks, by a digest of their pixels, and of tracked masks, by layer and frame."""

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
from aotlab_studio.document.database import Database
from aotlab_studio.document.scores import Score
from aotlab_studio.utils.cache import LRUCache

MASK_CACHE_BYTES = 64 * 2**20
"""Memory for decoded drawn masks; decoded tracked masks may take as much again."""
MAX_SCORES = 100_000
"""Largest number of frames whose scores are kept in the project."""


def encode_png(ids: np.ndarray) -> bytes:
    """Return H×W ids as a gray PNG, with 16 bits if an id is above 255."""
    content, kind = BytesIO(), np.uint16 if ids.max(initial=0) > 255 else np.uint8
    Image.fromarray(ids.astype(kind)).save(content, format="PNG", compress_level=1)
    return content.getvalue()


def decode_png(content: bytes) -> np.ndarray:
    """Return the H×W uint16 ids of a PNG. Raise any error of the decoder for other content."""
    with sdk.decode_image(BytesIO(content)) as image:
        return np.array(image).astype(np.uint16)


def count_pixels(ids: np.ndarray) -> dict[int, int]:
    """Return the number of pixels of each id above 0."""
    values, counts = np.unique(ids[ids > 0], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


class MaskStore:
    """Store of drawn masks. Each is the mask of one object on one frame, H×W bool, found by a digest of its pixels."""

    def __init__(self, database: Database, size: tuple[int, int]) -> None:
        self.size, self._database = size, database
        self._cache: LRUCache[np.ndarray] = LRUCache(MASK_CACHE_BYTES, attrgetter("nbytes"))
        self._unions: dict[frozenset[str], str] = {}

    def encode(self, mask: np.ndarray, new_pngs: dict[str, bytes]) -> str:
        """Return the digest of a mask and add its PNG to ``new_pngs``; an empty mask has an empty digest and no PNG."""
        if not mask.any():
            return ""
        digest = _digest_mask(mask)
        new_pngs[digest] = encode_png(mask)
        self._cache.put(digest, mask.copy())
        return digest

    def digest_of_union(self, digests: Sequence[str]) -> str:
        """Return the digest of the union of masks; empty if one of them is damaged."""
        if len(digests) == 1:
            return digests[0]
        key = frozenset(digests)
        if key not in self._unions:
            with suppress(InputError):
                self._unions[key] = _digest_mask(np.any([self.read(digest) for digest in digests], axis=0))
        return self._unions.get(key, "")

    def read(self, digest: str) -> np.ndarray:
        """Return a mask, read-only; raise `InputError` if it is missing or damaged."""
        mask = self._cache.get(digest) if digest else np.zeros(self.size, bool)
        if mask is None:
            content = self._database.read_content("masks", digest)
            with suppress(Exception):  # decoders raise any
                mask = decode_png(content) > 0
            if mask is None or _digest_mask(mask) != digest:
                raise InputError("the drawn mask is damaged; press R to remove it, then draw it again")
            self._cache.put(digest, mask)
        return mask


def _digest_mask(mask: np.ndarray) -> str:
    return hashlib.sha256(repr(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()[:32]


class LayerFrame(Struct, frozen=True, omit_defaults=True):
    """Description of a layer's masks on one frame; they are stored as a PNG of object ids."""

    frame: int
    scores: dict[int, Score] = {}
    absent: list[int] = []
    """Objects that a drawn mask has marked as absent, so that they are not tracked."""
    digest: str = ""
    model: str = ""
    """Result of `describe_model`, or the job whose output was imported; empty if unknown."""
    row_id: int = 0
    """Row of the database; 0 before it is stored."""


decode_layer_frame = msgspec.json.Decoder(LayerFrame).decode


class TrackedLayer:
    """Tracked masks of a layer. If a frame was tracked twice, the newer masks count."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.frames: dict[int, LayerFrame] = {}
        self.presence: dict[int, np.ndarray] = {}  # N int8 by object: 1 tracked, -1 absent, 0 unknown
        self.finished = False

    def add(self, description: LayerFrame) -> None:
        """Add the masks of a frame; those outside the video are ignored."""
        frame, scores, absent = description.frame, description.scores, description.absent
        if not 0 <= frame < self.count:
            return
        self.frames[frame] = description
        for object_id in {*self.presence, *scores, *absent}:
            presence = self.presence.setdefault(object_id, np.zeros(self.count, np.int8))
            presence[frame] = 1 if object_id in scores else -(object_id in absent)  # one write: others may read it


class TrackedMaskStore:
    """Tracked masks by layer, loaded on demand; all methods raise `InputError` if the project cannot be read."""

    def __init__(self, database: Database, size: tuple[int, int], count: int) -> None:
        self._database, self._size, self.count = database, size, count
        self.revision = 0  # number of changes since the project was opened
        self._layers: dict[int, TrackedLayer] = {}
        self._lock = threading.Lock()
        self._cache: LRUCache[np.ndarray] = LRUCache(MASK_CACHE_BYTES, attrgetter("nbytes"))
        self._new_scores: dict[str, dict[int, Score]] = {}  # not stored yet

    def layer(self, layer_id: int) -> TrackedLayer:
        """Return the masks of a layer, which grow as it is tracked."""
        with self._lock:
            if (layer := self._layers.get(layer_id)) is None:
                layer = TrackedLayer(self.count)
                rows = "SELECT id, description FROM tracked_masks WHERE layer = ? ORDER BY id"
                for row_id, description in self._database.query(rows, layer_id):
                    with suppress(ValueError):  # damaged
                        layer.add(msgspec.structs.replace(decode_layer_frame(description), row_id=row_id))
                finished = self._database.query("SELECT frames FROM finished_layers WHERE layer = ?", layer_id)
                layer.finished = any(len(layer.frames) >= frames for (frames,) in finished)
                self._layers[layer_id] = layer
            return layer

    def forget(self, layer_id: int) -> None:
        """Read a layer again when it is needed next."""
        self._layers.pop(layer_id, None)

    def put(self, layer_id: int, description: LayerFrame, ids: np.ndarray | bytes) -> None:
        """Store the masks of a frame, H×W ids or their `encode_png`, in a layer."""
        layer, png = self.layer(layer_id), ids if isinstance(ids, bytes) else encode_png(ids)
        digest = hashlib.sha256(png).hexdigest()[:16]
        encoded = msgspec.json.encode(msgspec.structs.replace(description, digest=digest))
        description = decode_layer_frame(encoded)  # check that it can be read back
        score_rows = [(key, msgspec.json.encode(scores)) for key, scores in self._new_scores.copy().items()]
        with self._database.transaction() as connection:
            insert = "INSERT INTO tracked_masks VALUES (NULL, ?, ?, ?)"
            row_id = connection.execute(insert, (layer_id, encoded, png)).lastrowid
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", score_rows)
        assert row_id is not None
        layer.add(msgspec.structs.replace(description, row_id=row_id))
        for key, _ in score_rows:  # others may have been measured meanwhile
            del self._new_scores[key]
        self.revision += 1

    def finish(self, layer_id: int) -> None:
        """Mark a layer as finished, until a frame of it is lost."""
        layer = self.layer(layer_id)
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO finished_layers VALUES (?, ?)", (layer_id, len(layer.frames)))
        layer.finished = True
        self.revision += 1

    def read(self, description: LayerFrame) -> np.ndarray:
        """Return the ids H×W of a frame, read-only; raise `InputError` if they are damaged."""
        row_id = description.row_id
        return self._cache.get_or_compute(row_id, lambda: decode_png(self.read_png(description)).reshape(self._size))

    def read_scores(self, digest: str, measure: Callable[[], dict[int, Score]]) -> dict[int, Score]:
        """Return the scores of the masks with a digest. They are measured once, then stored with the next frame."""
        if (scores := self._new_scores.get(digest)) is None:
            try:
                scores = msgspec.json.decode(self._database.read_content("scores", digest), type=dict[int, Score])
            except ValueError:  # missing or damaged
                scores = self._new_scores[digest] = measure()
        return scores

    def delete_unreachable(self, layer_ids: Collection[int]) -> None:
        """Delete all layers but ``layer_ids``, damaged masks, masks that newer ones replace, and old scores."""
        texts = "(SELECT *, CAST(description AS TEXT) AS text FROM tracked_masks WHERE json_valid(text))"
        newest_rows = f"SELECT max(id) FROM {texts} GROUP BY layer, json_extract(text, '$.frame')"
        layers = ",".join(map(str, layer_ids))
        with self._database.transaction() as connection:
            connection.execute(f"DELETE FROM finished_layers WHERE layer NOT IN ({layers})")
            connection.execute(f"DELETE FROM tracked_masks WHERE layer NOT IN ({layers}) OR id NOT IN ({newest_rows})")
            newest = f"SELECT rowid FROM scores ORDER BY rowid DESC LIMIT {MAX_SCORES}"
            connection.execute(f"DELETE FROM scores WHERE rowid NOT IN ({newest})")

    def read_png(self, description: LayerFrame) -> bytes:
        """Return the PNG of a frame; raise `InputError` if it is damaged."""
        png = self._database.read_content("tracked_masks", description.row_id)
        if hashlib.sha256(png).hexdigest()[:16] != description.digest:
            problem = f"the mask of frame {description.frame} is damaged"
            raise InputError(f"{self._database.path}: {problem}; clear tracking of the frame, then track it again")
        return png
