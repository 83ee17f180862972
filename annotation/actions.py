"""The requests of a page: messages as JSON has them, checked and turned into calls of the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aotlab.annotation import editing, regrouping
from aotlab.annotation.description import describe
from aotlab.annotation.history import Step
from aotlab.annotation.planning import Request
from aotlab.annotation.session import Session
from aotlab.annotation.state import require_frame
from aotlab.annotation.timeline import strips
from aotlab.masks.painting import Point, checked_points, outlines
from aotlab.masks.prompt import Box, Prompt
from aotlab.utils.errors import InputError

Message = dict[str, Any]


def act(session: Session, message: Message) -> Any:
    """Carry out the request of a message; returns what JSON can hold.

    Raises:
        InputError: an unknown action, a missing or unusable value, or what the action raises.
    """
    name = message.get("do")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InputError(f"do {str(name)[:40]!r}: no such action; give one of {', '.join(ACTIONS)}")
    if name not in DRAWING:
        return ACTIONS[name](session, message)
    session.runner.yield_background()
    result = ACTIONS[name](session, message)
    if _value(message, "propagate", bool, False):
        session.runner.propagate(_frame(session, message))
    return result


def _value(message: Message, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """A value of a message; raises `InputError` where it is of another kind. Without a default it must be there."""
    value = message.get(key, default)
    wrong_bool = isinstance(value, bool) and kind is not bool
    if value is None and default is None and key in message:
        wrong_bool = True
    if wrong_bool or not isinstance(value, kind):
        raise InputError(f"{key} {str(value)[:40]!r}: missing, or not what is expected here")
    return value


def _frame(session: Session, message: Message, key: str = "frame") -> int:
    return require_frame(message.get(key), session.state.frames)


def _object(message: Message, key: str = "object_id") -> int:
    object_id: int = _value(message, key, int)
    return object_id


def _object_or_new(message: Message) -> int | None:
    """The object of a message; None: a new one."""
    return None if message.get("object_id", 0) is None else _object(message)


def _erase(message: Message) -> bool:
    return bool(_value(message, "erase", bool, False))


def _paint(session: Session, message: Message) -> int:
    radius = float(_value(message, "radius", (int, float)))
    points = checked_points(message.get("points"))
    frame, object_id = _frame(session, message), _object_or_new(message)
    return editing.paint(session.state, frame, object_id, points, radius=radius, erase=_erase(message))


def _outline(session: Session, message: Message) -> int:
    points = checked_points(message.get("points"), least=3)
    frame, object_id = _frame(session, message), _object_or_new(message)
    return editing.outline(session.state, frame, object_id, points, erase=_erase(message))


def _suggest(session: Session, message: Message) -> int:
    box = message.get("box")
    if box is not None:
        (x, y), (width, height) = checked_points(
            [box[:2], box[2:]] if isinstance(box, list) else None, least=2
        )
        box = (x, y, width, height)
    positive, negative = (
        checked_points(message[key]) if message.get(key) else [] for key in ("positive", "negative")
    )
    frame, object_id = _frame(session, message), _object_or_new(message)
    if bool(_value(message, "refine", bool, False)) and box is None:
        return _refine(session, frame, _object(message), positive, negative)
    extend = bool(_value(message, "extend", bool, False))
    return session.suggest(frame, object_id, prompt_of(positive, negative, box), extend=extend)


def _refine(
    session: Session, frame: int, object_id: int, positive: list[Point], negative: list[Point]
) -> int:
    """Change the object's mask near a click, which is the last of either list."""
    if bool(positive) == bool(negative):
        raise InputError("refine: give either positive or negative points, the newest last")
    known = session.state.labels(frame) == object_id
    at = (positive or negative)[-1], bool(positive)
    return session.suggest(frame, object_id, prompt_of(positive, negative, known=known), at=at)


def prompt_of(
    positive: list[Point], negative: list[Point], box: Box | None = None, known: np.ndarray | None = None
) -> Prompt:
    """Return clicks on and beside an object, a box and a known mask H×W bool as one prompt."""
    return Prompt([*positive, *negative], [1] * len(positive) + [0] * len(negative), box, mask=known)


def _preview(session: Session, message: Message) -> list[list[list[int]]]:
    """Outlines of what clicks on an object would find."""
    prompt = Prompt(checked_points(message.get("positive")))
    return outlines(session.preview(_frame(session, message), prompt))


def _fill_holes(session: Session, message: Message) -> None:
    editing.fill_holes(session.state, _frame(session, message), _object(message))


def _clear(session: Session, message: Message) -> None:
    editing.clear(session.state, _frame(session, message), _object(message))


def _remove_given(session: Session, message: Message) -> None:
    editing.remove_given(session.state, _frame(session, message))


def _add_object(session: Session, message: Message) -> int:
    return editing.add_object(session.state, message.get("name")).id


def _change_object(session: Session, message: Message) -> None:
    editing.change_object(session.state, _object(message), _value(message, "changes", dict))


def _delete_object(session: Session, message: Message) -> None:
    session.delete_object(_object(message))


def _merge_objects(session: Session, message: Message) -> None:
    session.merge_objects(_object(message), _object(message, "into"))


def _split_object(session: Session, message: Message) -> int:
    (point,) = checked_points([message.get("point")])
    return regrouping.split_object(session.state, _frame(session, message), _object(message), point).id


def _reassign(session: Session, message: Message) -> int:
    (point,) = checked_points([message.get("point")])
    return regrouping.reassign(session.state, _frame(session, message), _object(message), point)


def _object_ids(message: Message) -> tuple[int, ...] | None:
    """The objects that a message lists; None: all."""
    if message.get("object_ids") is None:
        return None
    listed = _value(message, "object_ids", list)
    return tuple(_value({"object_ids": object_id}, "object_ids", int) for object_id in listed)


def _track(session: Session, message: Message) -> Message:
    request = Request(
        _frame(session, message),
        _value(message, "direction", str, "forward"),
        _frame(session, message, "first") if "first" in message else 0,
        _frame(session, message, "last") if "last" in message else None,
        _object_ids(message),
    )
    return session.track(request).report()


def _drop_results(session: Session, message: Message) -> int:
    first = _frame(session, message)
    last = _frame(session, message, "last") if "last" in message else session.state.frames.count - 1
    return session.drop_results(first, last, _object_ids(message))


def _set_tracker(session: Session, message: Message) -> None:
    session.choose(_value(message, "changes", dict))


def _take_frame(session: Session, message: Message) -> int:
    return session.take_frame()


def _go_live(session: Session, message: Message) -> Message:
    return session.go_live(_frame(session, message)).report()


def _job(method: str) -> Callable[[Session, Message], None]:
    def call(session: Session, message: Message) -> None:
        if session.job is None or not session.job.alive:
            raise InputError(f"{method}: nothing is being tracked")
        getattr(session.job, method)()

    return call


def _undo(session: Session, message: Message) -> Message | None:
    step = None if message.get("step") is None else _value(message, "step", int)
    return _told(session.undo(step))


def _redo(session: Session, message: Message) -> Message | None:
    return _told(session.redo())


def _told(step: Step | None) -> Message | None:
    return None if step is None else {"title": step.title, "frame": step.frame}


def _review(session: Session, message: Message) -> list[Message]:
    return [
        {"frame": check.frame, "object_id": check.number, "sentence": check.sentence}
        for check in session.review()[:500]
    ]


def _strips(session: Session, message: Message) -> dict[str, str]:
    return {str(object_id): row for object_id, row in strips(session.state).items()}


def _export(session: Session, message: Message) -> str:
    names = _value(message, "names", list)
    if not all(isinstance(name, str) for name in names):
        raise InputError("names: expected a list of names")
    return session.export(names, archive=True).name


def _cancel_export(session: Session, message: Message) -> None:
    session.cancel_export()


def _describe(session: Session, message: Message) -> Message:
    return describe(session)


ACTIONS: dict[str, Callable[[Session, Message], Any]] = {
    "describe": _describe,
    "paint": _paint,
    "outline": _outline,
    "suggest": _suggest,
    "preview": _preview,
    "fill_holes": _fill_holes,
    "clear": _clear,
    "remove_given": _remove_given,
    "add_object": _add_object,
    "change_object": _change_object,
    "delete_object": _delete_object,
    "merge_objects": _merge_objects,
    "split_object": _split_object,
    "reassign": _reassign,
    "drop_results": _drop_results,
    "set_tracker": _set_tracker,
    "track": _track,
    "take_frame": _take_frame,
    "go_live": _go_live,
    "pause": _job("pause"),
    "resume": _job("resume"),
    "stop": _job("stop"),
    "undo": _undo,
    "redo": _redo,
    "review": _review,
    "strips": _strips,
    "export": _export,
    "cancel_export": _cancel_export,
}
"""The requests that a message may name"""
DRAWING = (
    "paint", "outline", "suggest", "fill_holes", "clear", "remove_given", "split_object", "reassign",
)  # fmt: skip
"""Requests that change given masks of a frame, which may propagate"""
