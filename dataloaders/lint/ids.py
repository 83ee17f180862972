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
"""objects of a clip that training takes, unless model.max_objects is changed"""


def objects_of(ids: Sequence[int] | None) -> set[int]:
    """The ids that are objects."""
    return set(ids or ()) - {VOID}


def count_objects(unit: Unit, facts: Mapping[Path, Facts], *, video: bool) -> int:
    """Objects of a video, or of all images of a set."""
    found = [objects_of(facts[path].ids) for path in unit.labels.values()]
    if video:
        return len(set().union(*found))
    alone = sum(facts[path].ids == (VOID,) for path in unit.labels.values())
    return sum(len(ids) for ids in found) + alone


def check_images(unit: Unit, facts: Mapping[Path, Facts]) -> Iterator[Finding]:
    """Yield findings about the masks of single images."""
    if not unit.labelled:
        yield Finding(
            "warning", unit.images, f"no image here has a mask in {unit.masks}; add masks of one name"
        )
    for stem in unit.labelled:
        path = unit.labels[stem]
        ids = facts[path].ids
        if ids == ():
            yield Finding("warning", path, "shows no object and teaches nothing; draw one or remove the pair")
        elif ids == (VOID,):
            yield Finding("info", path, "holds 0 and 255 only; 255 is taken as the one object")
        elif ids and VOID in ids:
            yield Finding("info", path, "pixels of 255 are left out of the loss")


def check_video(unit: Unit, facts: Mapping[Path, Facts]) -> Iterator[Finding]:
    """Whether clips can be cut from a video, and whether its ids belong together."""
    stems = unit.labelled
    if len(stems) < LEAST_FRAMES:
        message = (
            f"{len(unit.frames)} frames, of which {len(stems)} have a mask in {unit.masks}; training takes videos "
            f"with {LEAST_FRAMES} masks or more, so add masks or remove the video"
        )
        yield Finding("warning", unit.images, message)
    elif stems[0] != next(iter(unit.frames)):
        message = (
            "the first frame has no mask: fine in training, but evaluation starts from the first frame's mask"
        )
        yield Finding("info", next(iter(unit.frames.values())), message)
    readable = [stem for stem in stems if facts[unit.labels[stem]].ids is not None]
    masks = {stem: facts[unit.labels[stem]].ids or () for stem in readable}
    if masks:
        yield from _check_ids(unit, masks)


def _check_ids(unit: Unit, masks: Mapping[str, Sequence[int]]) -> Iterator[Finding]:
    """``masks``: the values of each mask, by stem, in order."""
    start = next(iter(masks))
    first = unit.labels[start]
    voids = [stem for stem, ids in masks.items() if VOID in ids]
    every = set().union(*(objects_of(ids) for ids in masks.values()))
    if voids and not every:
        message = (
            "the masks of this video hold 0 and 255 only, and 255 means ignored; write the object as 1, or train "
            "with kind davis and a split 2016/..., which takes all but 0 as one object"
        )
        yield Finding("error", unit.labels[voids[0]], message)
        return
    if voids:
        message = f"{len(voids)} masks hold 255, whose pixels are left out of the loss; if it is an object, renumber it"
        yield Finding("info", unit.labels[voids[0]], message)
    if not objects_of(masks[start]):
        message = "the first mask shows no object; let the video begin where one is seen, or draw it"
        yield Finding("warning", first, message)
    yield from _late_ids(unit, masks)
    if every and every != set(range(1, len(every) + 1)):
        listed = ", ".join(map(str, sorted(every)))
        message = (
            f"ids of this video are {listed}; training does not mind, but scores want 1, 2, ... without gaps"
        )
        yield Finding("info", first, message)
    if len(every) > MOST_OBJECTS:
        message = f"{len(every)} objects in this video; each clip takes {MOST_OBJECTS} of them at random"
        yield Finding("info", first, message)


def _late_ids(unit: Unit, masks: Mapping[str, Sequence[int]]) -> Iterator[Finding]:
    """Ids that the first mask does not have, where they first occur."""
    stems = list(masks)
    seen = objects_of(masks[stems[0]])
    if not seen:
        return
    for stem in stems[1:]:
        late = sorted(objects_of(masks[stem]) - seen)
        if late:
            message = (
                f"id {', '.join(map(str, late))} is not in the first mask, {unit.labels[stems[0]].name}; right for "
                "an object that comes later, else give it the id it had before"
            )
            yield Finding("warning", unit.labels[stem], message)
        seen |= objects_of(masks[stem])
