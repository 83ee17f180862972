"""Actions of the page. The fields of a message are the parameters of its action, and are checked by their types.

``scripts/page_types.py`` writes messages, results and events as TypeScript for the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any, get_type_hints

import msgspec

from aotlab import InputError
from aotlab_studio.document.document import Document
from aotlab_studio.document.editing import EDITS, EditResult
from aotlab_studio.document.log import NO_ORIGIN, Origin
from aotlab_studio.session.session import Session
from aotlab_studio.utils.video import require_frame

Targets = dict[str, int | None]
"""Object id by the name that a page gives to an object that may not exist yet; None: a new object."""


def run_on_target(session: Session, message: dict[str, Any], origin: Origin, targets: Targets) -> Any:
    """Carry out an action as `run_action` does, on the object that the message names as its ``target``.

    The first message with this name creates the object. After it is merged, messages are for the other object; after it
    is deleted, the next message creates a new object.
    """
    target = str(message.pop("target", ""))
    if target in targets and "object_id" in message:
        message["object_id"] = targets[target]
    result = run_action(session, message, origin)
    if target and message["do"] in ("delete_object", "merge_objects"):
        targets[target] = message.get("into")
    elif target and isinstance(result, EditResult) and message.get("object_id") is None:
        targets[target] = result.object_id
    return result


def run_action(session: Session, message: dict[str, Any], origin: Origin = NO_ORIGIN) -> Any:
    """Carry out the action ``do`` of a message; return its result. A message id that was used is not carried out again.

    Raises `InputError` for an unknown action or field, or a value of another type.
    """
    name = message.get("do")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InputError(f"do {str(name)[:40]!r}: no such action; give one of {', '.join(ACTIONS)}")
    action = ACTIONS[name]
    document = session.document
    values = action.read_fields({key: value for key, value in message.items() if key not in ("id", "do")})
    if values.get("frame") is not None:
        require_frame(values["frame"], document.frames.count)
    before = document.log.head
    with document.once_per_message(origin) as step:
        if step is None:
            result = action.run(action.get_owner(session), **values)
        else:
            stored = document.log.steps[step].result if step else None
            result = None if stored is None else msgspec.convert(stored, action.result_type, str_keys=True)
    if document.log.head != before:
        session.runner.schedule()
    return result


@dataclass(frozen=True)
class Action:
    """A function that the page can call. The fields of its message are the parameters after the first one."""

    run: Callable[..., Any]
    get_owner: Callable[[Session], Document | Session]
    """Function that returns the first argument."""

    @cached_property
    def message_type(self) -> type[msgspec.Struct]:
        fields: list[Any] = [
            (item.name, item.annotation, *([] if item.default is item.empty else [item.default]))
            for item in list(signature(self.run, eval_str=True).parameters.values())[1:]
        ]
        return msgspec.defstruct(self.run.__name__, fields, kw_only=True, forbid_unknown_fields=True)

    @cached_property
    def result_type(self) -> Any:
        return get_type_hints(self.run)["return"]

    def read_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments in a message; raise `InputError` for an unknown field, or a value of another type."""
        if fields.get("object_id", 0) is None and get_type_hints(self.run).get("object_id") is int:
            raise InputError("Select an object first.")
        try:
            return msgspec.structs.asdict(msgspec.convert(fields, self.message_type))
        except (msgspec.ValidationError, OverflowError) as error:
            raise InputError(f"{self.run.__name__}: {str(error).replace('$.', '')}") from error


def _list_actions(
    get_owner: Callable[[Session], Document | Session], *functions: Callable[..., Any]
) -> dict[str, Action]:
    """Return actions by name."""
    return {function.__name__: Action(function, get_owner) for function in functions}


ACTIONS = {
    **_list_actions(
        lambda session: session.document,
        *EDITS, Document.timeline, Document.list_versions, Document.save_version, Document.undo, Document.redo,
        Document.set_done,
    ),
    **_list_actions(
        lambda session: session,
        Session.describe, Session.segment, Session.preview, Session.preview_shape,
        Session.set_model, Session.set_segmenter, Session.track, Session.pause,
        Session.resume, Session.stop, Session.list_frames_to_check, Session.export, Session.cancel_export,
    ),
}  # fmt: skip
"""All actions by name."""
