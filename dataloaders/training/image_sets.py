"""Image sets with masks, in their distributed layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.clips import ImageSet, Subset
from aotlab.dataloaders.training.coco import coco_images
from aotlab.dataloaders.training.labelled import (
    LabelledImage,
    read_ids,
    read_ids_or_saliency,
    read_saliency,
)
from aotlab.dataloaders.training.set_files import (
    files_by_stem,
    find_paths,
    pair_files,
    read_split,
    require_known,
    subfolders,
)
from aotlab.utils.errors import InputError


def static(folder: Path, source: SourceConfig) -> ImageSet:
    """Find folders of images, one per set, or images without subfolders.

    A split lists names of sets, or of images without suffix if there are no sets.
    """
    layout = "JPEGImages/<set>/*.jpg and Annotations/<set>/*.png"
    images, masks = find_paths(folder, [("JPEGImages", "Annotations")], layout)
    loose = pair_files(images, masks, read_ids_or_saliency)
    sets = {
        name: pair_files(images / name, masks / name, read_ids_or_saliency) for name in subfolders(images)
    }
    if source.split is not None:
        names = set(read_split(folder / "ImageSets" / f"{source.split}.txt"))
        require_known(names, sets.keys() | {pair.image.stem for pair in loose}, images)
        loose = [pair for pair in loose if pair.image.stem in names]
        sets = {name: pairs for name, pairs in sets.items() if name in names}
    found = _image_set(loose + [pair for pairs in sets.values() for pair in pairs], images, masks)
    counts = {"": len(loose), **{name: len(pairs) for name, pairs in sets.items()}}
    return replace(found, subsets=balanced(counts, source.balance)) if source.balance else found


def balanced(counts: Mapping[str, int], balance: float) -> tuple[Subset, ...]:
    """Return adjacent subsets with sampling weights ``count ** (1 - balance)``; empty ones are dropped."""
    filled = {name: count for name, count in counts.items() if count}
    total = sum(count ** (1 - balance) for count in filled.values())
    firsts = accumulate(filled.values(), initial=0)
    return tuple(
        Subset(name, first, count, count ** (1 - balance) / total)
        for first, (name, count) in zip(firsts, filled.items(), strict=False)
    )


def coco(folder: Path, source: SourceConfig) -> ImageSet:
    """Find COCO instances of a split (default: train2017), or any set with COCO JSON."""
    split = source.split or "train2017"
    layout = f"{split}/*.jpg and annotations/instances_{split}.json"
    instances = f"instances_{split}.json"
    (json_file,) = find_paths(folder, [(f"annotations/{instances}",), (instances,)], layout)
    folders = (split, f"images/{split}", "images", "JPEGImages")
    (images,) = find_paths(folder, [(name,) for name in folders], layout)
    return _image_set(coco_images(images, json_file), images, json_file)


SALIENCY: dict[str, tuple[list[tuple[str, str]], str]] = {
    "ecssd": (
        [("images", "ground_truth_mask"), ("ECSSD/images", "ECSSD/ground_truth_mask")],
        "images/*.jpg and ground_truth_mask/*.png",
    ),
    "msra10k": (
        [(name, name) for name in ("MSRA10K_Imgs_GT/Imgs", "Imgs", "MSRA10K/Imgs", ".")],
        "MSRA10K_Imgs_GT/Imgs/x.jpg with x.png beside it",
    ),
    # its grey levels count votes for an object; at least half of the votes select it
    "pascal_s": (
        [(f"{name}imgs/pascal", f"{name}masks/pascal") for name in ("datasets/", "", "PASCAL-S/datasets/")],
        "datasets/imgs/pascal/*.jpg and datasets/masks/pascal/*.png",
    ),
}
"""kind of a saliency set to its possible folders of images and masks, and its layout in messages"""


def saliency(folder: Path, source: SourceConfig) -> ImageSet:
    """Find a saliency set of `SALIENCY`."""
    if source.split is not None:
        raise InputError(
            f"train.phases.sources.split={source.split}: {source.kind} has no splits; remove it, or use "
            "kind static with a list of images"
        )
    forms, layout = SALIENCY[source.kind]
    if not files_by_stem(folder, (".jpg",)):
        forms = [form for form in forms if form != (".", ".")]
    images, masks = find_paths(folder, forms, layout)
    return _image_set(pair_files(images, masks, read_saliency), images, masks)


def voc2012(folder: Path, source: SourceConfig) -> ImageSet:
    """Find the images of PASCAL VOC 2012 with instance masks (default split: trainval)."""
    layout = (
        "VOCdevkit/VOC2012/JPEGImages/*.jpg, SegmentationObject/*.png and ImageSets/Segmentation/trainval.txt"
    )
    prefixes = ("VOCdevkit/VOC2012", "VOC2012", ".")
    images, masks = find_paths(
        folder, [(f"{prefix}/JPEGImages", f"{prefix}/SegmentationObject") for prefix in prefixes], layout
    )
    lists = images.parent / "ImageSets" / "Segmentation"
    names = set(read_split(lists / f"{source.split or 'trainval'}.txt"))
    pairs = pair_files(images, masks, read_ids)
    return _image_set([pair for pair in pairs if pair.image.stem in names], images, masks)


def _image_set(images: Sequence[LabelledImage], where: Path, masks: Path) -> ImageSet:
    if not images:
        raise InputError(f"{where}: no image with a mask in {masks}; expected pairs x.jpg and x.png")
    return ImageSet(tuple(images))
