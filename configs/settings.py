"""Base class of settings, and the sentence about a tree of values that is not settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

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

    Validators raise `ValueError` with words that follow the path of their setting: "must be odd, got 8". The words of a
    section's validator begin with a setting: "depth must be 1 to 3, got 4".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @classmethod
    def nested(cls, values: Mapping[str, Any]) -> dict[str, type[Settings]]:
        """Return the class of each field of settings, or of its items; ``values``: unchecked values of all fields."""
        return {
            name: part
            for name, field in cls.model_fields.items()
            for part in (field.annotation, *get_args(field.annotation))
            if hasattr(part, "nested")
        }

    def replace(self, **values: Any) -> Self:
        """Return a checked copy with other values; ``memory={"every": 2}`` changes a part of nested settings.

        Raises:
            ValidationError: pydantic's, as in calls of the class.
        """
        copy = dict(self)
        for name, value in values.items():
            part = copy.get(name)
            copy[name] = {**dict(part), **value} if isinstance(part, Settings) and isinstance(value, Mapping) else value
        return type(self)(**copy)


SettingsT = TypeVar("SettingsT", bound=Settings)


def build(schema: type[SettingsT], tree: Mapping[str, Any]) -> SettingsT:
    """Return the settings of a tree of values, as files, command lines and arguments of public functions have it.

    Raises:
        InputError: an unknown key (names the nearest valid one), a missing or a wrong value.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as errors:
        first = min(errors.errors(), key=lambda error: ORDER.get(error["type"], 2))
        raise _describe(first, schema, tree) from None
    except UnicodeEncodeError as error:  # pydantic cannot carry a message with a lone surrogate
        raise InputError(error.object) from None


def _describe(error: Any, kind: type[Settings], values: Any) -> InputError:
    """Return one of pydantic's errors about the values of a class as an `InputError`."""
    value, (*parents, name) = error["input"], error["loc"] or ("",)
    path = ".".join(map(str, error["loc"]))
    for step in parents:
        kind = kind.nested(_index(values)).get(str(step), kind)
        values = _index(values).get(step)
    fields = kind.model_fields
    match error["type"]:
        case "extra_forbidden" | "invalid_key":
            paths = _list_paths(kind, path.removesuffix(str(name)), values)
            similar = difflib.get_close_matches(str(name), paths, n=1)
            remedy = f"did you mean {paths[similar[0]]}?" if similar else f"valid keys are {', '.join(fields)}"
            return InputError(f"unknown key {path}", remedy=remedy)
        case "missing":
            return InputError(f"{path} is missing")
        case "literal_error" if name in fields:
            return InputError(f"{path} {describe_wrong_choice(value, _list_choices(fields[name].annotation))}")
        case "value_error":
            cause: Exception = error["ctx"]["error"]
            if not isinstance(cause, InputError):
                is_section = isinstance(value, Mapping) and name in kind.nested(_index(values))
                return InputError(f"{path}{'.' if is_section else ' '}{cause}".strip())
            if not cause.subject:
                cause.add_subject(path)
            return cause
    expected = error["ctx"]["class_name"] if isinstance(value, Settings) else EXPECTED.get(error["type"])
    problem = f" must be {expected}" if expected else f": {error['msg']}"
    return InputError(f"{path or 'settings'}{problem}, got {value!r:.80}")


def _index(values: Any) -> Mapping[Any, Any]:
    """Return unchecked values by key or index; empty for others than mappings and lists."""
    return values if isinstance(values, Mapping) else dict(enumerate(values)) if isinstance(values, list) else {}


def _list_paths(kind: type[Settings], prefix: str, values: Any) -> dict[str, str]:
    """Return the paths of all settings of a class with the given values by name; for lists, those of the first item."""
    values, paths = _index(values), dict[str, str]()
    for name, part in kind.nested(values).items():
        item = "0." if get_origin(kind.model_fields[name].annotation) is list else ""
        paths |= _list_paths(part, f"{prefix}{name}.{item}", values.get(name))
    return paths | {name: f"{prefix}{name}" for name in kind.model_fields}


def _list_choices(annotation: Any) -> list[Any]:
    """Return the values of the `Literal` types in an annotation."""
    is_literal, parts = get_origin(annotation) is Literal, get_args(annotation)
    return [choice for part in parts for choice in ([part] if is_literal else _list_choices(part))]
