"""Tiny training sets for tests."""

import numpy as np
from PIL import Image

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.phases import open_set
from aotlab.media.masks import write_mask

SIZE = 24, 32
IDS = np.zeros(SIZE, np.uint8)
IDS[2:8, 2:8], IDS[10:20, 4:20], IDS[0, :] = 1, 3, 255


def add_image(path, *, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def add_gray(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def add_video(root, name, *, frames=3, step=1, prefix="", mask=IDS, images="JPEGImages", masks="Annotations"):
    for index in range(0, frames * step, step):
        stem = f"{prefix}{index:05d}"
        add_image(root / images / name / f"{stem}.jpg")
        write_mask(root / masks / name / f"{stem}.png", mask)


def grades():
    """Gray levels 0, 100, 128 and 255 in four columns."""
    return np.repeat(np.array([0, 100, 128, 255], np.uint8), 8)[None].repeat(SIZE[0], axis=0)


def opened(root, kind, split=None):
    return open_set(root.parent, SourceConfig(root.name, kind, split))


def values(item):
    """The ids of an item, read together with its image."""
    image, mask = item.read()
    assert (image.shape[:2], image.dtype, mask.dtype) == (mask.shape, np.uint8, np.uint8)
    assert np.array_equal(mask, item.read_mask())
    return set(np.unique(mask).tolist())
