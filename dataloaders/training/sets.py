"""Sets of images and videos with masks, and the clips made of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.sequences import match_masks
from aotlab.dataloaders.training.augment import MAX_DROPPED_PIXELS, count_ids, make_image_clip, make_video_clip
from aotlab.dataloaders.training.clips import Clip, reflect_index, relabel
from aotlab.media.images import decode_pixels, open_image, read_image, require_image_size
from aotlab.media.masks import VOID, list_ids, read_mask
from aotlab.utils.digests import digest_files, digest_values
from aotlab.utils.errors import InputError, require
from aotlab.utils.text import format_count

log = logging.getLogger(__name__)

MIN_FRAMES = 2
"""Minimum number of labeled frames of a video, and in YouTube-VOS of an object."""
MIN_REFERENCE_PIXELS = 200
"""Number of labeled pixels that a reference frame must exceed."""
MAX_IGNORED_FRACTION = 0.2
"""Largest number of ignored pixels on a reference frame, relative to its labeled ones."""
REFERENCE_TRIES = 20
"""Number of attempts to choose a reference frame that shows enough."""
WINDOW_TRIES = 6
"""Number of attempts to choose frames without new objects after the reference frame."""

MaskReader = Callable[[Path], np.ndarray]
"""Reader from file to H×W uint8: ids, 0 background, 255 ignored."""


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image file and the file of its mask; ``reader`` reads the mask."""

    image: Path
    mask_path: Path
    reader: MaskReader

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image H×W×3 uint8 RGB and its mask H×W uint8: ids, 0 background, 255 ignored."""
        mask = self.read_mask()
        return self.read_image(mask), mask

    def read_image(self, mask: np.ndarray) -> np.ndarray:
        """Return only the image; raise `InputError` unless it has the size of the mask, H×W."""
        return require_image_size(read_image(self.image), mask.shape, self.image, f"its mask {self.mask_path}")

    def read_mask(self) -> np.ndarray:
        """Return only the mask."""
        return self.reader(self.mask_path)


def read_ids(path: Path) -> np.ndarray:
    """Read unchanged ids, 255 ignored: DAVIS 2017, YouTube-VOS, VOST, instances of PASCAL VOC."""
    mask = read_mask(path)
    if mask.max(initial=0) > VOID:
        raise InputError(f"object id {mask.max()}", subject=path, remedy="ids of training masks must be 1 to 254")
    return mask.astype(np.uint8, copy=False)


def read_ids_except(dropped: Sequence[int], path: Path) -> np.ndarray:
    """Read ids as `read_ids` does, with some as background."""
    mask = read_ids(path)
    return np.where(np.isin(mask, dropped), np.uint8(0), mask)


def read_ids_or_saliency(path: Path) -> np.ndarray:
    """Read ids; if 255 is the only value besides 0, it is the object, as in saliency sets."""
    mask = read_ids(path)
    if not ((mask > 0) & (mask < VOID)).any():
        return (mask == VOID).astype(np.uint8)
    return mask


def read_single_object(path: Path) -> np.ndarray:
    """Read everything above 0 as one object, for DAVIS 2016; its first release stores 255."""
    return (read_mask(path) > 0).astype(np.uint8)


def read_saliency(path: Path) -> np.ndarray:
    """Read the brighter half of the gray levels as one object; colors are converted to gray."""
    with open_image(path, "give a gray PNG, white where the object is") as image:
        return (decode_pixels(image, "L") > 127).astype(np.uint8)


class ClipSource(Protocol):
    """Source of training clips: an `ImageSet`, a `VideoSet`, or a class of your own."""

    def __len__(self) -> int:
        """Return the number of items: images or videos."""

    def describe(self, clip_length: int) -> str:
        """Return the numbers of items and frames as text, for clips of this length."""

    def sample_index(self, rng: Generator) -> int:
        """Draw the index of an item."""

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of an item; raises `InputError` if it cannot be read."""

    def fingerprint(self) -> str:
        """Return text that differs if any clip may differ: the number of files and a digest of their contents."""

    def list_images(self) -> Sequence[Path]:
        """Return the files of all images and frames, among which validation videos are looked for."""

    def exclude(self, paths: AbstractSet[Path]) -> ClipSource:
        """Return the source without the images and videos that validation uses; ``paths`` as `resolve_paths` gives."""


@dataclass(frozen=True)
class ImageSet:
    """Single images, each of which is moved to give a clip."""

    images: tuple[LabeledImage, ...]
    """Images of one folder are adjacent."""
    balance: float = 0.0
    """0: images are drawn uniformly; else a folder is drawn first, with the weight ``count ** (1 - balance)``."""

    @cached_property
    def folders(self) -> dict[Path, range]:
        """Indices of the images of each folder; empty if images are drawn uniformly."""
        counts = Counter(image.image.parent for image in self.images if self.balance)
        ends = zip(counts.items(), accumulate(counts.values()), strict=True)
        return {folder: range(end - count, end) for (folder, count), end in ends}

    @cached_property
    def sampling_weights(self) -> list[float]:
        """Probabilities of drawing the folders."""
        weights = [len(indices) ** (1 - self.balance) for indices in self.folders.values()]
        return [weight / sum(weights) for weight in weights]

    def describe(self, clip_length: int) -> str:
        pairs = zip(self.folders, self.sampling_weights, strict=True)
        shares = ", ".join(f"{folder.name} {100 * share:.0f} %" for folder, share in pairs)
        return format_count(len(self.images), "image") + (f" ({shares})" if shares else "")

    def sample_index(self, rng: Generator) -> int:
        indices = range(len(self.images))
        if self.folders:
            indices = [*self.folders.values()][int(rng.choice(len(self.sampling_weights), p=self.sampling_weights))]
        return indices[int(rng.integers(len(indices)))]

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        files = [file for image in self.images for file in (image.image, image.mask_path)]
        return describe_files(files, [len(indices) for indices in self.folders.values()])

    def list_images(self) -> Sequence[Path]:
        return [image.image for image in self.images]

    def exclude(self, paths: AbstractSet[Path]) -> ImageSet:
        parents = {image.image.parent for image in self.images}
        dropped = {parent for parent in parents if parent.resolve() in paths}
        images = (image for image in self.images if image.image.parent not in dropped)
        return replace(self, images=tuple(image for image in images if image.image.resolve() not in paths))

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        frames, labels = make_image_clip(*self.images[index].read(), phase, rng)
        clip = relabel(frames, labels, rng, min_pixels=0, max_objects=max_objects)
        return replace(clip, names=(str(self.images[index].image),))


@dataclass(frozen=True)
class VideoSet:
    """Videos, from which clips are cut."""

    videos: tuple[Video, ...]
    """Videos as `select_labeled_frames` returns them: ``annotations[i]`` is the mask of ``frames[i]``."""
    max_gap: int
    """Largest step from a frame of a clip to the next, in labeled frames."""

    def describe(self, clip_length: int) -> str:
        frames = format_count(sum(len(video.frames) for video in self.videos), "labeled frame")
        text = f"{format_count(len(self.videos), 'video')} with {frames}, gaps up to {self.max_gap}"
        short = sum(len(video.frames) < clip_length for video in self.videos)
        return f"{text}, {short} shorter than a clip, which then plays back and forth" if short else text

    def sample_index(self, rng: Generator) -> int:
        return int(rng.integers(len(self.videos)))

    def __len__(self) -> int:
        return len(self.videos)

    def fingerprint(self) -> str:
        return describe_videos(self.videos)

    def list_images(self) -> Sequence[Path]:
        return [frame for video in self.videos for frame in video.frames]

    def exclude(self, paths: AbstractSet[Path]) -> VideoSet:
        videos = tuple(video for video in self.videos if paths.isdisjoint(resolve_paths(video)))
        return replace(self, videos=videos)

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        video = self.videos[index]
        clip = sample_clip(list_frame_pairs(video), phase, self.max_gap, rng, max_objects=max_objects)
        return replace(clip, names=(video.name,))


def describe_videos(videos: Sequence[Video]) -> str:
    """Return the number of files of videos and a digest; the videos are as `select_labeled_frames` returns them."""
    files = [file for video in videos for file in (*video.frames, *video.annotations)]
    return describe_files(files, [(len(video.frames), video.merge_ids, video.objects) for video in videos])


def describe_files(files: Sequence[Path], structure: object) -> str:
    """Return the number of files and a digest of their contents, in this order, and of ``structure``."""
    digest = digest_values([structure, *digest_files(files, "reading data")])
    return f"{format_count(len(set(files)), 'file')}, SHA-256 {digest[:16]}"


def select_labeled_frames(video: Video) -> Video:
    """Return a video of the frames with a mask and of their masks, in order.

    With listed objects, these are the frames of objects with at least `MIN_FRAMES` frames.
    """
    masks = match_masks(video.frames, video.annotations)
    listed = {stem for item in video.objects if len(item.frames) >= MIN_FRAMES for stem in item.frames}
    indices = [index for index in sorted(masks) if not video.objects or masks[index].stem in listed]
    frames = tuple(video.frames[index] for index in indices)
    return replace(video, frames=frames, annotations=tuple(masks[index] for index in indices))


def resolve_paths(video: Video) -> set[Path]:
    """Return the frames of a video and the folder of the first, without links to folders or single frames."""
    return {video.frames[0].parent.resolve(), *(frame.resolve() for frame in video.frames)}


def skip_to_first_object(video: Video) -> Video:
    """Drop the frames before the first mask with an object from a video that `select_labeled_frames` returned."""
    empty = takewhile(lambda frame: not list_ids(frame.read_mask()), list_frame_pairs(video))
    start = sum(1 for _ in empty)
    return replace(video, frames=video.frames[start:], annotations=video.annotations[start:])


def list_frame_pairs(video: Video) -> tuple[LabeledImage, ...]:
    """Pair the frames and masks of a video that `select_labeled_frames` returned."""
    reader: MaskReader = read_single_object if video.merge_ids else read_ids
    if dropped := [item.object_id for item in video.objects if len(item.frames) < MIN_FRAMES]:
        reader = partial(read_ids_except, dropped)
    pairs = zip(video.frames, video.annotations, strict=True)
    return tuple(LabeledImage(image, mask, reader) for image, mask in pairs)


def sample_clip(
    frames: Sequence[LabeledImage], phase: PhaseConfig, max_gap: int, rng: Generator, *, max_objects: int
) -> Clip:
    """Make a clip of some of the frames of a video, in one random crop."""
    indices, masks = choose_frames(frames, phase.clip_length, max_gap, rng)
    images, (height, width) = dict[int, np.ndarray](), masks[0].shape
    for index, mask in dict(zip(indices, masks, strict=True)).items():
        require(
            mask.shape == (height, width),
            f"{mask.shape[1]}×{mask.shape[0]}, but another frame of its video is {width}×{height}",
            subject=frames[index].image,
            remedy="give frames of one size, or use kind static for single images",
        )
        images[index] = frames[index].read_image(mask)
    clip_frames, labels = make_video_clip([images[index] for index in indices], masks, phase, rng)
    return relabel(clip_frames, labels, rng, min_pixels=MAX_DROPPED_PIXELS, max_objects=max_objects)


def choose_frames(
    frames: Sequence[LabeledImage], length: int, max_gap: int, rng: Generator
) -> tuple[list[int], list[np.ndarray]]:
    """Draw frame indices with random gaps, forwards or backwards, the reference frame first; also return their masks.

    After a few attempts at most, the reference frame shows enough and later frames bring no new objects, if possible.
    """
    # Backwards is forwards through the reversed frames.
    order = range(len(frames)) if rng.random() < 0.5 else range(len(frames))[::-1]

    @cache
    def read_mask(index: int) -> tuple[np.ndarray, np.ndarray]:
        mask = frames[index].read_mask()
        return mask, count_ids(mask)

    for _ in range(WINDOW_TRIES):
        steps = rng.integers(1, max_gap + 1, length - 1)
        for _ in range(REFERENCE_TRIES):
            start = int(rng.integers(len(order)))
            if is_reference_frame(read_mask(order[start])[1]):
                break
        positions = [start, *(start + np.cumsum(steps))]
        indices = [order[reflect_index(int(position), len(order))] for position in positions]
        masks, counts = zip(*map(read_mask, indices), strict=True)
        visible = np.array(counts)[:, 1:VOID] > 0
        if not (np.any(visible, axis=0) & ~visible[0]).any():
            break
    return indices, [*masks]


def is_reference_frame(counts: np.ndarray) -> bool:
    """Return whether a frame with these pixel counts per id can be a reference frame."""
    labeled = counts[1:VOID].sum()
    return bool(labeled > MIN_REFERENCE_PIXELS and counts[VOID] <= MAX_IGNORED_FRACTION * labeled)
