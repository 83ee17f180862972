"""Soft masks of objects: values from 0 to 1, given as images or arrays."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from aotlab.media.masks import soft_to_labels

WHITE = 65535


@dataclass(frozen=True, eq=False)
class SoftMask:
    """Values of one object on one frame, compressed in 16 bits."""

    size: tuple[int, int]
    data: bytes

    @classmethod
    def compress(cls, values: np.ndarray) -> SoftMask:
        """Store values H×W from 0 to 1."""
        codes = (values * WHITE).round().astype(np.uint16)
        return cls((codes.shape[0], codes.shape[1]), zlib.compress(codes.tobytes(), 1))

    @property
    def values(self) -> np.ndarray:
        """H×W float32 from 0 to 1."""
        codes = np.frombuffer(zlib.decompress(self.data), np.uint16).reshape(self.size)
        return codes.astype(np.float32) / np.float32(WHITE)


def split_soft_mask(mask: np.ndarray) -> tuple[np.ndarray, dict[int, SoftMask]]:
    """Return the object ids H×W, and the values of each object by id, of floats H×W (object 1) or n×H×W (1 to n).

    Raises `InputError` as `soft_to_labels`.
    """
    planes = mask[None] if mask.ndim == 2 else mask
    return soft_to_labels(planes), {index: SoftMask.compress(plane) for index, plane in enumerate(planes, start=1)}


def insert_soft_masks(probabilities: np.ndarray, ids: Iterable[int], given: Mapping[int, SoftMask]) -> np.ndarray:
    """Return n×H×W probabilities of objects with those that are given; others get at most what these leave."""
    if not given:
        return probabilities
    is_given = np.array([object_id in given for object_id in ids])
    values = probabilities.copy()
    values[is_given] = [given[object_id].values for object_id in ids if object_id in given]
    values[is_given] /= np.maximum(values[is_given].sum(0), 1)
    values[~is_given] = np.minimum(values[~is_given], 1 - values[is_given].sum(0))
    return values
