"""Values in JSON of other programs as pydantic types: null is an empty text or list, text may hold a number."""

from collections.abc import Hashable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

T = TypeVar("T")


def parse_integer(value: object) -> object:
    """Return the integer of a text or float, as some programs write ids and sizes; any other value unchanged."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 19:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parse_text(value: object) -> str:
    if isinstance(value, list | dict):
        raise ValueError("should be text")
    return "" if value is None else str(value)


Text = Annotated[str, PlainValidator(_parse_text)]
Id = Annotated[Hashable, AfterValidator(parse_integer)]
"""Key of a record: an integer, also of text, or any other value but a list."""
Reference = Annotated[Any, AfterValidator(parse_integer)]
"""Number or key that a record may have; an integer, also of text, or any other value."""
Number = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[Number, Number]
JsonBox = tuple[Number, Number, Number, Number]
"""Left, top, width, height."""
Items = Annotated[list[T], BeforeValidator(lambda value: value or [])]
Fields = Annotated[dict[str, Any], BeforeValidator(lambda value: value or {})]
