"""Actions of the page. The parameters of an action are the fields of its message, checked by their types.

``scripts/page_types.py`` writes messages, results and events as TypeScript for the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from aotlab.annotation import editing, regrouping
from aotlab.annotation.description import describe as describe_session
from aotlab.annotation.description import strips as strips_of
from aotlab.annotation.history import Step
from aotlab.annotation.objects import ItemChanges
from aotlab.annotation.planning import Request
from aotlab.annotation.protocol import Description, Direction, JobProgress, ReviewEntry, UndoneStep
from aotlab.annotation.session import Session
from aotlab.masks.painting import LARGEST_RADIUS, outlines
from aotlab.masks.prompt import Prompt
from aotlab.utils.errors import InputError

MAX_POINTS = 20_000
MAX_REVIEW = 500
"""maximum number of frames to check that are sent"""
Coordinate = Annotated[float, Meta(ge=-1e5, le=1e5)]
Point = tuple[Coordinate, Coordinate]
Points = Annotated[list[Point], Meta(min_length=1, max_length=MAX_POINTS)]
Clicks = Annotated[list[Point], Meta(max_length=MAX_POINTS)]
Corners = Annotated[list[Point], Meta(min_length=3, max_length=MAX_POINTS)]
Radius = Annotated[float, Meta(ge=0.5, le=LARGEST_RADIUS)]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]


def act(session: Session, message: dict[str, Any]) -> Any:
    """Carry out the action ``do`` of a message and return its result.

    Raises:
        InputError: unknown action, values of another type, or as the action.
    """
    name = message.get("do")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InputError(f"do {str(name)[:40]!r}: no such action; give one of {', '.join(ACTIONS)}")
    try:
        values = msgspec.structs.asdict(msgspec.convert(message, MESSAGES[name]))
    except (msgspec.ValidationError, OverflowError) as error:
        raise InputError(f"{name}: {str(error).replace('$.', '')}") from error
    if "frame" in values:
        session.state.frames.check(values["frame"])
    if ACTIONS[name] not in EDITS:
        return ACTIONS[name](session, **values)
    propagate = values.pop("propagate")
    session.runner.yield_background()
    result = ACTIONS[name](session, **values)
    if propagate:
        session.runner.propagate(values["frame"])
    return result


def describe(session: Session) -> Description:
    return describe_session(session)


def paint(
    session: Session, frame: int, object_id: int | None, points: Points, radius: Radius, erase: bool = False
) -> int:
    return editing.paint(session.state, frame, object_id, points, radius=radius, erase=erase)


def outline(session: Session, frame: int, object_id: int | None, points: Corners, erase: bool = False) -> int:
    return editing.outline(session.state, frame, object_id, points, erase=erase)


def suggest(
    session: Session,
    frame: int,
    object_id: int | None,
    box: Box | None = None,
    positive: Clicks | None = None,
    negative: Clicks | None = None,
    refine: bool = False,
    extend: bool = False,
) -> int:
    """Make a mask from a box and clicks; with ``refine``, change the mask only near the last click."""
    on, beside = positive or [], negative or []
    known = at = None
    if refine and box is None:
        if object_id is None or bool(on) == bool(beside):
            raise InputError(
                "refine: give an object, and either positive or negative points, the newest last"
            )
        known, at = session.state.labels(frame) == object_id, ((on or beside)[-1], bool(on))
    prompt = Prompt([*on, *beside], [1] * len(on) + [0] * len(beside), box, mask=known)
    return session.suggest(frame, object_id, prompt, extend=extend, at=at)


def preview(session: Session, frame: int, positive: Points) -> list[list[tuple[int, int]]]:
    """Return outlines of the mask that clicks would make."""
    return outlines(session.preview(frame, Prompt(positive)))


def fill_holes(session: Session, frame: int, object_id: int) -> None:
    editing.fill_holes(session.state, frame, object_id)


def clear(session: Session, frame: int, object_id: int) -> None:
    editing.clear(session.state, frame, object_id)


def remove_given(session: Session, frame: int) -> None:
    editing.remove_given(session.state, frame)


def split_object(session: Session, frame: int, object_id: int, point: Point) -> int:
    return regrouping.split_object(session.state, frame, object_id, point).id


def reassign(session: Session, frame: int, object_id: int, point: Point) -> int:
    return regrouping.reassign(session.state, frame, object_id, point)


def add_object(session: Session, name: str | None = None) -> int:
    return editing.add_object(session.state, name).id


def change_object(session: Session, object_id: int, changes: ItemChanges) -> None:
    editing.change_object(session.state, object_id, changes)


def track(
    session: Session,
    frame: int,
    direction: Direction = "forward",
    first: int = 0,
    last: int | None = None,
    object_ids: list[int] | None = None,
) -> JobProgress:
    """Start tracking from ``frame`` over frames ``first`` to ``last``, inclusive; None: to the end, and all objects."""
    return session.track(Request(frame, direction, first, last, object_ids)).report()


def drop_results(
    session: Session, frame: int, last: int | None = None, object_ids: list[int] | None = None
) -> int:
    last = session.state.frames.count - 1 if last is None else last
    return session.drop_results(frame, last, object_ids)


def go_live(session: Session, frame: int) -> JobProgress:
    return session.go_live(frame).report()


def pause(session: Session) -> None:
    session.running_job("pause").pause()


def resume(session: Session) -> None:
    session.running_job("resume").resume()


def stop(session: Session) -> None:
    session.running_job("stop").stop()


def undo(session: Session, step: int | None = None) -> UndoneStep | None:
    """Undo the last step; only if it is ``step``, if given."""
    return _undone(session.undo(step))


def redo(session: Session) -> UndoneStep | None:
    return _undone(session.redo())


def _undone(step: Step | None) -> UndoneStep | None:
    return None if step is None else UndoneStep(step.title, step.frame)


def review(session: Session) -> list[ReviewEntry]:
    return [
        ReviewEntry(check.frame, check.object_id, check.sentence) for check in session.review()[:MAX_REVIEW]
    ]


def strips(session: Session) -> dict[int, str]:
    return strips_of(session.state)


def export(session: Session, names: list[str]) -> str:
    return session.export(names, archive=True).name


def _message(action: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return the type of an action's message: its parameters, and ``propagate`` for an edit."""
    hints = get_type_hints(action, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, parameter in list(signature(action).parameters.items())[1:]:
        required = parameter.default is Parameter.empty
        fields.append((name, hints[name]) if required else (name, hints[name], parameter.default))
    fields += [("propagate", bool, False)] if action in EDITS else []
    return msgspec.defstruct(action.__name__, fields, kw_only=True)


EDITS: Sequence[Callable[..., Any]] = (
    paint, outline, suggest, fill_holes, clear, remove_given, split_object, reassign,
)  # fmt: skip
"""actions that change given masks of a frame; ``propagate``: track the change to the next given mask"""
OTHERS: Sequence[Callable[..., Any]] = (
    describe, preview, add_object, change_object, Session.delete_object, Session.merge_objects, drop_results,
    Session.set_tracker, track, Session.take_frame, go_live, pause, resume, stop, undo, redo, review, strips, export,
    Session.cancel_export,
)  # fmt: skip
ACTIONS = {action.__name__: action for action in (*EDITS, *OTHERS)}
"""actions by name"""
MESSAGES = {name: _message(action) for name, action in ACTIONS.items()}
"""message type of each action"""
