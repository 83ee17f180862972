"""Checks of the object ids in the masks of a video, or of single images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aotlab.configs.schema import ModelConfig
from aotlab.dataloaders.lint.files import Facts, Finding, error, info, warning
from aotlab.dataloaders.lint.names import Unit
from aotlab.dataloaders.training.video_sets import LEAST_FRAMES
from aotlab.media.masks import VOID

MOST_OBJECTS = ModelConfig().max_objects
"""default of the largest number of objects in a training clip (model.max_objects)"""


def objects_of(ids: Sequence[int] | None) -> set[int]:
    """Return the ids that are objects."""
    return set(ids or ()) - {VOID}


def count_objects(unit: Unit, facts: Mapping[Path, Facts], *, video: bool) -> int:
    """Return the number of objects in a video, or in all images of a set."""
    found = [objects_of(facts[path].ids) for path in unit.labels.values()]
    if video:
        return len(set().union(*found))
    saliency = sum(facts[path].ids == (VOID,) for path in unit.labels.values())
    return sum(len(ids) for ids in found) + saliency


def check_images(unit: Unit, facts: Mapping[Path, Facts]) -> Iterator[Finding]:
    """Yield findings about the masks of single images."""
    if not unit.labelled:
        yield warning(unit.images, f"no image has a mask in {unit.masks}; add masks of the same names")
    for stem in unit.labelled:
        path = unit.labels[stem]
        ids = facts[path].ids
        if ids == ():
            yield warning(path, "no object; draw one or remove the pair")
        elif ids == (VOID,):
            yield info(path, "only 0 and 255; 255 is used as the only object")
        elif ids and VOID in ids:
            yield info(path, "pixels of 255 are ignored by the loss")


def check_video(unit: Unit, facts: Mapping[Path, Facts]) -> Iterator[Finding]:
    """Yield findings about the number of masks of a video and their ids."""
    stems = unit.labelled
    if len(stems) < LEAST_FRAMES:
        yield warning(
            unit.images,
            f"{len(unit.frames)} frames, {len(stems)} with a mask in {unit.masks}; training needs {LEAST_FRAMES} masks "
            "or more, so add masks or remove the video",
        )
    elif stems[0] != next(iter(unit.frames)):
        path = next(iter(unit.frames.values()))
        yield info(
            path, "the first frame has no mask; training does not need it, but evaluation starts from it"
        )
    read = {unit.labels[stem]: facts[unit.labels[stem]].ids for stem in stems}
    masks = {path: ids for path, ids in read.items() if ids is not None}
    if masks:
        yield from _check_ids(masks)


def _check_ids(masks: Mapping[Path, Sequence[int]]) -> Iterator[Finding]:
    """Yield findings about the values of each mask, in order."""
    first = next(iter(masks))
    voids = [path for path, ids in masks.items() if VOID in ids]
    every = set().union(*map(objects_of, masks.values()))
    if voids and not every:
        yield error(
            voids[0],
            "the masks of this video hold only 0 and 255, and 255 is ignored; write the object as 1, or train with "
            "kind davis and a split 2016/..., which uses all but 0 as one object",
        )
        return
    if voids:
        advice = "which the loss ignores; if it is an object, give it another id"
        yield info(voids[0], f"{len(voids)} masks hold 255, {advice}")
    if not objects_of(masks[first]):
        yield warning(
            first, "the first mask has no object; start the video where an object is visible, or draw it"
        )
    else:
        yield from _late_ids(masks)
    if every and every != set(range(1, len(every) + 1)):
        listed = ", ".join(map(str, sorted(every)))
        yield info(
            first,
            f"ids of this video are {listed}; training accepts that, but scoring needs 1, 2, ... without gaps",
        )
    if len(every) > MOST_OBJECTS:
        yield info(
            first, f"{len(every)} objects in this video; each clip uses {MOST_OBJECTS} of them at random"
        )


def _late_ids(masks: Mapping[Path, Sequence[int]]) -> Iterator[Finding]:
    """Yield ids that are not in the first mask, where they first occur."""
    (first, ids), *others = masks.items()
    seen = objects_of(ids)
    for path, ids in others:
        late = sorted(objects_of(ids) - seen)
        if late:
            yield warning(
                path,
                f"id {', '.join(map(str, late))} is not in the first mask, {first.name}; correct for "
                "an object that appears later, else give it its earlier id",
            )
        seen.update(late)
