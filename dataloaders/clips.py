"""Training clips cut from single images and from videos (AOT, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from configs.training import SourceConfig
from dataloaders.augment import jitter_colours, place_static, place_video
from dataloaders.images import read_image
from dataloaders.sequences import list_frames
from utils.errors import InputError
from utils.masks import VOID, read_mask

MAX_OBJECTS = 10
MERGE_PIXELS = 100
"""objects with no more pixels than this on the reference frame are left out"""
REFERENCE_PIXELS = 200
"""foreground that a reference frame has to show"""


@dataclass(frozen=True)
class Clip:
    """A clip to learn from; the first frame is the reference frame."""

    frames: np.ndarray
    """T×H×W×3 uint8 RGB"""
    labels: np.ndarray
    """T×H×W uint8: 0 background, 1 to ``objects``, 255 ignored"""
    objects: int


@dataclass(frozen=True)
class StaticImages:
    """Single images with masks; a clip shows one of them moved about."""

    pairs: tuple[tuple[Path, Path], ...]

    def sample(self, length: int, crop: int, short_edge: int, rng: Generator) -> Clip:
        """Draw an image and move it; ``short_edge`` is there for the videos' sake."""
        image_path, mask_path = self.pairs[rng.integers(len(self.pairs))]
        image = read_image(image_path)
        mask = read_mask(mask_path, size=image.shape[:2])
        if not ((mask > 0) & (mask < VOID)).any():
            mask = (mask == VOID).astype(np.uint8)  # saliency sets write their one object as 255
        frames, labels = place_static(image, mask, length, crop, rng)
        frames = np.stack([jitter_colours(frame, rng, strength=0.1) for frame in frames])
        return relabel(frames, labels, rng, minimum=0)


@dataclass(frozen=True)
class VideoClips:
    """Videos with a mask for every frame."""

    videos: tuple[tuple[tuple[Path, Path], ...], ...]
    max_gap: int

    def sample(self, length: int, crop: int, short_edge: int, rng: Generator) -> Clip:
        """Draw a video, frames from it, and one crop for all of them."""
        video = self.videos[rng.integers(len(self.videos))]
        indices = self._indices(video, length, rng)
        images = [read_image(video[index][0]) for index in indices]
        masks = [
            read_mask(video[i][1], size=image.shape[:2]) for i, image in zip(indices, images, strict=True)
        ]
        for index, image in zip(indices, images, strict=True):
            if image.shape != images[0].shape:
                raise InputError(
                    f"{video[index][0]}: {image.shape[1]}×{image.shape[0]}, but another frame of its video is "
                    f"{images[0].shape[1]}×{images[0].shape[0]}; give frames of one size"
                )
        frames, labels = place_video(np.stack(images), np.stack(masks), crop, short_edge, rng)
        frames = jitter_colours(frames, rng, strength=0.1)
        return relabel(frames, labels, rng, minimum=MERGE_PIXELS)

    def _indices(self, video: tuple[tuple[Path, Path], ...], length: int, rng: Generator) -> list[int]:
        """Frame numbers with random gaps, forwards or backwards, from a frame that shows something."""
        for _ in range(20):
            start = int(rng.integers(len(video)))
            mask = read_mask(video[start][1])
            if np.count_nonzero((mask > 0) & (mask < 255)) > REFERENCE_PIXELS:
                break
        steps = rng.integers(1, self.max_gap + 1, length - 1)
        direction = 1 if rng.random() < 0.5 else -1
        places = start + direction * np.concatenate([[0], np.cumsum(steps)])
        return [reflect(int(place), len(video)) for place in places]


def reflect(index: int, length: int) -> int:
    """Fold a frame number back into 0 to length-1 at both ends."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    index %= period
    return index if index < length else period - index


def relabel(frames: np.ndarray, labels: np.ndarray, rng: Generator, *, minimum: int) -> Clip:
    """Number the reference frame's objects 1 to n (at most 10, drawn at random); all else is background."""
    ids, counts = np.unique(labels[0], return_counts=True)
    kept = ids[(counts > minimum) & (ids > 0) & (ids < 255)]
    kept = rng.permutation(kept)[:MAX_OBJECTS]
    table = np.zeros(256, dtype=np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    table[255] = 255
    return Clip(frames, table[labels], len(kept))


def merge(first: Clip, second: Clip, rng: Generator) -> Clip:
    """Paste the second clip's objects over the first clip (dynamic merge)."""
    pasted = (second.labels > 0) & (second.labels < 255)
    frames = np.where(pasted[..., None], second.frames, first.frames)
    labels = np.where(pasted, second.labels + np.uint8(MAX_OBJECTS), first.labels)
    return relabel(frames, labels, rng, minimum=MERGE_PIXELS)


def open_source(root: Path, config: SourceConfig) -> StaticImages | VideoClips:
    """Find the images or videos of one source below ``root``.

    Raises:
        InputError: a folder is missing or holds no image with a mask.
    """
    folder = root / config.path
    images, masks = folder / "JPEGImages", folder / "Annotations"
    if not images.is_dir() or not masks.is_dir():
        raise InputError(
            f"{folder}: no training data here; expected JPEGImages/ and Annotations/ (see data.root)"
        )
    names = sorted(path.name for path in images.iterdir() if path.is_dir())
    if config.split is not None:
        names = read_split(folder / "ImageSets" / f"{config.split}.txt")
    groups = [_pairs(images / name, masks / name) for name in names]
    groups = [group for group in groups if group]
    if not groups:
        raise InputError(
            f"{folder}: no image with a mask of the same name; expected JPEGImages/*/x.jpg, Annotations/*/x.png"
        )
    if config.kind == "static":
        return StaticImages(tuple(pair for group in groups for pair in group))
    videos = tuple(group for group in groups if len(group) > 1)
    if not videos:
        raise InputError(f"{folder}: no video of two frames or more; single images are kind: static")
    return VideoClips(videos, config.max_gap)


def read_split(path: Path) -> list[str]:
    """Names in a list file, one per line.

    Raises:
        InputError: missing or empty.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such list file; write one sequence name per line")
    names = path.read_text().split()
    if not names:
        raise InputError(f"{path}: the list is empty; write one sequence name per line")
    return names


def _pairs(images: Path, masks: Path) -> tuple[tuple[Path, Path], ...]:
    pairs = [(image, masks / f"{image.stem}.png") for image in list_frames(images)]
    return tuple(pair for pair in pairs if pair[1].is_file())
