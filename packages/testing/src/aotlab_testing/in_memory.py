"""Labeled images and videos in memory, to make training clips of, and drawn videos on disk."""

from dataclasses import dataclass, field

import numpy as np

from aotlab.configs.training import PhaseConfig
from aotlab.export.synthetic_clip import draw_clip
from aotlab_testing.drawn_clips import write_images, write_masks

CROP = 65


def rng(seed=0):
    return np.random.default_rng(seed)


def phase(*sources, **options):
    """Return a short phase of small clips."""
    return PhaseConfig(**{"name": "p", "steps": 4, "batch": 2, "clip_length": 3, "crop": CROP, "short_edge": 72,
                          "sources": list(sources), **options})  # fmt: skip


@dataclass
class MemoryImage:
    """A labeled image whose gray is ten times the id, and which counts how often it is read."""

    mask: np.ndarray
    image: str = "shown"
    read_images: int = 0
    read_masks: int = 0
    error: Exception | None = field(default=None, repr=False)

    def read(self):
        mask = self.read_mask()
        return self.read_image(mask), mask

    def read_image(self, mask):
        self.read_images += 1
        return color_mask(mask)

    def read_mask(self):
        if self.error is not None:
            raise self.error
        self.read_masks += 1
        return self.mask


def color_mask(mask):
    """Return an image H×W×3 uint8 whose gray is ten times the id."""
    return np.repeat((mask * np.uint8(10))[..., None], 3, axis=-1)


def draw_blocks(*ids, side=20):
    """Draw a mask of squares side by side, one per id."""
    return np.repeat(np.repeat(np.array([ids], np.uint8), side, axis=0), side, axis=1)


def make_frames(*masks):
    """Return the labeled frames of a video with these masks."""
    return tuple(MemoryImage(mask, f"frame {index}") for index, mask in enumerate(masks))


def write_videos(root, *names, frames=4, size=(72, 96), start=0):
    """Write drawn videos as JPEGImages/<name>/ and Annotations/<name>/."""
    for seed, name in enumerate(names, start=start):
        images, masks = draw_clip(frames, *size, seed=seed)
        write_images(root / "JPEGImages" / name, images)
        write_masks(root / "Annotations" / name, masks)
