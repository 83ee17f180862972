"""Actions of the page. The fields of a message are the parameters of its action, and are checked by their types.

``scripts/page_types.py`` writes messages, results and events as TypeScript for the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, get_type_hints

import msgspec

from aotlab import InputError
from aotlab_studio.document.document import Document
from aotlab_studio.document.editing import EDITS, EditResult
from aotlab_studio.document.log import Actor
from aotlab_studio.document.review import REVIEW_EDITS, Review
from aotlab_studio.session.session import Session
from aotlab_studio.utils.video import require_frame

Targets = dict[str, int | None]
"""Object id by the name that a page gives to an object that may not exist yet; None: a new object."""


def run_on_target(session: Session, message: dict[str, Any], actor: Actor, targets: Targets) -> Any:
    """Carry out an action as `run_action` does, on the object that the message names as its ``target``.

    The first message with this name creates the object. After it is merged, messages are for the other object; after it
    is deleted, the next message creates a new object.
    """
    target = str(message.pop("target", ""))
    if target in targets and "object_id" in message:
        message["object_id"] = targets[target]
    result = run_action(session, message, actor)
    if target and message["do"] in ("delete_object", "merge_objects"):
        targets[target] = message.get("into")
    elif target and isinstance(result, EditResult) and message.get("object_id") is None:
        targets[target] = result.object_id
    return result


def run_action(session: Session, message: dict[str, Any], actor: Actor | None = None) -> Any:
    """Carry out the action ``do`` of a message; return its result. A message id that was used is not carried out again.

    Raises `InputError` for an unknown action or field, or a value of another type.
    """
    name = message.get("do")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InputError(f"do {str(name)[:40]!r}: no such action; give one of {', '.join(ACTIONS)}")
    try:
        fields = {key: value for key, value in message.items() if key not in ("id", "do")}
        if message.get("object_id", 0) is None and name in OBJECT_ACTIONS:
            raise InputError("Select an object first.")
        values = msgspec.structs.asdict(msgspec.convert(fields, MESSAGES[name]))
    except (msgspec.ValidationError, OverflowError) as error:
        raise InputError(f"{name}: {str(error).replace('$.', '')}") from error
    if values.get("frame") is not None:
        require_frame(values["frame"], session.document.frames.count)
    action, document = ACTIONS[name], session.document
    view, before = session if actor is None else session.with_actor(actor), document.log.head
    with view.document.claim_message() as step:
        if step is None:
            result = action(_find_owner(action, view), **values)
        elif step and signature(action, eval_str=True).return_annotation is EditResult:
            object_id = next(iter(document.log.steps[step].changes.objects), values.get("object_id", 0))
            result = EditResult(object_id)  # losses are not stored
        else:
            result = None
    if document.log.head != before:
        session.runner.schedule()
    return result


def _find_owner(action: Callable[..., Any], session: Session) -> Session | Document | Review:
    """Return the first argument of an action."""
    if action in REVIEW_ACTIONS:
        return session.document.review
    return session.document if action in DOCUMENT_ACTIONS else session


def _make_message_type(action: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return the type of an action's message: its parameters."""
    fields: list[Any] = [
        (item.name, item.annotation, *([] if item.default is item.empty else [item.default]))
        for item in list(signature(action, eval_str=True).parameters.values())[1:]
    ]
    return msgspec.defstruct(action.__name__, fields, kw_only=True, forbid_unknown_fields=True)


DOCUMENT_ACTIONS: Sequence[Callable[..., Any]] = (
    *EDITS, Document.timeline, Document.list_versions, Document.save_version, Document.undo, Document.redo,
)  # fmt: skip
REVIEW_ACTIONS: Sequence[Callable[..., Any]] = (*REVIEW_EDITS, Review.list_history)
SESSION_ACTIONS: Sequence[Callable[..., Any]] = (
    Session.describe, Session.suggest, Session.preview, Session.set_model, Session.track, Session.pause, Session.resume,
    Session.stop, Session.review, Session.export, Session.cancel_export, Session.set_status,
)  # fmt: skip
ACTIONS = {action.__name__: action for action in (*DOCUMENT_ACTIONS, *REVIEW_ACTIONS, *SESSION_ACTIONS)}
MESSAGES = {name: _make_message_type(action) for name, action in ACTIONS.items()}
OBJECT_ACTIONS = {name for name, action in ACTIONS.items() if get_type_hints(action).get("object_id") is int}
"""Actions on an object that must exist."""
