"""Cryptomatte: ids and coverages of objects in an EXR (Friedman and Jones, Psyop, specification 1.2.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

MASK = 0xFFFFFFFF


def hash_name(name: str, seed: int = 0) -> int:
    """Return MurmurHash3 (x86, 32 bits) of a name in UTF-8."""
    data = name.encode()
    value, rest = seed, len(data) % 4
    for start in range(0, len(data) - rest, 4):
        value ^= _mix(int.from_bytes(data[start : start + 4], "little"))
        value = (((value << 13 | value >> 19) & MASK) * 5 + 0xE6546B64) & MASK
    if rest:
        value ^= _mix(int.from_bytes(data[-rest:], "little"))
    value ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = ((value ^ value >> shift) * factor) & MASK
    return value ^ value >> 16


def _mix(block: int) -> int:
    block = (block * 0xCC9E2D51) & MASK
    return ((block << 15 | block >> 17) * 0x1B873593) & MASK


def find_id(name: str) -> int:
    """Return the bits of the float that stands for a name: its hash, without exponents of NaN and subnormal numbers."""
    value = hash_name(name)
    exponent = value >> 23 & 255
    return value ^ 1 << 23 if exponent in (0, 255) else value


def make_header(layer: str, names: Sequence[str]) -> dict[str, str]:
    """Return the attributes of a file with one layer of objects with these names."""
    key = f"cryptomatte/{hash_name(layer):08x}"[:19]  # the first seven digits
    manifest = {name: f"{find_id(name):08x}" for name in names}
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
    ids = np.array([find_id(name) for name in coverages], np.uint32).view(np.float32)
    values = np.stack([*coverages.values()]).astype(np.float32)
    depth = max(1, int((values > 0).sum(axis=0).max()))
    order = np.argsort(-values, axis=0, kind="stable")[:depth]
    ranked = np.take_along_axis(values, order, axis=0)
    owners = np.where(ranked > 0, ids[order], np.float32(0))
    channels = dict[str, np.ndarray]()
    for group in range((depth + 1) // 2):
        for rank, suffixes in ((2 * group, "RG"), (2 * group + 1, "BA")):
            empty = np.zeros(values.shape[1:], np.float32)
            pair = (owners[rank], ranked[rank]) if rank < depth else (empty, empty)
            channels |= {f"{layer}{group:02d}.{suffix}": plane for suffix, plane in zip(suffixes, pair, strict=True)}
    return channels
