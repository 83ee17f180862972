"""Merging of both directions between annotated frames; predictions of the first pass are stored on disk."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.utils.files import make_folder, writing

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from aotlab import Prediction


@dataclass(frozen=True)
class ObjectProbabilities:
    """Probabilities of one frame."""

    ids: tuple[int, ...]
    probabilities: Tensor
    """(1+n)×H×W: the background, then the objects in the order of ``ids``."""

    @property
    def labels(self) -> np.ndarray:
        """H×W ids of the most likely objects."""
        channels = self.probabilities.max(0).indices.cpu().numpy()
        return np.asarray(np.array([0, *self.ids])[channels])


class TemporaryArrays:
    """Arrays in an unnamed temporary file, read in any order.

    A context manager; raises `InputError` if the disk is full.
    """

    def __init__(self, folder: Path, *, compress: bool) -> None:
        self._file = tempfile.TemporaryFile(dir=make_folder(folder))  # noqa: SIM115
        self.folder, self._compress = folder, compress
        self._blocks: list[tuple[int, int, tuple[int, ...]]] = []  # offset, bytes and shape
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._blocks)

    def append(self, array: np.ndarray) -> None:
        """Append an array of uint8."""
        content = np.ascontiguousarray(array).tobytes()
        content = zlib.compress(content, 1) if self._compress else content
        with writing(self.folder):
            self._file.seek(self._end)
            self._file.write(content)
            self._file.flush()
        self._blocks.append((self._end, len(content), array.shape))
        self._end += len(content)

    def __getitem__(self, index: int) -> np.ndarray:
        offset, size, shape = self._blocks[index]
        self._file.seek(offset)
        content = self._file.read(size)
        content = zlib.decompress(content) if self._compress else content
        return np.frombuffer(bytearray(content), np.uint8).reshape(shape)  # writable, as PyTorch wants it


class PredictionFile(TemporaryArrays):
    """Predictions of one direction in a temporary file, with probabilities in steps of 1/255."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, compress=True)
        self._ids: dict[int, tuple[int, tuple[int, ...]]] = {}  # position in the file and ids

    def store(self, index: int, prediction: Prediction) -> None:
        """Store the prediction of a frame, without hidden objects."""
        visible_ids = tuple(object_id for object_id in prediction.ids if object_id not in prediction.hidden)
        channels = [0, *(prediction.ids.index(object_id) + 1 for object_id in visible_ids)]
        self._ids[index] = len(self), visible_ids
        self.append((prediction.probabilities[channels] * 255).round().byte().cpu().numpy())

    def load(self, index: int) -> ObjectProbabilities:
        """Return the probabilities of a frame, on the CPU."""
        import torch

        position, ids = self._ids[index]
        levels = torch.from_numpy(self[position].astype(np.float32))
        return ObjectProbabilities(ids, levels / levels.sum(0).clamp(min=1))


def merge_predictions(
    forward: Prediction, backward: ObjectProbabilities, weights: Mapping[int, float]
) -> tuple[Prediction, dict[int, float]]:
    """Return the weighted mean of both directions, object by object, and how they differ; the background gets the rest.

    The difference is 1 − IoU of the masks by object id, for objects of both directions.

    Args:
        forward: from the annotated frame before.
        backward: from the one after; moved to the device of ``forward``.
        weights: weight of ``backward`` by object id, from 0 at the annotated frame before to 1 at the one after; 0 or 1
            if one direction decides; none if the object is hidden in both. An object without a mask in one direction
            has probability 0 there.
    """
    from aotlab import Prediction

    ids = forward.ids + tuple(object_id for object_id in backward.ids if object_id not in forward.ids)
    total = forward.probabilities.new_zeros(1 + len(ids), *forward.probabilities.shape[1:])
    for channel, object_id in enumerate(ids, start=1):
        weight = weights.get(object_id, 0.0)
        for share, result in ((1 - weight, forward), (weight, backward)):
            if share and object_id in result.ids:
                probability = result.probabilities[1 + result.ids.index(object_id)]
                total[channel] += share * probability.to(total.device)
    total[0] = (1 - total[1:].sum(0)).clamp(min=0)
    merged = Prediction.from_probabilities(ids, total, temperature=forward.temperature)
    both = [object_id for object_id, weight in weights.items() if 0 < weight < 1]
    return merged, _measure_disagreement(both, forward.labels, backward.labels)


def _measure_disagreement(object_ids: Iterable[int], first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    """Return 1 minus the IoU of each object in two label maps (H×W ids); 0 if neither has it."""
    disagreement = {}
    for object_id in object_ids:
        mask, other = first == object_id, second == object_id
        union = int((mask | other).sum())
        disagreement[object_id] = 1 - int((mask & other).sum()) / union if union else 0.0
    return disagreement
