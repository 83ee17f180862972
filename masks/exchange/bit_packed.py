"""Label Studio's brush masks, run lengths packed bit by bit (thi.ng's rle-pack format)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from aotlab.masks.exchange.safe_files import ContentError

CHANNELS = 4
"""channels of a brush mask: red, green, blue, alpha, row by row; only alpha matters"""
SIZES = (3, 4, 8, 16)
"""possible bits of a block's length"""
LONGEST_BLOCK = 2 ** SIZES[-1]


def unpack(packed: object, size: tuple[int, int]) -> np.ndarray:
    """Return H×W bool, True where alpha is above 0; raises `ContentError` unless it is a brush mask of this size."""
    wrong = ContentError(f"a brush mask that does not fill an image of {size[1]}×{size[0]}")
    if not isinstance(packed, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in packed):
        raise wrong
    text, place = "".join(f"{byte:08b}" for byte in packed), 0

    def take(bits: int) -> int:
        nonlocal place
        place += bits
        if place > len(text):
            raise wrong
        return int(text[place - bits : place], 2)

    words = size[0] * size[1] * CHANNELS
    if take(32) != words or take(5) != 7:
        raise wrong
    sizes = [take(4) + 1 for _ in SIZES]
    image, done = np.zeros(words, dtype=np.uint8), 0
    while done < words:
        repeated, choice = take(1), take(2)
        count = take(sizes[choice]) + 1
        if done + count > words:
            raise wrong
        image[done : done + count] = take(8) if repeated else [take(8) for _ in range(count)]
        done += count
    return image.reshape(*size, CHANNELS)[..., -1] > 0


def pack(mask: np.ndarray) -> list[int]:
    """Return the brush mask of an H×W bool mask; the inverse of `unpack`."""
    flat = np.asarray(mask, dtype=bool).ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1), flat.size]
    fields = [(flat.size * CHANNELS, 32), (7, 5), *((bits - 1, 4) for bits in SIZES)]
    for start, end in pairwise(edges):
        fields += _blocks(int(end - start) * CHANNELS, 255 if flat[start] else 0)
    text = "".join(f"{value:0{bits}b}" for value, bits in fields)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _blocks(length: int, value: int) -> Iterator[tuple[int, int]]:
    """Yield values and bit counts of the blocks of one run."""
    while length > 0:
        part = min(length, LONGEST_BLOCK)
        choice = next(index for index, bits in enumerate(SIZES) if part <= 2**bits)
        yield from ((1, 1), (choice, 2), (part - 1, SIZES[choice]), (value, 8))
        length -= part
