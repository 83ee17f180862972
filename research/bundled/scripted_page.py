"""The studio's page without a browser: every call is what one or two gestures of a person do, and counts them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aotlab.utils.errors import InputError
from aotlab_studio.session.actions import MESSAGES, run_action
from aotlab_studio.session.session import Session
from aotlab_studio.tracking.jobs import PROPAGATION_DELAY


@dataclass
class Page:
    """The page as a person uses it: chosen tool and object, and the gestures so far."""

    session: Session
    gestures: dict[str, int] = field(default_factory=lambda: {"click": 0, "drag": 0, "key": 0})
    tool: str = "box"
    chosen: int | None = None
    frame: int = 0
    changed: bool = False
    """whether the last action changed the shown frame"""

    @property
    def total(self) -> int:
        """Number of gestures."""
        return sum(self.gestures.values())

    def labels(self, frame: int) -> np.ndarray:
        """Return the masks H×W of a frame."""
        return self.session.document.snapshot.labels(frame)

    def choose_tool(self, tool: str) -> None:
        """Choose a tool by its key."""
        if tool != self.tool:
            self.gestures["key"] += 1
        self.tool = tool

    def choose_object(self, object_id: int) -> None:
        """Choose an object by its key."""
        if object_id != self.chosen:
            self.gestures["key"] += 1
        self.chosen = object_id

    def go_to(self, frame: int, object_id: int) -> None:
        """Click on a row of the timeline or of the review, which chooses the object too."""
        self.gestures["click"] += 1
        self.frame, self.chosen = frame, object_id

    def perform(self, action: str, gesture: str, **values: Any) -> Any:
        """Carry out an action by one gesture; return its result, None if it is refused."""
        self.gestures[gesture] += 1
        place = {"frame": self.frame, "object_id": self.chosen}
        fields = MESSAGES[action].__struct_fields__
        message = {"do": action, **{name: place[name] for name in place if name in fields}, **values}
        before = self.labels(self.frame)
        try:
            return run_action(self.session, message)
        except InputError:
            return None
        finally:
            self.changed = not np.array_equal(before, self.labels(self.frame))

    def drag_box(self, mask: np.ndarray, *, new: bool) -> None:
        """Drag a box around a mask; for a new object press N if the page would take it for the chosen one's."""
        self.choose_tool("box")
        ys, xs = np.nonzero(mask)
        left, top = max(0.0, float(xs.min()) - 2), max(0.0, float(ys.min()) - 2)
        width, height = float(xs.max()) + 3 - left, float(ys.max()) + 3 - top
        if not new:
            self.perform("suggest", "drag", box=(left, top, width, height))
            return
        own = self.labels(self.frame) == self.chosen
        inside = own[int(top) : int(top + height), int(left) : int(left + width)].sum()
        if own.any() and inside >= own.sum() / 2:
            self.gestures["key"] += 1
        suggestion = self.perform("suggest", "drag", box=(left, top, width, height), object_id=None)
        self.chosen = None if suggestion is None else suggestion.object_id

    def wait_until_idle(self) -> None:
        """Wait until corrections have propagated and tracking has ended."""
        time.sleep(PROPAGATION_DELAY + 0.1)
        while self.session.runner.busy:
            time.sleep(0.1)
