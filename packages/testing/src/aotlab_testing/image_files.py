"""Images of a clip, and readers of images."""

import struct
import zlib

import cv2
import numpy as np

from aotlab.dataloaders.training.sets import read_ids, read_saliency
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab_testing.drawn_clips import draw_moving_clip

CLIP = draw_moving_clip(("0", "1", "2", "3"), size=(24, 32)).frames
"""4×24×32×3 uint8."""
DEEP = CLIP.astype(np.uint16) * 257
"""The same with 16 bits."""
FORMATS = ("WEBP", "JPEG", "PNG", "BMP", "GIF", "TIFF", "JPEG2000", "PPM", "TGA", "SGI", "PCX", "ICO")
READERS = (read_image, read_mask, read_ids, read_saliency)


def write_png(path, values):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)


def write_gray_png(path, labels, bits):
    """Write H×W uint8 as a gray PNG of 2 or 4 bits, which Pillow does not write; a row has whole bytes."""
    height, width = labels.shape
    rows = [b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]).tobytes() for row in labels]
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in parts
    )
    path.write_bytes(content)
