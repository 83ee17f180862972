"""Training sets in the layouts of their data sets, read as sets of images or videos."""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import cast

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import Video, require_readable
from aotlab.dataloaders.layouts import read_davis, read_vost, read_youtube_vos
from aotlab.dataloaders.training.coco import list_coco_images
from aotlab.dataloaders.training.sets import (
    MIN_FRAMES,
    ClipSource,
    ImageSet,
    LabeledImage,
    MaskReader,
    VideoSet,
    read_ids,
    read_ids_or_saliency,
    read_saliency,
    select_labeled_frames,
)
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import require_none_missing
from aotlab.utils.plugins import LAYOUT_PLUGINS, PluginChoices, describe_object, find_plugin

log = logging.getLogger(__name__)

VIDEO_LAYOUTS = (("JPEGImages/480p", "Annotations/480p"), ("JPEGImages", "Annotations"))


def find_paths(folder: Path, candidates: Iterable[Sequence[str]], layout: str) -> tuple[Path, ...]:
    """Return the first of several tuples of paths below a folder that all exist; archives differ in outer folders.

    ``layout``: description of the expected paths, for the error.
    """
    missing = []
    for names in candidates:
        paths = tuple(folder / name for name in names)
        missing.append([str(path.relative_to(folder)) for path in {*paths} if not path.exists()])
        if not missing[-1]:
            return paths
    nearest = min(missing, key=lambda names: (len(names), len(names[0])))
    raise InputError(f"no {' and no '.join(sorted(nearest))} in it", subject=folder, remedy=f"expected {layout}")


def pair_files(images: Path, masks: Path, reader: MaskReader) -> list[LabeledImage]:
    """Pair images and masks of the same stem, sorted; files without a partner are skipped."""
    # in one folder, PNGs are masks
    suffixes = sequences.FRAME_SUFFIXES if images != masks else (".jpg", ".jpeg")
    frames = sequences.list_images_by_stem(images, suffixes)
    pairs = sequences.match_masks(frames, sequences.list_masks(masks))
    return [LabeledImage(frames[index], pairs[index], reader) for index in sorted(pairs)]


def read_split(folder: Path, split: str, known: Iterable[str], data: Path) -> list[str]:
    """Return the names in ``folder/ImageSets/<split>.txt``; raise `InputError` if one is not ``known`` in ``data``."""
    names = sequences.read_names(sequences.find_list_file(split, folder / "ImageSets"))
    missing = [data / name for name in sorted(set(names) - set(known))]
    require_none_missing(missing, "the list of the split has these names; add the data or correct the list")
    return names


def open_static(folder: Path, source: SourceConfig) -> ImageSet:
    """Find folders of images, one per set, or images without subfolders.

    A split lists names of sets, or of images without suffix if there are no sets.
    """
    layout = "JPEGImages/<set>/*.jpg and Annotations/<set>/*.png"
    images, masks = find_paths(folder, [("JPEGImages", "Annotations")], layout)
    loose = pair_files(images, masks, read_ids_or_saliency)
    names = sequences.list_subfolders(images)
    sets = {name: pair_files(images / name, masks / name, read_ids_or_saliency) for name in names}
    if source.split is not None:
        names = read_split(folder, source.split, {*sets, *(pair.image.stem for pair in loose)}, images)
        loose = [pair for pair in loose if pair.image.stem in names]
        sets = {name: pairs for name, pairs in sets.items() if name in names}
    pairs = [*loose, *chain.from_iterable(sets.values())]
    return make_image_set(pairs, images, masks, balance=source.balance)


SALIENCY_SETS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "ecssd": (
        [("images", "ground_truth_mask"), ("ECSSD/images", "ECSSD/ground_truth_mask")],
        "images/*.jpg and ground_truth_mask/*.png",
    ),
    "msra10k": (
        [(name, name) for name in ("MSRA10K_Imgs_GT/Imgs", "Imgs")],
        "MSRA10K_Imgs_GT/Imgs/x.jpg with x.png next to it",
    ),
    # its gray levels count votes for an object; at least half of the votes select it
    "pascal_s": (
        [(f"{name}imgs/pascal", f"{name}masks/pascal") for name in ("datasets/", "", "PASCAL-S/datasets/")],
        "datasets/imgs/pascal/*.jpg and datasets/masks/pascal/*.png",
    ),
}
"""Kind of a saliency set to its possible folders of images and masks, and its layout in messages."""


def open_saliency(folder: Path, source: SourceConfig) -> ImageSet:
    """Open one of `SALIENCY_SETS`."""
    if source.split is not None:
        problem = f"{source.kind} has no splits; remove it, or use kind static with a list of images"
        raise InputError(problem, subject=f"train.phases.sources.split={source.split}")
    candidates, layout = SALIENCY_SETS[source.kind]
    images, masks = find_paths(folder, candidates, layout)
    return make_image_set(pair_files(images, masks, read_saliency), images, masks)


def open_voc2012(folder: Path, source: SourceConfig) -> ImageSet:
    """Find the images of PASCAL VOC 2012 with instance masks (default split: trainval)."""
    layout = "VOCdevkit/VOC2012/JPEGImages/*.jpg, SegmentationObject/*.png and ImageSets/Segmentation/trainval.txt"
    prefixes = ("VOCdevkit/VOC2012", "VOC2012", ".")
    images, masks = find_paths(
        folder, [(f"{prefix}/JPEGImages", f"{prefix}/SegmentationObject") for prefix in prefixes], layout
    )
    lists = images.parent / "ImageSets" / "Segmentation"
    names = set(sequences.read_names(sequences.find_list_file(source.split or "trainval", lists)))
    pairs = pair_files(images, masks, read_ids)
    return make_image_set([pair for pair in pairs if pair.image.stem in names], images, masks)


def open_coco(folder: Path, source: SourceConfig) -> ImageSet:
    """Find COCO instances of a split (default: train2017), or any set with COCO JSON."""
    split = source.split or "train2017"
    layout = f"{split}/*.jpg and annotations/instances_{split}.json"
    instances = f"instances_{split}.json"
    (json_file,) = find_paths(folder, [(f"annotations/{instances}",), (instances,)], layout)
    folders = (split, f"images/{split}", "images", "JPEGImages")
    (images,) = find_paths(folder, [(name,) for name in folders], layout)
    return make_image_set(list_coco_images(images, json_file), images, json_file)


def make_image_set(images: Sequence[LabeledImage], folder: Path, masks: Path, *, balance: float = 0.0) -> ImageSet:
    """Return a set of images; raise `InputError` if it is empty."""
    require(images, f"no image with a mask in {masks}", subject=folder, remedy="expected pairs x.jpg and x.png")
    return ImageSet(tuple(images), balance)


def read_video_folders(root: Path, split: str | None = None) -> list[Video]:
    """Read folders of frames and masks, all videos or a list in ImageSets/; any frame may be without a mask."""
    images, masks = find_paths(root, VIDEO_LAYOUTS, "JPEGImages/<video>/*.jpg and Annotations/<video>/*.png")
    names = sequences.list_subfolders(images)
    if split is not None:
        names = read_split(root, split, names, images)
    return [
        Video(name, sequences.list_images_by_stem(images / name), {}, sequences.list_masks(masks / name))
        for name in names
    ]


def _read_davis(root: Path, split: str | None) -> list[Video]:
    """Read DAVIS 2017 (default split: train); with a split 2016/... all ids of a video are one object."""
    year, _, name = (split or "train").rpartition("/")
    return read_davis(root, name, year=year or "2017")


def _read_youtube_vos(root: Path, split: str | None) -> list[Video]:
    """Read YouTube-VOS train, 2018 or 2019; a split is a list in ImageSets/ beside JPEGImages/."""
    videos = {video.name: video for video in read_youtube_vos(root, "train")}
    if split in (None, "train"):
        return list(videos.values())
    folder = sequences.find_split_folder(root, "train")
    return [videos[name] for name in read_split(folder, split, videos, folder / "JPEGImages")]


VIDEO_READERS: dict[str, Callable[[Path, str | None], list[Video]]] = {
    "video": read_video_folders,
    "davis": _read_davis,
    "youtube_vos": _read_youtube_vos,
    "vost": lambda root, split: read_vost(root, split or "train"),
}
"""Readers of video sets by kind: (root, split) to their videos."""


def open_videos(folder: Path, source: SourceConfig) -> VideoSet:
    """Find the labeled frames of the videos of a source; see `make_video_set`."""
    return make_video_set(VIDEO_READERS[source.kind](folder, source.split), folder, source.max_gap)


def make_video_set(candidates: Sequence[Video], folder: Path, max_gap: int) -> VideoSet:
    """Return the labeled frames of videos; those with fewer than `MIN_FRAMES` are left out."""
    require_readable(candidates)
    labeled = [select_labeled_frames(video) for video in candidates]
    videos = tuple(video for video in labeled if len(video.frames) >= MIN_FRAMES)
    if not videos:
        raise InputError(
            f"no video with {MIN_FRAMES} frames that have masks of the same name",
            subject=folder,
            remedy="expected JPEGImages/<video>/00000.jpg with Annotations/<video>/00000.png",
        )
    if len(videos) < len(labeled):
        dropped = len(labeled) - len(videos)
        log.info("%s: %d videos with fewer than %d labeled frames left out", folder, dropped, MIN_FRAMES)
    return VideoSet(videos, max_gap)


def open_plugin_layout(folder: Path, source: SourceConfig) -> ClipSource:
    """Return the videos of a plug-in's layout, or its own source of clips."""
    read = find_plugin(LAYOUT_PLUGINS, source.kind)
    found = read(folder, source.split)
    if isinstance(found, Sequence) and all(isinstance(video, Video) for video in found):
        return make_video_set(found, folder, source.max_gap)
    problem = f"returned a {type(found).__name__}"
    require(hasattr(found, "sample"), problem, subject=describe_object(read), remedy="expected a list of Video")
    return cast(ClipSource, found)


READERS: dict[str, Callable[[Path, SourceConfig], ClipSource]] = {
    "static": open_static,
    "coco": open_coco,
    **dict.fromkeys(SALIENCY_SETS, open_saliency),
    "voc2012": open_voc2012,
    **dict.fromkeys(VIDEO_READERS, open_videos),
}
"""Readers by the `kind` of a source. They get the folder of the images or videos, and the settings of the source."""
LAYOUTS = PluginChoices(LAYOUT_PLUGINS, READERS)
"""Names of all layouts, also of plug-ins."""


def open_set(root: Path, source: SourceConfig) -> ClipSource:
    """Find the images or videos of one source below ``root``."""
    is_built_in = LAYOUTS.is_built_in(source.kind, "train.phases.sources.kind")
    if source.balance and source.kind != "static":
        problem = f"for kind static, whose sets are folders; {source.path} is {source.kind}"
        raise InputError(f"train.phases.sources.balance is {problem}")
    folder = sequences.require_folder(root / source.path, f"a training set of kind {source.kind} (see data.root)")
    return READERS[source.kind](folder, source) if is_built_in else open_plugin_layout(folder, source)
