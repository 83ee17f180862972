"""Objects and backgrounds of rendered clips: cut out of images and training videos, modeled, or generated."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training import layouts
from aotlab.dataloaders.training.sets import ImageSet, LabeledImage, list_frame_pairs
from aotlab.media.masks import VOID
from aotlab.utils.errors import InputError
from research.bundled.crossings.models import SIDE, ModelRenderer
from research.bundled.touching_clips import is_held_out, measure_largest_part

MIN_PIXELS = 2000
"""Smallest object that is cut out, in pixels."""
MAX_CUT, MIN_CONNECTED = 0.12, 0.93
"""Largest part of an object's width and height at the border of its image; smallest connected part of its pixels."""
MAX_SPRITE = 224
"""Largest side of a sprite in pixels."""
DRAWS = 500
"""Number of images in which an object is looked for."""
WHOLE_BODIES = ("CCP",)
"""Sets whose ids are clothes; a person is cut out whole."""
Background = Sequence[tuple[np.ndarray, np.ndarray]]
"""Images H×W×3 uint8 with ids H×W of their own objects: one, or one for each frame of a clip."""


class Sprite(NamedTuple):
    """An object without its surroundings over time, or in one image that is then bent."""

    frames: Sequence[np.ndarray]  # S×S×4 uint8, RGBA with colors multiplied by alpha; the object is in the middle
    width: float  # median width of the object in pixels
    height: float


def crop_sprite(frames: Sequence[tuple[np.ndarray, np.ndarray]]) -> Sprite:
    """Crop an object from frames H×W×3 with masks H×W bool, centered on its smoothed position, with soft edges."""
    boxes = np.array([cv2.boundingRect(mask.astype(np.uint8)) for _, mask in frames], float)
    centers = cv2.blur(boxes[:, :2] + boxes[:, 2:] / 2, (1, 5), borderType=cv2.BORDER_REPLICATE)
    side = 1.3 * np.percentile(boxes[:, 2:].max(1), 90) + 8
    scale = min(1.0, MAX_SPRITE / side)
    crops = []
    for (image, mask), center in zip(frames, centers, strict=True):
        alpha = cv2.GaussianBlur(cv2.erode(mask.astype(np.uint8) * 255, np.ones((3, 3), np.uint8)), (0, 0), 0.7)
        rgba = np.dstack([(image * (alpha[..., None] / 255)).astype(np.uint8), alpha])
        rgba = cv2.GaussianBlur(rgba, (0, 0), 0.4 / scale) if scale < 0.7 else rgba
        move = np.column_stack([scale * np.eye(2), scale * (side / 2 - center)])
        crops.append(cv2.warpAffine(rgba, move, (round(scale * side),) * 2))
    return Sprite(crops, *(scale * np.median(boxes[:, 2:], axis=0)))


def list_objects(mask: np.ndarray) -> list[int]:
    """Return the ids of a mask H×W that can be cut out: large, connected, inside the image."""
    chosen = []
    for number in np.flatnonzero(np.bincount(mask.ravel(), minlength=VOID)[1:VOID] >= MIN_PIXELS) + 1:
        pixels = (mask == number).astype(np.uint8)
        border = sum(int(edge.sum()) for edge in (pixels[[0, -1]], pixels[:, [0, -1]]))
        if border <= MAX_CUT * sum(cv2.boundingRect(pixels)[2:]) and measure_largest_part(pixels) >= MIN_CONNECTED:
            chosen.append(int(number))
    return chosen


@lru_cache(maxsize=32)
def cut_out_video(frames: tuple[LabeledImage, ...], number: int) -> Sprite:
    """Cut an object out of the frames of a video that show most of it in one piece."""
    pairs = [(image, mask == number) for image, mask in (frame.read() for frame in frames)]
    areas = [mask.sum() for _, mask in pairs]
    enough = max(1, np.median(areas) / 2)
    whole = [area >= enough and measure_largest_part(mask) > 0.8 for area, (_, mask) in zip(areas, pairs, strict=True)]
    return crop_sprite([pair for pair, is_whole in zip(pairs, whole, strict=True) if is_whole] or pairs[:1])


class Sources:
    """Images, training videos and models, each of them optional, from which clips are made."""

    def __init__(
        self, images: Path | None, videos: Path | None, split: str, models: Path | None, *, held_out: bool = False
    ) -> None:
        """``held_out``: use only the images that are held out of training, instead of all others."""
        found = layouts.open_static(images, SourceConfig(path="", kind="static")).images if images else ()
        self.images = ImageSet(tuple(image for image in found if is_held_out(image.image) == held_out), balance=0.5)
        opened = layouts.open_videos(videos, SourceConfig(path="", split=split)).videos if videos else ()
        self.videos = [list_frame_pairs(video) for video in opened]
        self.renderer = ModelRenderer(models) if models else None

    def draw_image(self, rng: Generator) -> LabeledImage:
        """Draw an image, or a frame of a video."""
        if not self.images.images or (self.videos and rng.random() < 0.15):
            frames = self.videos[int(rng.integers(len(self.videos)))]
            return frames[int(rng.integers(len(frames)))]
        return self.images.images[self.images.sample_index(rng)]

    def draw_group(self, rng: Generator, count: int, frames: int) -> list[Sprite]:
        """Draw look-alikes: copies of one object, or objects of one folder of images."""
        weights = np.array([bool(self.images.images or self.videos), bool(self.videos), 0.6 * bool(self.renderer)])
        kind = rng.choice(["image", "video", "model"], p=weights / weights.sum())
        if kind == "video":
            return self.cut_out_copies(int(rng.integers(len(self.videos))), rng, count)
        if kind == "model" and self.renderer:
            rendered = self.renderer.render_group(rng, count, frames, self.draw_texture(rng))
            return [Sprite(each, 0.35 * SIDE, 0.35 * SIDE) for each in rendered]
        first, folder = self.cut_out_object(rng, None)
        if rng.random() < 0.65:
            return [first] * count
        return [first, *(self.cut_out_object(rng, folder)[0] for _ in range(count - 1))]

    def cut_out_copies(self, video: int, rng: Generator, count: int) -> list[Sprite]:
        """Cut an object out of a video, for copies that start at different frames."""
        frames = self.videos[video]
        numbers = sorted({number for frame in frames[::8] for number in list_objects(frame.read_mask())}) or [1]
        sprite = cut_out_video(frames, int(rng.choice(numbers)))
        loop = [*sprite.frames, *sprite.frames[-2:0:-1]][:: -1 if rng.random() < 0.3 else 1]
        starts = rng.integers(len(loop), size=count)
        return [sprite._replace(frames=[*loop[start:], *loop[:start]]) for start in starts]

    def cut_out_object(self, rng: Generator, folder: Path | None) -> tuple[Sprite, Path | None]:
        """Cut an object out of an image, of a folder of images if given; return it and the folder."""
        for _ in range(DRAWS):
            found = self.draw_image(rng)
            if folder in self.images.folders:
                found = self.images.images[int(rng.choice(self.images.folders[folder]))]
            image, mask = found.read()
            if found.image.parent.name in WHOLE_BODIES:
                mask = ((mask > 0) & (mask < VOID)).astype(np.uint8)
            if numbers := list_objects(mask):
                return crop_sprite([(image, mask == rng.choice(numbers))]), found.image.parent
        raise InputError(f"no whole object of {MIN_PIXELS} pixels in {DRAWS} images", subject=found.image.parent)

    def draw_background(self, rng: Generator, frames: int) -> tuple[Background, int | None]:
        """Draw part of a training video, which keeps its labels, an image, or a generated room or texture.

        Returns:
            The images, and the index of the video or None.
        """
        kind = rng.random()
        if kind < 0.35 and self.videos:
            index = int(rng.integers(len(self.videos)))
            video, start = self.videos[index], int(rng.integers(max(1, len(self.videos[index]) - frames + 1)))
            chosen = [video[min(at, 2 * len(video) - 2 - at)] for at in range(start, start + frames)]
            return [(image, np.where(ids < VOID, ids, 0)) for image, ids in (frame.read() for frame in chosen)], index
        if kind < 0.75 and self.images.images:
            image = self.draw_image(rng).read()[0]
        else:
            textures = generate_texture(rng), self.draw_texture(rng)
            image = draw_room(*textures, rng) if rng.random() < 0.5 else textures[0]
        return [(image, np.zeros(image.shape[:2], np.uint8))], None

    def draw_texture(self, rng: Generator) -> np.ndarray:
        """Return part of an image or a generated texture, 120×120×3 uint8."""
        image = self.draw_image(rng).read()[0] if self.images.images and rng.random() < 0.6 else generate_texture(rng)
        top, left = (int(rng.integers(max(1, side - 120))) for side in image.shape[:2])
        return np.asarray(cv2.resize(image[top : top + 120, left : left + 120], (120, 120)))


def generate_texture(rng: Generator) -> np.ndarray:
    """Return smooth noise of several scales between three colors, perhaps with stripes, 270×480×3 uint8."""
    amount = np.zeros((270, 480), np.float32)
    for cells in (2, 5, 14, 40):
        grid = rng.random((cells, 2 * cells), np.float32)
        amount += cv2.resize(grid, (480, 270), interpolation=cv2.INTER_CUBIC) * rng.uniform(0.1, 1) / math.sqrt(cells)
    if rng.random() < 0.4:
        (rows, columns), turn = np.mgrid[:270, :480] * 2 * math.pi / rng.uniform(8, 60), rng.uniform(0, math.pi)
        stripes = np.clip(2 * np.sin(columns * math.cos(turn) + rows * math.sin(turn)), -1, 1)
        amount += rng.uniform(0.05, 0.5) * stripes.astype(np.float32)
    amount = (amount - amount.min()) / np.ptp(amount) * 2
    colors = rng.uniform(30, 225, (3, 1)) + rng.normal(0, 25, (3, 3))
    return np.clip(np.dstack([np.interp(amount, [0, 1, 2], each) for each in colors.T]), 0, 255).astype(np.uint8)


def draw_room(wall: np.ndarray, floor: np.ndarray, rng: Generator) -> np.ndarray:
    """Return a wall above a tiled floor in perspective, 270×480×3 uint8, from two textures H×W×3."""
    horizon, repeat = int(rng.uniform(0.35, 0.6) * 270), int(rng.integers(2, 6))
    tiles = np.tile(cv2.resize(floor, (80, 80)), (repeat, 2 * repeat, 1))
    height, width = tiles.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    onto = np.array([[60, horizon], [420, horizon], [780, 270], [-300, 270]], np.float32)
    move = cv2.getPerspectiveTransform(corners, onto)
    room = cv2.warpPerspective(tiles, move, (480, 270), borderMode=cv2.BORDER_WRAP)
    room[:horizon] = wall[:horizon] * rng.uniform(0.6, 1)
    return room
