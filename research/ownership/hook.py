"""Ownership of components: give detached parts of an object to a lost object nearby.

It is not from a paper. Its constants were set by hand, most of them on one video of three dogs that cross; its
sensitivity to each was not measured. ``README.md`` has its gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aotlab.engine.hooks.hook import Hook

if TYPE_CHECKING:
    from aotlab.engine.tracking.prediction import Draft, Prediction

MIN_AREA = 200 / (480 * 854)
"""Smallest area of a component, relative to the frame: 200 pixels at 480p."""
AREA_HISTORY = 15
"""Number of frames over which the median area is taken."""
LOST_AREA = 0.4
"""Area below which an object is lost, relative to its median."""
CLAIM_AREA_RANGE = 0.2, 4.0
"""Smallest and largest area of a component that a lost object claims, relative to its median."""
MAX_CLAIM_DISTANCE = 3.0
"""Largest distance of its center from the object's last one, in square roots of the median area."""
MAX_COLOR_RATIO = 1.2
"""Another component may become the main one if the main one's color distance is more than this many times larger."""
MAX_CLAIM_COLOR_RATIO = 1.5
"""Largest color distance of a claimed component from the lost object, relative to that from the most similar object."""
UNDO_FRAMES = 25
"""Number of frames in which a claim can be undone. After that, the object may not claim again for as many."""
MAX_CLAIMS = 30
"""Largest number of frames in a row on which an object claims components."""


class Component(NamedTuple):
    """A connected part of an object."""

    pixels: np.ndarray
    """H×W bool."""
    area: int
    center: tuple[float, float]
    """Row and column."""


@dataclass
class History:
    """Appearance, area and position of an object on earlier frames."""

    colors: list[float]
    """Mean and standard deviation of R, G and B on the object's last mask by the user, 6 values."""
    areas: list[int] = field(default_factory=list)
    """Pixels on the last `AREA_HISTORY` frames that show the object."""
    center: tuple[float, float] = (0.0, 0.0)
    """Row and column of its center on the last of them."""
    claim_streak: int = 0
    """Number of frames in a row on which it claimed a component."""
    undo_frames_left: int = 0
    """Number of frames left in which its last claim may be undone."""
    claimed_from: int = 0
    """Id of the object that its last claim took pixels from."""
    cooldown: int = 0
    """Number of frames left in which it may claim nothing, after an undone claim."""

    @property
    def median(self) -> float:
        """Median area in pixels; 0 without frames."""
        return float(np.median(self.areas)) if self.areas else 0.0

    def may_claim(self, part: Component) -> bool:
        """Return whether the object, if it is lost, may claim a component of this size and position."""
        low, high = (limit * self.median for limit in CLAIM_AREA_RANGE)
        near = math.dist(part.center, self.center) <= MAX_CLAIM_DISTANCE * math.sqrt(self.median)
        return near and low <= part.area <= high and not self.cooldown and self.claim_streak < MAX_CLAIMS

    def color_distance(self, part: Component, frame: np.ndarray) -> float:
        """Return the difference in color of a component of a frame H×W×3 uint8 from the object."""
        return math.dist(measure_colors(part.pixels, frame), self.colors)


class Reassignment(NamedTuple):
    """Pixels of one object that belong to another."""

    pixels: np.ndarray
    """H×W bool."""
    source: int
    """Id of the object that they were predicted for."""
    target: int
    """Id of the object that they belong to."""


class ComponentOwnership(Hook):
    """Gives components that split off an object to a lost object.

    1. An object is lost if its area falls below `LOST_AREA` of its usual one; it then claims a component that split off
       another object, if size, position and color fit.
    2. Of two components of an object, the one that continues its main component stays, unless the other has clearly
       more similar colors, as after two objects crossed and their ids were swapped.
    3. A claim is undone if within `UNDO_FRAMES` the object shows up elsewhere with more similar colors.
    """

    NOTE = "reassignments"
    """Name of its note in a draft: the reassignments of `correct`."""
    objects: dict[int, History]
    """History of each object by id."""
    main_labels: np.ndarray | None
    """H×W object ids on the main component of each object, else 0."""

    def __init__(self) -> None:
        self.reset()

    def correct(self, draft: Draft) -> Draft:
        """Swap the logits of both objects in reassigned components; with two or more objects it waits for a GPU."""
        if not draft.short_term or len(draft.ids) < 2:
            return draft
        reassignments = self.find_reassignments(to_labels(draft.indices, draft.ids), draft.frame)
        reassignments = [move for move in reassignments if move.target not in draft.hidden]
        if not reassignments:
            return draft
        logits, indices = swap_logits(draft.logits, draft.indices, reassignments, draft.ids)
        draft.notes[self.NOTE] = reassignments
        return draft._replace(logits=logits, indices=indices)

    def stored(self, draft: Draft, prediction: Prediction, mask: np.ndarray | None) -> None:
        """Update the histories of all objects; those in the mask begin a new one."""
        if not draft.short_term:
            self.clear_positions()
        annotated_ids = [] if mask is None else [object_id for object_id in np.unique(mask).tolist() if object_id]
        if annotated_ids or len(prediction.ids) > 1:
            labels = to_labels(prediction.indices, prediction.ids)
            self.update(labels, draft.frame, annotated_ids, draft.notes.get(self.NOTE, ()))

    def find_reassignments(self, labels: np.ndarray, frame: np.ndarray) -> list[Reassignment]:
        """Return the components to reassign in labels H×W of a frame H×W×3 uint8 of any size; nothing changes."""
        if len(self.objects) < 2 or self.main_labels is None or self.main_labels.shape != labels.shape:
            return []
        areas = {object_id: np.count_nonzero(labels == object_id) for object_id in self.objects}
        lost = [i for i, history in self.objects.items() if areas[i] < LOST_AREA * history.median]
        reassignments: list[Reassignment] = []
        for source, history in self.objects.items():
            if not areas[source] or not (lost or history.undo_frames_left):
                continue
            main, *others = self._components(labels, source)
            for part in others:
                detached, kept = part, main
                if history.color_distance(main, frame) > MAX_COLOR_RATIO * history.color_distance(part, frame):
                    detached, kept = main, part
                remains = kept.area >= LOST_AREA * history.median
                owner = self._find_owner(detached, lost, frame) if remains else None
                if owner is not None:
                    reassignments.append(Reassignment(detached.pixels, source, owner))
                    main = kept
                elif self._should_undo_claim(main, part, history, frame):
                    reassignments.append(Reassignment(main.pixels, source, history.claimed_from))
                    break
        return reassignments

    def update(
        self,
        labels: np.ndarray,
        frame: np.ndarray,
        annotated_ids: Sequence[int] = (),
        reassignments: Sequence[Reassignment] = (),
    ) -> None:
        """Update areas, centers and main components.

        Args:
            labels: H×W object ids, as memory stores them.
            frame: H×W×3 uint8 of any size.
            annotated_ids: object ids in the frame's mask; their history restarts.
            reassignments: components that `find_reassignments` moved on this frame.
        """
        if self.main_labels is not None and self.main_labels.shape != labels.shape:
            self.clear_positions()
        for object_id in annotated_ids:
            pixels = labels == object_id
            if pixels.any():
                self.objects[object_id] = History(measure_colors(pixels, frame))
        # a mask, or the mean of an ensemble, may have replaced the prediction
        reassignments = [move for move in reassignments if (labels[move.pixels] == move.target).mean() > 0.5]
        self._count_claims(reassignments)
        main_labels = np.zeros_like(labels)
        for object_id, history in self.objects.items():
            parts = self._components(labels, object_id)
            if not parts:
                continue
            new = [move.pixels for move in reassignments if move.target == object_id]
            main = max(parts, key=lambda part: int((new[0] & part.pixels).sum())) if new else parts[0]
            main_labels[main.pixels] = object_id
            area = sum(part.area for part in parts)
            if area >= LOST_AREA * history.median:
                history.areas = [*history.areas, area][-AREA_HISTORY:]
                history.center = main.center
        self.main_labels = main_labels

    def reset(self) -> None:
        """Forget all objects."""
        self.objects, self.main_labels = {}, None

    def clear_positions(self) -> None:
        """Clear areas and positions, as after a cut; claims and colors are kept."""
        self.main_labels = None
        for history in self.objects.values():
            history.areas.clear()

    def forget(self, object_id: int) -> None:
        """Remove the history and the main component of an object."""
        self.objects.pop(object_id, None)
        if self.main_labels is not None:
            self.main_labels = np.where(self.main_labels == object_id, 0, self.main_labels)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the histories and main components."""
        return {
            "objects": {object_id: asdict(history) for object_id, history in self.objects.items()},
            "main_labels": None if self.main_labels is None else torch.from_numpy(self.main_labels.copy()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from histories and main components."""
        self.objects = {object_id: History(**deepcopy(history)) for object_id, history in state["objects"].items()}
        labels = state["main_labels"]
        self.main_labels = None if labels is None else labels.numpy().copy()

    def _components(self, labels: np.ndarray, object_id: int) -> list[Component]:
        """Return an object's components, the main one first; small ones are left out, unless all are."""
        import cv2

        mask = (labels == object_id).astype(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            return []
        window = np.s_[top : top + height, left : left + width]
        count, parts, stats, centers = cv2.connectedComponentsWithStats(mask[window])
        overlap = np.zeros(count, int)
        if self.main_labels is not None:
            overlap = np.bincount(parts[self.main_labels[window] == object_id], minlength=count)
        areas = stats[:, cv2.CC_STAT_AREA]
        order = sorted(range(1, count), key=lambda part: (overlap[part], areas[part]), reverse=True)
        components: list[Component] = []
        for part in order:
            if not components or areas[part] >= MIN_AREA * labels.size:
                pixels = np.zeros(labels.shape, bool)
                pixels[window] = parts == part
                column, row = centers[part]
                center = float(row) + top, float(column) + left
                components.append(Component(pixels, int(areas[part]), center))
        return components

    def _find_owner(self, part: Component, lost: Sequence[int], frame: np.ndarray) -> int | None:
        """Return the lost object that a component of another object belongs to, or None."""
        candidates = [i for i in lost if self.objects[i].may_claim(part)]
        if not candidates:
            return None
        differences = {i: history.color_distance(part, frame) for i, history in self.objects.items()}
        owner = min(candidates, key=differences.__getitem__)
        return owner if differences[owner] <= MAX_CLAIM_COLOR_RATIO * min(differences.values()) else None

    def _should_undo_claim(self, main: Component, part: Component, history: History, frame: np.ndarray) -> bool:
        """Return whether ``part`` is the object itself, which undoes its claim of the main component."""
        return (
            history.undo_frames_left > 0
            and history.claimed_from in self.objects
            and part.area >= LOST_AREA * history.median
            and history.color_distance(part, frame) < history.color_distance(main, frame)
        )

    def _count_claims(self, reassignments: Sequence[Reassignment]) -> None:
        """Count frames since claims, and record new and undone ones."""
        for history in self.objects.values():
            history.undo_frames_left = max(history.undo_frames_left - 1, 0)
            history.cooldown = max(history.cooldown - 1, 0)
        claiming = {move.target for move in reassignments}
        for move in reassignments:
            source, target = self.objects[move.source], self.objects[move.target]
            if source.undo_frames_left and source.claimed_from == move.target:  # undone
                source.undo_frames_left, source.cooldown = 0, UNDO_FRAMES
                claiming.discard(move.target)
            else:
                target.undo_frames_left, target.claimed_from = UNDO_FRAMES, move.source
        for object_id, history in self.objects.items():
            history.claim_streak = history.claim_streak + 1 if object_id in claiming else 0


def measure_colors(pixels: np.ndarray, frame: np.ndarray) -> list[float]:
    """Return mean and standard deviation of R, G and B on ``pixels`` H×W bool of a frame H×W×3 uint8 of any size."""
    import cv2

    if pixels.shape != frame.shape[:2]:
        size = frame.shape[1], frame.shape[0]
        pixels = cv2.resize(pixels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    mean, deviation = cv2.meanStdDev(np.ascontiguousarray(frame), mask=pixels.astype(np.uint8))
    return [*mean.ravel().tolist(), *deviation.ravel().tolist()]


def to_labels(indices: Tensor, ids: Sequence[int]) -> np.ndarray:
    """Convert indices H×W to object ids int32; waits for a GPU."""
    return np.array([0, *ids], np.int32)[indices.cpu().numpy()]


def swap_logits(
    logits: Tensor, indices: Tensor, reassignments: Sequence[Reassignment], ids: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the logits (1+n)×H×W and indices H×W with both objects of each reassignment swapped in its pixels."""
    logits = logits.clone()
    for move in reassignments:
        pixels = torch.from_numpy(move.pixels).to(indices.device)
        source, target = ids.index(move.source) + 1, ids.index(move.target) + 1
        pair = logits[[target, source]]
        logits[[source, target]] = torch.where(pixels, pair, pair.flip(0))
        indices = torch.where(pixels, target, indices)
    return logits, indices
