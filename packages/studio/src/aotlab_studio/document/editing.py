"""Edits of masks and objects; each is one step of the log. Points are in pixels of the frame.

An `Edit` is a message of the page; its tag is the name of the action.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType, structs

import aotlab_video
from aotlab import InputError
from aotlab.utils.text import format_count
from aotlab_studio.document import painting
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import Changes, Coordinate, Layer, NonNegativeInt, Point
from aotlab_studio.document.masks import LayerFrame, count_pixels, encode_png
from aotlab_studio.document.objects import Color, ObjectInfo, check_object, make_object
from aotlab_studio.document.scores import clip_scores
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import find_outdated
from aotlab_studio.utils.video import require_frame

MAX_POINTS = 20_000
WORD = re.compile("(?<!^)(?=[A-Z])")
"""Start of a word in the name of a class."""
Points = Annotated[list[Point], Meta(min_length=1, max_length=MAX_POINTS)]
Clicks = Annotated[list[Point], Meta(max_length=MAX_POINTS)]
Corners = Annotated[list[Point], Meta(min_length=3, max_length=MAX_POINTS)]
Radius = Annotated[float, Meta(ge=0.5, le=painting.MAX_RADIUS)]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
Shape = Literal["grow", "shrink", "smooth", "fill holes", "drop specks"]
Reach = Annotated[int, Meta(ge=1, le=100)]
NO_EFFECTS = {"drop specks": "No specks found.", "fill holes": "No holes found."}
EditFunction = Callable[[np.ndarray], np.ndarray]
"""Function that gets the mask of an object, H×W bool, and returns its new mask."""


class EditResult(Struct, frozen=True):
    """The result of an edit that draws a mask or adds an object."""

    object_id: int
    lost_pixels: dict[int, int] = {}
    """Number of pixels that each other object lost, by object id."""
    warning: str = ""
    """Sentence that the frame is no longer marked as checked; empty if it was not."""


class ChangedFrames(Struct, frozen=True, omit_defaults=True):
    """The result of an edit of several frames."""

    count: int
    """Number of frames whose masks changed."""
    warning: str = ""
    """Sentences about frames that kept their mask, as no pixel would remain, or are no longer marked as checked."""
    kept: bool = False
    """Whether other objects kept pixels that the masks cover too."""


class Action(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag=lambda name: WORD.sub("_", name).lower()
):
    """Base class of the messages of the page: a name in ``do``, such as ``fill_polygon``, and fields."""


class Edit(Action, frozen=True):
    """Base class of the actions that add a step to the log."""

    def run(self, document: Document) -> Any:
        """Carry it out; raise `InputError` if it is refused."""
        raise NotImplementedError


def require_editable(document: Document, object_id: int) -> ObjectInfo:
    """Return an object; raise `InputError` if it is unknown or locked."""
    item = document.snapshot.find_object(object_id)
    if item.locked:
        raise InputError(f"{item.name} is locked; unlock it first")
    return item


def edit_mask(
    document: Document,
    frame: int,
    object_id: int | None,
    edit: EditFunction,
    title: str,
    *,
    require_change: bool = False,
) -> EditResult:
    """Change the mask of an object on a frame, or add an object with this mask if ``object_id`` is None.

    The mask is then drawn. Other objects lose the pixels that it gains, unless they are locked. The title of the step
    is ``title`` and the name of the object. A new object without a pixel raises `InputError`; with ``require_change``,
    so does an edit that changes no pixel.
    """
    with document.lock:
        if object_id is not None:
            require_editable(document, object_id)
        snapshot = document.snapshot
        labels, drawn_masks = snapshot.labels(frame), snapshot.drawn_masks(frame)
        before = labels == object_id if object_id is not None else np.zeros(labels.shape, bool)
        after = edit(before) & ~np.isin(labels, snapshot.locked_ids)
        if object_id is None and not after.any():
            raise InputError(f"{title}: covers no free pixel of the image; nothing was changed")
        if (before == after).all():
            if require_change:
                raise InputError(f"{title}: changes no pixel of the object; nothing was changed")
            if object_id in drawn_masks:
                return EditResult(object_id)
        objects, new_pngs = dict[int, ObjectInfo](), dict[str, bytes]()
        if object_id is None:
            item = _make_object(document)
            object_id, objects[item.id] = item.id, item
        name = (objects or snapshot.objects)[object_id].name
        masks = {**drawn_masks, object_id: document.masks.encode(after, new_pngs)}
        for key in drawn_masks.keys() - {object_id}:  # tracked masks of other objects stay tracked
            if ((drawn := document.masks.read(drawn_masks[key])) & after).any():
                masks[key] = document.masks.encode(drawn & ~after, new_pngs)
        result = EditResult(object_id, count_pixels(labels[after & ~before]), _warn_of_marks(snapshot, [frame]))
        document.edit(f"{title} {name}", Changes(objects, {frame: masks}), frame, new_pngs, result)
        return result


class Paint(Edit, frozen=True):
    """Draw or erase with a round brush of ``radius`` pixels; see `edit_mask`."""

    frame: int
    object_id: int | None
    points: Points
    radius: Radius
    erase: bool = False
    keep_others: bool = False

    def run(self, document: Document) -> EditResult:
        area = painting.draw_stroke(document.masks.size, self.points, self.radius)
        edit = _edit_area(document, self.frame, area, erase=self.erase, keep_others=self.keep_others)
        title = "erase" if self.erase else "brush"
        return edit_mask(document, self.frame, self.object_id, edit, title, require_change=True)


class FillPolygon(Edit, frozen=True):
    """Fill or erase the inside of a polygon or lasso; see `edit_mask`."""

    frame: int
    object_id: int | None
    points: Corners
    erase: bool = False
    keep_others: bool = False

    def run(self, document: Document) -> EditResult:
        area = painting.draw_polygon(document.masks.size, self.points)
        edit = _edit_area(document, self.frame, area, erase=self.erase, keep_others=self.keep_others)
        return edit_mask(document, self.frame, self.object_id, edit, "outline", require_change=True)


class MoveCorners(Edit, frozen=True):
    """Change an object's outline as the polygon ``before`` changes to ``after``; see `edit_mask`."""

    frame: int
    object_id: int
    before: Corners
    after: Corners

    def run(self, document: Document) -> EditResult:
        def edit(mask: np.ndarray) -> np.ndarray:
            return painting.move_outline(mask, self.before, self.after)

        return edit_mask(document, self.frame, self.object_id, edit, "move corners", require_change=True)


class Reshape(Edit, frozen=True):
    """Change the outline of an object on ``frame``, or also on those after it up to ``last``.

    A drawn mask stays drawn, and a tracked one tracked. Other objects keep their pixels, and a mask of which nothing
    would remain stays. Raises `InputError` if no mask changes.
    """

    frame: int
    object_id: int
    shape: Shape
    radius: Reach = 2
    last: NonNegativeInt | None = None

    def run(self, document: Document) -> ChangedFrames:
        with document.lock:
            item, snapshot = require_editable(document, self.object_id), document.snapshot
            ids = snapshot.expand_merged_ids([item.id])
            is_current = ~find_outdated(snapshot)[item.id]
            drawn_masks, new_pngs = dict[int, dict[int, str]](), dict[str, bytes]()
            layers, tracked = dict[int, Layer](), list[tuple[int, LayerFrame, bytes]]()
            new_ids, vanishing = dict[tuple[int, bool], int](), 0
            for frame in _list_frames(snapshot, self.frame, self.last):
                labels = snapshot.labels(frame)
                before = labels == item.id
                after = reshape_mask(before, self.shape, self.radius) & (before | (labels == 0))
                if (after == before).all():
                    continue
                if not after.any():
                    vanishing += 1
                elif item.id in (drawn := snapshot.drawn_masks(frame)):
                    drawn_masks[frame] = {**drawn, item.id: document.masks.encode(after, new_pngs)}
                else:
                    shown = [each for each in snapshot.list_shown_layers(frame) if {*ids} & {*each.object_ids}][-1]
                    key = shown.layer_id, bool(is_current[frame])
                    layer_id = new_ids.setdefault(key, document.make_layer_id() + len(new_ids))
                    layer = snapshot.state.layers[shown.layer_id]
                    # a current mask stays current if the drawn masks that it was tracked from are reshaped too
                    sources = None if is_current[frame] else layer.sources
                    layers[layer_id] = structs.replace(layer, objects=ids, kind="reshape", sources=sources)
                    masks = np.where(after, item.id, 0)
                    scores = clip_scores({item.id: snapshot.scores(frame)[item.id]}, masks)
                    absent = [key for key in ids if key != item.id]
                    description = LayerFrame(frame, scores, absent, model=shown.description.model)
                    tracked.append((layer_id, description, encode_png(masks)))
            warning = ""
            if vanishing:
                count, they = format_count(vanishing, "frame"), "they were" if vanishing > 1 else "it was"
                warning = f"On {count} nothing would be left of {item.name}, so {they} not changed."
            if not (drawn_masks or tracked):
                raise InputError(warning or NO_EFFECTS.get(self.shape, f"{self.shape}: changes no pixel that is free"))
            changes = Changes(drawn_masks=drawn_masks, layers=layers)
            frames = sorted([*drawn_masks, *(description.frame for _, description, _ in tracked)])
            warning = " ".join(filter(None, [warning, _warn_of_marks(snapshot, frames)]))
            result = ChangedFrames(len(frames), warning)
            title, only_frame = _describe_range(f"{self.shape} {item.name}", frames)
            document.edit(title, changes, only_frame, new_pngs, result, tracked)
            return result


def reshape_mask(mask: np.ndarray, shape: Shape, radius: int) -> np.ndarray:
    """Return a mask H×W bool with another outline."""
    if shape == "fill holes":
        return painting.fill_holes(mask)
    tools = {"grow": painting.grow, "shrink": painting.shrink, "smooth": painting.smooth}
    return tools.get(shape, painting.drop_specks)(mask, radius)


class PasteMasks(Edit, frozen=True):
    """Draw masks of one frame on ``frame``, or also on those after it up to ``last``.

    Other objects keep their pixels, with ``take`` only locked ones. Raises `InputError` if nothing changes.

    Args:
        source: the frame whose masks are copied.
        step: the last step that they include; None: all steps.
        object_id: the only object to copy; unset: all that show and are not locked.
        take: take pixels of other objects, unless they are locked.
    """

    source: int
    frame: int
    last: NonNegativeInt | None = None
    step: int | None = None
    object_id: int | UnsetType = UNSET
    take: bool = False

    def run(self, document: Document) -> ChangedFrames:
        with document.lock:
            snapshot = document.snapshot
            require_frame(self.source, snapshot.count)
            source = snapshot if self.step is None else snapshot.at_step(self.step)
            copied = source.labels(self.source)
            ids = {*np.unique(copied).tolist()} & snapshot.objects.keys() - {*snapshot.locked_ids}
            if self.object_id is not UNSET:
                ids &= {require_editable(document, self.object_id).id}
            if not ids:
                raise InputError(
                    f"paste: no mask to copy on frame {self.source}; go to a frame that shows one, and copy it"
                )
            new_pngs, drawn_masks, any_kept = dict[str, bytes](), dict[int, dict[int, str]](), False
            for frame in _list_frames(snapshot, self.frame, self.last):
                labels, drawn = snapshot.labels(frame), snapshot.drawn_masks(frame)
                after, changed = labels.copy(), set[int]()
                for object_id in sorted(ids):
                    mask, is_locked = copied == object_id, np.isin(after, snapshot.locked_ids)
                    kept = is_locked if self.take else (after > 0) & (after != object_id)
                    any_kept |= bool((mask & kept & ~is_locked).any())
                    after[after == object_id] = 0
                    after[mask & ~kept] = object_id
                    if ((after == object_id) != (labels == object_id)).any():
                        changed.add(object_id)
                if changed:
                    digests = {key: document.masks.encode(after == key, new_pngs) for key in {*drawn, *changed}}
                    drawn_masks[frame] = {key: digests[key] for key in sorted(digests)}
            if not drawn_masks:
                cause = "other objects already cover those pixels" if any_kept else "the masks are the same already"
                raise InputError(f"Nothing pasted: {cause}.")
            result = ChangedFrames(len(drawn_masks), _warn_of_marks(snapshot, drawn_masks), kept=any_kept)
            names = ", ".join(snapshot.objects[key].name for key in sorted(ids))
            title, only_frame = _describe_range(f"paste {names}", [*drawn_masks])
            document.edit(title, Changes(drawn_masks=drawn_masks), only_frame, new_pngs, result)
            return result


def _list_frames(snapshot: Snapshot, first: int, last: int | None) -> list[int]:
    """Return the frames of a range that can be changed."""
    return [*range(first, first + 1 if last is None else min(last, snapshot.editable_range[1]) + 1)]


def _describe_range(title: str, frames: list[int]) -> tuple[str, int | None]:
    """Return the title of an edit of one or more frames, and the frame, if it is only one."""
    return (title, frames[0]) if len(frames) == 1 else (f"{title} on {len(frames)} frames", None)


def _warn_of_marks(snapshot: Snapshot, frames: Collection[int]) -> str:
    """Return a sentence about those of the changed frames that were marked as checked; empty without one."""
    ended = sorted({*frames} & {*snapshot.checked_frames})
    if len(ended) > 1:
        return f"{len(ended)} frames are no longer marked as checked."
    return f"Frame {ended[0]} is no longer marked as checked." if ended else ""


def find_protected_pixels(document: Document, frame: int, object_id: int | None, *, keep_others: bool) -> np.ndarray:
    """Return the pixels of other objects, H×W bool, that a prompt must not change: drawn, or all, and locked ones."""
    snapshot = document.snapshot
    others = [key for key in (snapshot.objects if keep_others else snapshot.drawn_masks(frame)) if key != object_id]
    return np.isin(snapshot.labels(frame), [*others, *snapshot.locked_ids])


class MarkAbsent(Edit, frozen=True):
    """Mark the object as absent on this frame."""

    frame: int
    object_id: int

    def run(self, document: Document) -> EditResult:
        return edit_mask(document, self.frame, self.object_id, np.zeros_like, "mark absent")


class BackToTracked(Edit, frozen=True):
    """Remove the drawn mask of an object on ``frame``; or up to ``last``, those with a tracked mask, which shows again.

    Raises `InputError` if there is none, or if a tracked mask would cover a locked object.
    """

    frame: int
    object_id: int
    last: NonNegativeInt | None = None

    def run(self, document: Document) -> ChangedFrames:
        with document.lock:
            item, snapshot = require_editable(document, self.object_id), document.snapshot
            is_tracked = snapshot.flag_tracked(snapshot.expand_merged_ids([item.id]))
            drawn_masks = dict[int, dict[int, str] | None]()
            for frame in _list_frames(snapshot, self.frame, self.last):
                masks = snapshot.drawn_masks(frame)
                if item.id in masks and (is_tracked[frame] or self.last is None):
                    drawn_masks[frame] = {key: digest for key, digest in masks.items() if key != item.id} or None
            if not drawn_masks:
                raise InputError(f"back to tracked: no drawn mask of {item.name} to remove")
            changes = Changes(drawn_masks=drawn_masks)
            after = snapshot.with_changes(changes)
            for frame in drawn_masks if snapshot.locked_ids else ():
                covered = np.zeros(snapshot.size, bool)
                with suppress(InputError):  # a damaged mask, which this removes
                    labels = snapshot.labels(frame)
                    covered = np.isin(labels, snapshot.locked_ids) & (after.labels(frame) != labels)
                if covered.any():
                    raise InputError(f"frame {frame}: the tracked mask would cover a locked object; unlock it first")
            result = ChangedFrames(len(drawn_masks), _warn_of_marks(snapshot, drawn_masks))
            title, only_frame = _describe_range(f"back to tracked {item.name}", [*drawn_masks])
            document.edit(title, changes, only_frame, result=result)
            return result


class SplitObject(Edit, frozen=True):
    """Turn the connected part of a mask under a point into a new object on this frame; see `edit_mask`."""

    frame: int
    object_id: int
    point: Point

    def run(self, document: Document) -> EditResult:
        with document.lock:
            require_editable(document, self.object_id)
            mask = document.snapshot.labels(self.frame) == self.object_id
            piece = painting.find_part(mask, self.point)
            if piece is None:
                raise InputError("split: the point is not on the object; click on the part to split off")
            if (piece == mask).all():
                raise InputError("split: the object is in one piece; erase a gap between its parts first")
            return edit_mask(document, self.frame, None, lambda _: piece, "split off")


class Reassign(Edit, frozen=True):
    """Give an object the connected part of another object's mask under a point; see `edit_mask`."""

    frame: int
    object_id: int
    point: Point

    def run(self, document: Document) -> EditResult:
        with document.lock:
            item, labels = require_editable(document, self.object_id), document.snapshot.labels(self.frame)
            piece = painting.find_part(np.where(labels == self.object_id, 0, labels), self.point)
            if piece is None:
                raise InputError(f"reassign: click on a part of another object, which becomes {item.name}'s")
            require_editable(document, int(labels[piece][0]))
            return edit_mask(document, self.frame, self.object_id, lambda mask: mask | piece, "reassign to")


class AddObject(Edit, frozen=True):
    """Add an object; raise `InputError` if there are too many."""

    def run(self, document: Document) -> EditResult:
        with document.lock:
            item = _make_object(document)
            result = EditResult(item.id)
            document.edit(f"new {item.name}", Changes(objects={item.id: item}), result=result)
            return result


class ChangeObject(Edit, frozen=True):
    """Set fields of an object, except those that are None; raise `InputError` for an unusable name.

    A new class brings its color, unless one is given; see `Schema.color_object`. ``others`` get the class too.
    """

    object_id: int
    name: str | None = None
    color: Color | None = None
    locked: bool | None = None
    class_name: str | None = None
    others: list[int] = []

    def run(self, document: Document) -> None:
        with document.lock:
            snapshot, schema = document.snapshot, document.schema
            objects, classes = {**snapshot.objects}, dict[str, None]()
            for object_id in (self.object_id, *self.others):
                before = snapshot.find_object(object_id)
                fields: dict[str, Any] = {"class_name": self.class_name}
                if object_id == self.object_id:
                    fields |= {"name": self.name, "color": self.color, "locked": self.locked}
                item = check_object(replace(before, **{key: each for key, each in fields.items() if each is not None}))
                if before.name == item.name == before.class_name:  # its name was its class
                    item = replace(item, name=item.class_name or f"object {item.id}")
                objects[object_id] = schema.color_object(item, objects) if self.color is None else item
                classes |= {item.class_name: None} if item.class_name else {}
            changes = Changes(objects, classes=aotlab_video.add_class_ids(snapshot.state.classes, classes))
            names = ", ".join(snapshot.objects[key].name for key in (self.object_id, *self.others))
            document.edit(f"change {names}", changes)


class DeleteObject(Edit, frozen=True):
    """Remove an object from all frames; raise `InputError` if it is unknown or locked."""

    object_id: int

    def run(self, document: Document) -> None:
        with document.lock:
            item = require_editable(document, self.object_id)
            document.edit(f"delete {item.name}", Changes(objects={self.object_id: None}))


class MergeObjects(Edit, frozen=True):
    """Give all pixels of an object to another one, and its class or attributes to one without any.

    Raises:
        InputError: one is unknown or locked.
    """

    object_id: int
    into: int

    def run(self, document: Document) -> None:
        if self.object_id == self.into:
            raise InputError(f"object {self.object_id}: cannot be merged with itself; choose another one")
        with document.lock:
            for merged_id in (self.object_id, self.into):
                require_editable(document, merged_id)
            snapshot, new_pngs = document.snapshot, dict[str, bytes]()
            drawn_masks = dict[int, dict[int, str]]()
            for frame in snapshot.drawn_frames:
                masks = snapshot.drawn_masks(frame)
                # a drawn mask of one object would hide the tracked mask of the other
                if masks.keys() & {self.object_id, self.into}:
                    both = document.masks.encode(np.isin(snapshot.labels(frame), (self.object_id, self.into)), new_pngs)
                    drawn_masks[frame] = {key: digest for key, digest in masks.items() if key != self.object_id} | {
                        self.into: both
                    }
            item, target = snapshot.objects[self.object_id], snapshot.objects[self.into]
            below, above = (snapshot.state.attributes.get(key) for key in (self.object_id, self.into))
            others = {key: other for key, other in snapshot.objects.items() if key != self.object_id}
            merged = replace(target, class_name=target.class_name or item.class_name)
            objects = {self.object_id: None, self.into: document.schema.color_object(merged, others)}
            changes = Changes(
                objects, drawn_masks, merged={self.object_id: self.into}, attributes={self.into: above or below}
            )
            document.edit(f"merge {item.name} into {target.name}", changes, new_pngs=new_pngs)


class ClearTracking(Edit, frozen=True):
    """Hide the tracked masks of unlocked objects from ``frame`` to ``last``; raise `InputError` if no mask shows."""

    frame: int
    last: NonNegativeInt | None = None

    def run(self, document: Document) -> None:
        with document.lock:
            snapshot = document.snapshot
            end = snapshot.editable_range[1]
            last = end if self.last is None else min(self.last, end)
            ids = snapshot.expand_merged_ids(snapshot.objects.keys() - snapshot.locked_ids)
            if not snapshot.flag_tracked(ids)[self.frame : last + 1].any():
                raise InputError("clear tracking: no tracked masks from this frame on; nothing was changed")
            layer = Layer(ids, self.frame, last, self.frame, "empty")
            document.edit("clear tracking", Changes(layers={document.make_layer_id(): layer}), self.frame)


class SetChecked(Edit, frozen=True):
    """Mark a frame as checked, or remove the mark; raise `InputError` if the frame has no masks."""

    frame: int
    checked: bool

    def run(self, document: Document) -> None:
        with document.lock:
            snapshot, digest = document.snapshot, document.snapshot.digest_frame(self.frame)
            if self.checked == (self.frame in snapshot.checked_frames):
                return
            if self.checked and self.frame not in snapshot.annotated_frames:
                raise InputError(f"frame {self.frame}: no mask to check; draw or track an object first")
            title = "mark as checked" if self.checked else "mark as not checked"
            document.edit(title, Changes(checked={self.frame: digest if self.checked else None}), self.frame)


class RestoreStep(Edit, frozen=True):
    """Bring everything back as it was after a step of the history, in one edit."""

    step: int

    def run(self, document: Document) -> None:
        with document.lock:
            if self.step not in document.log.list_past_steps():  # tracked masks of others are deleted at a restart
                raise InputError(f"step {self.step}: no such step; choose one of the history")
            step = document.log.steps[self.step]
            title = f"back to {step.title} of {step.time[:16].replace('T', ' ')}"
            document.edit(title, document.log.state(self.step).diff(document.snapshot.state))


def _make_object(document: Document) -> ObjectInfo:
    """Return a new object, of the schema's class if there is only one."""
    item, schema = make_object(document.make_object_id()), document.schema
    if len(schema.classes) == 1:
        item = replace(item, class_name=schema.classes[0].name)
    return schema.color_object(item, document.snapshot.state.objects)


def _edit_area(document: Document, frame: int, area: np.ndarray, *, erase: bool, keep_others: bool) -> EditFunction:
    def edit(mask: np.ndarray) -> np.ndarray:
        free = document.snapshot.labels(frame) == 0 if keep_others else True
        return mask & ~area if erase else mask | (area & free)

    return edit
