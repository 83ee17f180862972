"""Checks of the object ids in the masks of a video, or of single images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aotlab.configs.schema import ModelConfig
from aotlab.dataloaders.lint.files import Facts, Finding
from aotlab.dataloaders.lint.names import Unit
from aotlab.dataloaders.training.video_sets import LEAST_FRAMES
from aotlab.masks.id_maps import VOID

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
        yield Finding(
            "warning", unit.images, f"no image has a mask in {unit.masks}; add masks of the same names"
        )
    for stem in unit.labelled:
        path = unit.labels[stem]
        ids = facts[path].ids
        if ids == ():
            yield Finding("warning", path, "no object; draw one or remove the pair")
        elif ids == (VOID,):
            yield Finding("info", path, "only 0 and 255; 255 is used as the only object")
        elif ids and VOID in ids:
            yield Finding("info", path, "pixels of 255 are ignored by the loss")


def check_video(unit: Unit, facts: Mapping[Path, Facts]) -> Iterator[Finding]:
    """Yield findings about the number of masks of a video and their ids."""
    stems = unit.labelled
    if len(stems) < LEAST_FRAMES:
        message = (
            f"{len(unit.frames)} frames, {len(stems)} with a mask in {unit.masks}; training needs {LEAST_FRAMES} masks "
            "or more, so add masks or remove the video"
        )
        yield Finding("warning", unit.images, message)
    elif stems[0] != next(iter(unit.frames)):
        message = "the first frame has no mask; training does not need it, but evaluation starts from it"
        yield Finding("info", next(iter(unit.frames.values())), message)
    readable = [stem for stem in stems if facts[unit.labels[stem]].ids is not None]
    masks = {stem: facts[unit.labels[stem]].ids or () for stem in readable}
    if masks:
        yield from _check_ids(unit, masks)


def _check_ids(unit: Unit, masks: Mapping[str, Sequence[int]]) -> Iterator[Finding]:
    """Yield findings about the values of each mask, by stem, in order."""
    start = next(iter(masks))
    first = unit.labels[start]
    voids = [stem for stem, ids in masks.items() if VOID in ids]
    every = set().union(*(objects_of(ids) for ids in masks.values()))
    if voids and not every:
        message = (
            "the masks of this video hold only 0 and 255, and 255 is ignored; write the object as 1, or train with "
            "kind davis and a split 2016/..., which uses all but 0 as one object"
        )
        yield Finding("error", unit.labels[voids[0]], message)
        return
    if voids:
        message = (
            f"{len(voids)} masks hold 255, which the loss ignores; if it is an object, give it another id"
        )
        yield Finding("info", unit.labels[voids[0]], message)
    if not objects_of(masks[start]):
        message = "the first mask has no object; start the video where an object is visible, or draw it"
        yield Finding("warning", first, message)
    yield from _late_ids(unit, masks)
    if every and every != set(range(1, len(every) + 1)):
        listed = ", ".join(map(str, sorted(every)))
        message = (
            f"ids of this video are {listed}; training accepts that, but scoring needs 1, 2, ... without gaps"
        )
        yield Finding("info", first, message)
    if len(every) > MOST_OBJECTS:
        message = f"{len(every)} objects in this video; each clip uses {MOST_OBJECTS} of them at random"
        yield Finding("info", first, message)


def _late_ids(unit: Unit, masks: Mapping[str, Sequence[int]]) -> Iterator[Finding]:
    """Yield ids that are not in the first mask, where they first occur."""
    stems = list(masks)
    seen = objects_of(masks[stems[0]])
    if not seen:
        return
    for stem in stems[1:]:
        late = sorted(objects_of(masks[stem]) - seen)
        if late:
            message = (
                f"id {', '.join(map(str, late))} is not in the first mask, {unit.labels[stems[0]].name}; correct for "
                "an object that appears later, else give it its earlier id"
            )
            yield Finding("warning", unit.labels[stem], message)
        seen |= objects_of(masks[stem])
