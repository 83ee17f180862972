"""Images of a clip, and readers of images."""

import cv2
import numpy as np

from aotlab.dataloaders.training.sets import read_ids, read_saliency
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from tests.drawn_clips import draw_clip

CLIP = draw_clip(("0", "1", "2", "3"), size=(24, 32)).frames
"""4×24×32×3 uint8"""
DEEP = CLIP.astype(np.uint16) * 257
"""the same with 16 bits"""
FORMATS = (
    "WEBP", "JPEG", "PNG", "BMP", "GIF", "TIFF", "JPEG2000", "PPM", "TGA", "SGI", "PCX", "ICO",
)  # fmt: skip
READERS = (read_image, read_mask, read_ids, read_saliency)


def write_png(path, values):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)
