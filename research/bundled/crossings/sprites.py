"""Objects and backgrounds of rendered clips: cut out of images and training videos, modeled, or generated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training import layouts
from aotlab.dataloaders.training.sets import ImageSet, LabeledImage, list_frame_pairs
from aotlab.media.masks import VOID
from research.bundled.crossings.models import MODEL_SIDE, ModelRenderer
from research.bundled.touching_clips import is_held_out

MIN_PIXELS = 2000
"""Smallest object that is cut out, in pixels."""
MAX_CUT_BORDER = 0.12
"""Largest part of an object's width and height that the border of its image may cut off."""
MIN_LARGEST_PART = 0.93
"""Fraction of an object's pixels that must be connected."""
MAX_SPRITE = 224
"""Largest side of a sprite in pixels."""
WHOLE_BODIES = ("CCP",)
"""Sets whose ids are clothes; a person is cut out whole."""
DRAWS = 200
"""Number of attempts to draw an object that can be cut out."""


@dataclass(frozen=True)
class Sprite:
    """An object without its surroundings, over time."""

    frames: Sequence[np.ndarray]
    """S×S×4 uint8, RGBA with colors multiplied by alpha; the object is in the middle."""
    size: tuple[float, float]
    """Median width and height of the object in pixels."""
    name: str
    still: bool
    """Whether the object does not move in its frames, and is bent instead."""


@dataclass(frozen=True)
class Background:
    """One image, or one for each frame of a clip."""

    frames: Sequence[np.ndarray]
    """H×W×3 uint8."""
    labels: Sequence[np.ndarray]
    """H×W uint8 ids of its own objects, 0 elsewhere."""
    video: int | None = None
    """Index of the training video that it shows."""


def crop_object(image: np.ndarray, mask: np.ndarray, center: np.ndarray, side: float) -> np.ndarray:
    """Crop a square around an object as S×S×4 uint8 RGBA; the mask H×W bool shrinks by a pixel and gets a soft edge."""
    scale = min(1.0, MAX_SPRITE / side)
    out = round(side * scale)
    move = np.array([[scale, 0, out / 2 - scale * center[0]], [0, scale, out / 2 - scale * center[1]]])
    alpha = cv2.erode(mask.astype(np.uint8) * 255, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7)
    color = (image * (alpha[..., None] / 255.0)).astype(np.uint8)
    blurred = cv2.GaussianBlur(np.dstack([color, alpha]), (0, 0), 0.4 / scale) if scale < 0.7 else [color, alpha]
    return np.asarray(cv2.warpAffine(np.dstack(blurred) if scale >= 0.7 else blurred, move, (out, out)))


def crop_sprite(frames: Sequence[tuple[np.ndarray, np.ndarray]], name: str) -> Sprite:
    """Crop an object from frames H×W×3 with masks H×W bool, centered on its smoothed position."""
    boxes = np.array([cv2.boundingRect(mask.astype(np.uint8)) for _, mask in frames], float)
    centers = cv2.blur(boxes[:, :2] + boxes[:, 2:] / 2, (1, 5), borderType=cv2.BORDER_REPLICATE)
    side = 1.3 * np.percentile(boxes[:, 2:].max(1), 90) + 8
    crops = [crop_object(*frame, center, side) for frame, center in zip(frames, centers, strict=True)]
    width, height = np.median(boxes[:, 2:], axis=0) * len(crops[0]) / side
    return Sprite(crops, (float(width), float(height)), name, still=len(crops) == 1)


def list_objects(mask: np.ndarray) -> list[int]:
    """Return the ids of a mask H×W that can be cut out: large, connected, inside the image."""
    chosen = []
    for number in np.flatnonzero(np.bincount(mask.ravel(), minlength=VOID)[1:VOID] >= MIN_PIXELS) + 1:
        object_mask = (mask == number).astype(np.uint8)
        _, _, width, height = cv2.boundingRect(object_mask)
        border = sum(int(edge.sum()) for edge in (object_mask[[0, -1]], object_mask[:, [0, -1]]))
        largest = cv2.connectedComponentsWithStats(object_mask)[2][1:, cv2.CC_STAT_AREA].max()
        if border <= MAX_CUT_BORDER * (width + height) and largest >= MIN_LARGEST_PART * object_mask.sum():
            chosen.append(int(number))
    return chosen


@lru_cache(maxsize=32)
def cut_out_video(frames: tuple[LabeledImage, ...], number: int, name: str) -> Sprite:
    """Cut an object out of all frames that show at least `MIN_PIXELS` / 4 of it."""
    pairs = [(image, mask == number) for image, mask in (frame.read() for frame in frames)]
    return crop_sprite([pair for pair in pairs if pair[1].sum() >= MIN_PIXELS / 4], name)


class Sources:
    """Folders of images, training videos and models, all optional, from which clips are made."""

    def __init__(self, images: Path | None, videos: Path | None, split: str, models: Path | None) -> None:
        self.images = None
        if images is not None:
            found = layouts.open_static(images, SourceConfig(str(images), kind="static")).images
            self.images = ImageSet(tuple(image for image in found if not is_held_out(image.image)), balance=0.5)
        opened = videos and layouts.open_videos(videos, SourceConfig(str(videos), split=split))
        self.videos = [(video.name, list_frame_pairs(video)) for video in opened.videos] if opened else []
        self.renderer = ModelRenderer(models)

    def draw_group(self, rng: Generator, count: int, frames: int, background: Background) -> list[Sprite]:
        """Draw look-alikes: copies of one object at different times or in different poses, or objects of one set."""
        if background.video is not None and rng.random() < 0.35:
            return self.cut_out_copies(background.video, rng, count)
        kinds = [("still", 1.0 * (self.images is not None)), ("video", 1.0 * bool(self.videos)), ("model", 0.6)]
        weights = np.array([weight for _, weight in kinds])
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))][0]
        if kind == "model":
            rendered, name = self.renderer.render_group(rng, count, frames, self.draw_texture(rng))
            return [Sprite(each, (0.7 * MODEL_SIDE, 0.7 * MODEL_SIDE), name, still=False) for each in rendered]
        if kind == "video":
            return self.cut_out_copies(int(rng.integers(len(self.videos))), rng, count)
        first, folder = self.cut_out_still(rng, None)
        if rng.random() < 0.35:
            return [first, *(self.cut_out_still(rng, folder)[0] for _ in range(count - 1))]
        return [first] * count

    def cut_out_copies(self, index: int, rng: Generator, count: int) -> list[Sprite]:
        """Cut an object out of a video, for copies that start at different frames or show a single frame."""
        name, frames = self.videos[index]
        numbers = sorted({number for frame in frames[::8] for number in list_objects(frame.read_mask())} or {1})
        sprite = cut_out_video(frames, int(rng.choice(numbers)), name)
        if rng.random() < 0.2:
            return [replace(sprite, frames=[sprite.frames[rng.integers(len(sprite.frames))]], still=True)] * count
        starts = rng.integers(len(sprite.frames), size=count)
        step = -1 if rng.random() < 0.3 else 1
        loop = [*sprite.frames, *sprite.frames[-2:0:-1]][::step]
        return [replace(sprite, frames=[*loop[start:], *loop[:start]]) for start in starts]

    def cut_out_still(self, rng: Generator, folder: Path | None) -> tuple[Sprite, Path]:
        """Cut an object out of an image, of one folder if given; return it and the folder of its image."""
        assert self.images is not None
        for _ in range(DRAWS):
            indices = self.images.folders[folder] if folder else None
            index = self.images.sample_index(rng) if indices is None else int(rng.choice(indices))
            found = self.images.images[index]
            mask = found.read_mask()
            if found.image.parent.name in WHOLE_BODIES:
                mask = ((mask > 0) & (mask < VOID)).astype(np.uint8)
            if numbers := list_objects(mask):
                chosen = mask == rng.choice(numbers)
                return crop_sprite([(found.read()[0], chosen)], f"{found.image.parent.name}/{found.image.stem}"), (
                    found.image.parent
                )
        raise ValueError(f"no object of {MIN_PIXELS} pixels in {DRAWS} images")

    def draw_background(self, rng: Generator, frames: int) -> Background:
        """Draw a training video, whose objects keep their labels, a single image, or a generated room or texture."""
        kind = rng.random()
        if kind < 0.35 and self.videos:
            index = int(rng.integers(len(self.videos)))
            files = self.videos[index][1]
            start = int(rng.integers(max(1, len(files) - frames + 1)))
            chosen = [files[min(index, 2 * len(files) - 2 - index)] for index in range(start, start + frames)]
            pairs = [file.read() for file in chosen]
            return Background([pair[0] for pair in pairs], [np.where(p[1] < VOID, p[1], 0) for p in pairs], index)
        if kind < 0.75 and self.images:
            image = self.images.images[self.images.sample_index(rng)].read()[0]
        elif rng.random() < 0.5:
            image = draw_room(self.draw_texture(rng), self.draw_texture(rng), rng)
        else:
            image = generate_texture(rng)
        return Background([image], [np.zeros(image.shape[:2], np.uint8)])

    def draw_texture(self, rng: Generator) -> np.ndarray:
        """Return part of an image or a generated texture, 160×160×3 uint8."""
        if self.images is None or rng.random() < 0.4:
            return generate_texture(rng)[:160, :160]
        image = self.images.images[self.images.sample_index(rng)].read()[0]
        top, left = (int(rng.integers(max(1, side - 120))) for side in image.shape[:2])
        return np.asarray(cv2.resize(image[top : top + 120, left : left + 120], (160, 160)))


def generate_texture(rng: Generator) -> np.ndarray:
    """Return smooth noise of several scales between two or three colors, 270×480×3 uint8, perhaps with stripes."""
    amount = np.zeros((270, 480), np.float32)
    for cells in (2, 5, 14, 40):
        grid = rng.random((cells, 2 * cells), np.float32)
        amount += cv2.resize(grid, (480, 270), interpolation=cv2.INTER_CUBIC) * rng.uniform(0.1, 1) / math.sqrt(cells)
    if rng.random() < 0.4:
        angle, period = rng.uniform(0, math.pi), rng.uniform(8, 60)
        rows, columns = np.mgrid[:270, :480]
        stripes = np.sin((columns * math.cos(angle) + rows * math.sin(angle)) * 2 * math.pi / period)
        amount += rng.uniform(0.05, 0.5) * np.clip(2 * stripes, -1, 1).astype(np.float32)
    amount = (amount - amount.min()) / (np.ptp(amount) + 1e-6) * 2
    colors = rng.uniform(30, 225, (3, 1)) + rng.normal(0, 25, (3, 3))
    mixed = [np.interp(amount, [0, 1, 2], channel) for channel in colors.T]
    return np.clip(np.dstack(mixed), 0, 255).astype(np.uint8)


def draw_room(wall: np.ndarray, floor: np.ndarray, rng: Generator) -> np.ndarray:
    """Return a wall above a floor in perspective, 270×480×3 uint8, tiled with textures H×W×3."""
    horizon, repeat = int(rng.uniform(0.35, 0.6) * 270), int(rng.integers(2, 6))
    image = np.asarray(cv2.resize(np.tile(wall, (1, repeat, 1)), (480, 270)))
    tiles = np.tile(cv2.resize(floor, (80, 80)), (repeat, 2 * repeat, 1))
    height, width = tiles.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    onto = np.array([[60, horizon], [420, horizon], [780, 270], [-300, 270]], np.float32)
    move = cv2.getPerspectiveTransform(corners, onto)
    tilted = cv2.warpPerspective(tiles, move, (480, 270), borderMode=cv2.BORDER_WRAP)
    image[horizon:] = tilted[horizon:]
    image[:horizon] = (image[:horizon] * rng.uniform(0.6, 1)).astype(np.uint8)
    return image
