"""Actions of the page. The parameters of an action are the fields of its message, checked by their types.

``scripts/page_types.py`` writes messages, results and events as TypeScript for the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Any, get_type_hints

import msgspec

from aotlab import InputError
from aotlab_studio import editing
from aotlab_studio.description import describe, strips
from aotlab_studio.planning import Request
from aotlab_studio.protocol import Direction, JobProgress
from aotlab_studio.session import Session


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
    action = ACTIONS[name]
    subject = session.state if "state" in signature(action).parameters else session
    propagate = values.pop("propagate", False)
    if action in EDITS:
        session.runner.yield_background()
    elif action in WHEN_IDLE:
        session.runner.require_idle(name.replace("_", " "))
    result = action(subject, **values)
    if propagate:
        session.runner.propagate(values["frame"])
    return result


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


def go_live(session: Session, frame: int) -> JobProgress:
    """Track the stream from now on."""
    return session.go_live(frame).report()


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
    editing.paint, editing.outline, Session.suggest, editing.fill_holes, editing.clear, editing.remove_keyframe,
    editing.split_object, editing.reassign,
)  # fmt: skip
"""actions that change given masks of a frame; ``propagate``: track the change to the next given mask"""
WHEN_IDLE: Sequence[Callable[..., Any]] = (editing.delete_object, editing.merge_objects, editing.drop_results)
"""actions that are refused while a job runs"""
OTHERS: Sequence[Callable[..., Any]] = (
    describe, Session.preview, editing.add_object, editing.change_object, Session.set_tracker, track,
    Session.take_frame, go_live, Session.pause, Session.resume, Session.stop, Session.undo, Session.redo,
    Session.review, strips, Session.export, Session.cancel_export,
)  # fmt: skip
ACTIONS = {action.__name__: action for action in (*EDITS, *WHEN_IDLE, *OTHERS)}
"""actions by name; the first parameter of each is the session or its state"""
MESSAGES = {name: _message(action) for name, action in ACTIONS.items()}
"""message type of each action"""
