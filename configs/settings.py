"""Base class of settings: checked however they are made, with errors of one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from typing_extensions import Self

from aotlab.utils.errors import InputError, describe_wrong_choice
from aotlab.utils.files import require_file_name

Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
"""Text; integers become text, as YAML reads digits as a number."""
FileName = Annotated[Text, AfterValidator(lambda name: require_file_name(name, ""))]
EXPECTED = {
    "bool_type": "true or false", "int_type": "an integer", "float_type": "a number", "string_type": "text",
    "list_type": "a list", "dict_type": "a mapping (key: value)", "model_type": "settings (key: value)",
}  # fmt: skip
"""Words for a value of another type, by pydantic's type of the error."""
ORDER = {"extra_forbidden": 0, "invalid_key": 0, "missing": 1}
"""Types of errors that are told first."""


class Settings(BaseModel):
    """Frozen settings. The string under a field is its help text.

    Validators raise `ValueError` with words that follow the path of the setting ("must be odd, got 8"), or an
    `InputError` that names it.

    Raises:
        InputError: unknown key (names the nearest valid one), missing or wrong value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
    section: ClassVar[str] = ""
    """Section of `Config` that has these settings, for paths in messages."""

    if not TYPE_CHECKING:  # type checkers read the arguments from the fields

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as errors:
                first = min(errors.errors(), key=lambda error: ORDER.get(error["type"], 2))
                raise _describe(first, type(self), values) from None
            except UnicodeEncodeError as error:  # pydantic cannot carry a message with a lone surrogate
                raise InputError(error.object) from None

        __init__.__pydantic_base_init__ = True  # pydantic builds nested settings without it, so that paths are whole

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Self:
        """Return the settings of a mapping."""
        return cls(**dict(obj))

    @classmethod
    def nested(cls, values: Mapping[str, Any]) -> dict[str, type[Settings]]:
        """Return the class of each field of settings, or of its items; ``values``: unchecked values of all fields."""
        return {
            name: part
            for name, field in cls.model_fields.items()
            for part in (field.annotation, *get_args(field.annotation))
            if hasattr(part, "model_fields")
        }


SettingsT = TypeVar("SettingsT", bound=Settings)


def changed(settings: SettingsT, **values: Any) -> SettingsT:
    """Return a checked copy with other values; a mapping changes a part of nested settings: ``memory={"every": 2}``.

    Raises:
        InputError: see `Settings`.
    """
    copy = {name: getattr(settings, name) for name in type(settings).model_fields}
    for name, value in values.items():
        is_part = isinstance(value, Mapping) and isinstance(copy.get(name), Settings)
        copy[name] = changed(copy[name], **value) if is_part else value
    return type(settings)(**copy)


def _describe(error: Any, kind: type[Settings], values: Any) -> InputError:
    """Return one of pydantic's errors about the values of a class as an `InputError`."""
    value, steps = error["input"], [kind.section, *error["loc"]] if kind.section else error["loc"]
    path = ".".join(map(str, steps))
    match error["type"]:
        case "extra_forbidden" | "invalid_key":
            return _describe_unknown_key(path, error["loc"], kind, values)
        case "missing":
            return InputError(f"{path} is missing")
        case "literal_error":
            choices = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            return InputError(f"{path} {describe_wrong_choice(value, choices)}")
        case "value_error":
            cause: Exception = error["ctx"]["error"]
            if not isinstance(cause, InputError):
                return InputError(f"{path} {cause}".strip())
            if path and not cause.subject and not str(cause).startswith(path):
                cause.add_subject(path)
            return cause
    expected = error["ctx"]["class_name"] if isinstance(value, Settings) else EXPECTED.get(error["type"])
    problem = f" must be {expected}" if expected else f": {error['msg']}"
    return InputError(f"{path or 'settings'}{problem}, got {value!r:.80}")


def _describe_unknown_key(path: str, loc: Sequence[str | int], kind: type[Settings], values: Any) -> InputError:
    """Return the error about a key that settings do not have, with the most similar one below the same section."""
    for step in loc[:-1]:
        kind, values = kind.nested(values).get(str(step), kind), values[step]
    paths = _list_paths(kind, path.removesuffix(str(loc[-1])), values)
    similar = difflib.get_close_matches(str(loc[-1]), paths, n=1)
    remedy = f"did you mean {paths[similar[0]]}?" if similar else f"valid keys are {', '.join(kind.model_fields)}"
    return InputError(f"unknown key {path}", remedy=remedy)


def _list_paths(kind: type[Settings], prefix: str, values: Any) -> dict[str, str]:
    """Return the paths of all settings of a class with the given values by name; for lists, those of the first item."""
    values = values if isinstance(values, Mapping) else {}
    paths: dict[str, str] = {}
    for name, part in kind.nested(values).items():
        item = "0." if get_origin(kind.model_fields[name].annotation) is list else ""
        paths |= _list_paths(part, f"{prefix}{name}.{item}", values.get(name))
    return paths | {name: f"{prefix}{name}" for name in kind.model_fields}
