"""A small video for the tests of formats: object 3 has a hole and moves, 7 comes late and in two parts."""

import struct
import zlib

import numpy as np

from aotlab.sdk import Annotations, Region, VideoInfo, encode_rle

SIZE = (24, 40)
LENGTH = 4
VIDEO = VideoInfo("clip", SIZE, LENGTH, "24", lambda index: f"{index:05d}")


def labels(frame):
    """H×W ids of a frame."""
    mask = np.zeros(SIZE, np.uint16)
    mask[3:15, 2 + frame : 16 + frame] = 3
    mask[7:10, 6 + frame : 9 + frame] = 0
    if frame >= 2:
        mask[18:22, 20:26] = 7
        mask[2:6, 30:38] = 7
    return mask


def tracked():
    """All frames as annotations with class names."""
    frames = {}
    for frame in range(LENGTH):
        ids = [3] if frame < 2 else [3, 7]
        frames[frame] = [Region(number, encode_rle(labels(frame) == number), 0.75) for number in ids]
    stems = {frame: f"{frame:05d}" for frame in range(LENGTH)}
    return Annotations(SIZE, frames, {3: "person", 7: "ball"}, stems)


def write_gray(path, labels, bits):
    """Write H×W uint8 as a gray PNG of 2 or 4 bits, which Pillow does not write; a row has whole bytes."""
    height, width = labels.shape
    rows = [
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]).tobytes() for row in labels
    ]
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in parts
    )
    path.write_bytes(content)
