"""Masks of objects from prompts: a box, clicks or a scribble on a frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from aotlab import InputError, Prompt
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.editing import Box, Clicks, EditResult, Points
from aotlab_studio.document.painting import is_far_from, limit_to_prompt
from aotlab_studio.protocol import LoadingEvent, SegmenterEvent

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""Function from a frame H×W×3 uint8 and prompts by object id to H×W ids."""
PromptMode = Literal["replace", "extend", "auto"]
"""Replace the mask of the object, or add to it. ``auto``: away from this mask, make a new object; on it, clicks or a
scribble grow the mask near them, or shrink it if all are negative; a box replaces it."""


class Prompter:
    """Segments objects at prompts, with one of several segmenters. Sessions may share it.

    Args:
        segmenters: segmenters by name, the first one is chosen; each loads its model at its first prompt. Without any,
            prompts are refused.
    """

    def __init__(self, segmenters: Mapping[str, Segmenter] = MappingProxyType({})) -> None:
        self.segmenters = dict(segmenters)
        self.chosen = next(iter(self.segmenters), "")
        self.segmenter = self.segmenters.get(self.chosen)
        self.listeners: set[Callable[[SegmenterEvent | LoadingEvent], None]] = set()
        self._loaded: set[str] = set()

    def choose(self, name: str) -> None:
        """Choose a segmenter for all sessions and load it in a thread; raise `InputError` for a name not offered."""
        if name not in self.segmenters:
            raise InputError(f"segmenter {name[:40]!r}: not offered; give one of {', '.join(self.segmenters)}")
        self.chosen, self.segmenter = name, self.segmenters[name]
        self._emit(SegmenterEvent(name))
        self.preload()

    def _emit(self, event: SegmenterEvent | LoadingEvent) -> None:
        for listener in [*self.listeners]:
            listener(event)

    def preload(self) -> None:
        """Load the model in a thread, so that the first prompt waits less. If that fails, the prompt has the error."""

        name, segmenter = self.chosen, self.segmenter

        def load() -> None:
            self._emit(LoadingEvent(True))
            with suppress(InputError):
                assert segmenter is not None
                segmenter(np.zeros((64, 64, 3), np.uint8), {1: Prompt(box=(16, 16, 32, 32))})
                self._loaded.add(name)
            self._emit(LoadingEvent(False))

        if segmenter is not None and name not in self._loaded:
            threading.Thread(target=load, name="prompts").start()  # no daemon, as in `TrackerLoader.preload`

    def segment(self, document: Document, frame: int, prompt: Prompt) -> np.ndarray:
        """Return the mask of a prompt on a frame, H×W bool; raise `InputError` without a segmenter."""
        name, segmenter = self.chosen, self.segmenter
        if segmenter is None:
            raise InputError("prompt: this session has no segmenter; draw the mask")
        image = document.frames.read(frame)
        if is_first := name not in self._loaded:
            document.emit(LoadingEvent(True))
        try:
            labels = segmenter(image, {1: prompt})
            self._loaded.add(name)
            return labels == 1
        finally:
            if is_first:
                document.emit(LoadingEvent(False))


def center_points(points: Points) -> Points:
    """Return points of the page, where pixel 0 spans 0 to 1, as `Prompt` counts them: its center is 0."""
    return [(x - 0.5, y - 0.5) for x, y in points]


class PromptInput(NamedTuple):
    """Box, clicks and a scribble on an object, in pixels of the frame, whose first one spans 0 to 1."""

    box: Box | None
    positive: Clicks
    negative: Clicks
    scribble: Clicks

    @property
    def added_points(self) -> Clicks:
        """Points on the object."""
        return [*self.positive, *self.scribble]


class PromptedChange(NamedTuple):
    """Change of a mask by a prompt."""

    kind: Literal["new", "replace", "extend", "correct"]
    object_id: int | None
    """Object whose mask changes; None: a new one."""

    def apply(self, before: np.ndarray, found: np.ndarray, prompts: PromptInput) -> np.ndarray:
        """Return the mask of the object, H×W bool, after a mask was found; a correction changes it near prompts."""
        if self.kind == "correct":
            added = prompts.added_points
            return limit_to_prompt(before, found, added or prompts.negative, positive=bool(added))
        return before | found if self.kind == "extend" else found


def choose_change(
    visible_mask: np.ndarray, object_id: int | None, prompts: PromptInput, mode: PromptMode
) -> PromptedChange:
    """Return what prompts change, given the object's mask on the frame, H×W bool.

    Raises `InputError` for no prompt, or if there is nothing to remove.
    """
    if object_id is not None and mode != "auto":
        return PromptedChange(mode, object_id)
    ends = [*prompts.positive, *prompts.scribble[:1], *prompts.scribble[-1:]]
    if not (prompts.box or ends or prompts.negative):
        raise InputError("no prompt; give a box, clicks or a scribble")
    can_correct = prompts.box is None and visible_mask.any()
    if mode == "auto" and not (prompts.box or prompts.added_points or can_correct):
        raise InputError("remove: the object has no mask on this frame; click on the object first")
    if object_id is None or is_far_from(visible_mask, prompts.box, ends):
        return PromptedChange("new", None)
    return PromptedChange("correct" if can_correct else "replace", object_id)


def draw_prompted(
    document: Document,
    prompter: Prompter,
    frame: int,
    change: PromptedChange,
    prompts: PromptInput,
    *,
    keep_others: bool = False,
) -> EditResult:
    """Segment the object at prompts, and draw its mask; raise `InputError` if nothing is found there."""
    kind, object_id = change
    protected = editing.find_protected_pixels(document, frame, object_id, keep_others=keep_others)
    previous_mask = document.snapshot.labels(frame) == object_id if kind == "correct" else None
    points = [*prompts.positive, *prompts.negative]
    signs = [1] * len(prompts.positive) + [0] * len(prompts.negative)
    scribble = center_points(prompts.scribble)
    prompt = Prompt(center_points(points), signs, prompts.box, scribble, mask=previous_mask, exclude=protected)
    mask = prompter.segment(document, frame, prompt)
    with document.lock:
        # again, as others may have drawn in the meantime
        protected = editing.find_protected_pixels(document, frame, object_id, keep_others=keep_others)
        before, found = document.snapshot.labels(frame) == object_id, mask & ~protected
        if kind != "correct" and not found.any():
            remedy = "Try a tighter box, a click, or the brush, which takes drawn pixels of other objects too"
            raise InputError(f"nothing found there; nothing was changed. {remedy}")
        after = change.apply(before, found, prompts)
        title = "box" if prompts.box else "scribble" if prompts.scribble else "click"
        if kind == "correct" and not after.any():
            raise InputError("nothing would be left of the object; press M if it is not on this frame")
        if kind == "correct" and (after == before).all():
            raise InputError("nothing found at the click; use the brush or the eraser")
        return editing.edit_mask(document, frame, object_id, lambda _: after, title)
