"""Cryptomatte: ids and coverages of objects in an EXR (Friedman and Jones, Psyop, specification 1.2.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import mmh3
import numpy as np


def hash_name(name: str) -> int:
    """Return MurmurHash3 (x86, 32 bits) of a name in UTF-8."""
    return int(mmh3.hash(name, signed=False))


def name_to_id(name: str) -> int:
    """Return the bits of the float that stands for a name: its hash, without exponents of NaN and subnormal numbers."""
    value = hash_name(name)
    exponent = value >> 23 & 255
    return value ^ 1 << 23 if exponent in (0, 255) else value


def make_header(layer: str, names: Sequence[str]) -> dict[str, str]:
    """Return the attributes of a file with one layer of objects with these names."""
    key = f"cryptomatte/{hash_name(layer):08x}"[:19]  # the first seven digits
    manifest = {name: f"{name_to_id(name):08x}" for name in names}
    return {
        f"{key}/name": layer,
        f"{key}/hash": "MurmurHash3_32",
        f"{key}/conversion": "uint32_to_float32",
        f"{key}/manifest": json.dumps(manifest, ensure_ascii=False),
    }


def make_channels(layer: str, coverages: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the channels of a layer by name, H×W float32.

    ``coverages``: H×W by name of the object, 0 to 1. Each pixel has pairs of id and coverage, the largest first, two in
    each group of channels; no pair where no object is.
    """
    ids = np.array([name_to_id(name) for name in coverages], np.uint32).view(np.float32)
    values = np.stack([*coverages.values()]).astype(np.float32)
    covered = values.any(axis=0)  # usually a small part of the pixels
    parts = values[:, covered]
    order = np.argsort(-parts, axis=0, kind="stable")
    ranked = np.take_along_axis(parts, order, axis=0)
    depth = max(1, int(ranked.any(axis=1).sum()))
    channels = dict[str, np.ndarray]()
    for rank in range(depth + depth % 2):
        planes = np.zeros((2, *covered.shape), np.float32)
        if rank < depth:
            planes[:, covered] = np.where(ranked[rank] > 0, ids[order[rank]], 0), ranked[rank]
        for key, plane in zip("BA" if rank % 2 else "RG", planes, strict=True):
            channels[f"{layer}{rank // 2:02d}.{key}"] = plane
    return channels
