"""Options, and types of their values: numbers in a range, lists, sizes, devices, files, models."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click

from aotlab.configs.files import find_config
from aotlab.utils.errors import describe_wrong_choice
from aotlab.utils.numbers import COUNT, MAX_SIDE, POSITIVE, POSITIVE_COUNT, Range


class ParsedType(click.ParamType):
    """Type of values that a function reads from text; it raises `ValueError` with the problem."""

    def __init__(self, read: Callable[[str], Any], name: str = "TEXT") -> None:
        """``name``: shown in the help, in capitals, instead of the value."""
        self.read, self.name = read, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of text; defaults that are not text are returned unchanged."""
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def number_type(allowed: Range) -> ParsedType:
    """Return the type of numbers in a range."""
    return ParsedType(partial(parse_number, allowed=allowed), "N")


class FileName(ParsedType):
    """Type of files, which shells complete."""

    shell_complete = click.File.shell_complete


class Choice(click.Choice[str]):
    """Type of names, whose errors suggest the most similar one."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the message about a value that is not one of the names."""
        return describe_wrong_choice(value, self.choices)


class FolderPath(click.Path[Path]):
    """Type of folders."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(exists=exists, file_okay=False, path_type=Path)
        self.name = "folder"  # the word of the help and of messages, as in all other texts

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; fail for an empty text, which would be the working directory."""
        if value == "":
            self.fail("empty; give a folder", param, ctx)
        return super().convert(value, param, ctx)


def parse_list(text: str, read: Callable[[str], Any]) -> list[Any]:
    """Return comma-separated values; raise `ValueError` for an empty list, or as ``read`` does."""
    values = [read(part.strip()) for part in text.split(",") if part.strip()]
    if not values:
        raise ValueError("expected values separated by commas")
    return values


def parse_number(text: str, allowed: Range) -> float:
    """Parse a number, an int if the range holds only integers; raises `ValueError` if it is not in the range."""
    try:
        value = int(text) if allowed.step else float(text)
    except ValueError:
        value = math.nan
    if value not in allowed:
        kind = "finite and " if value == allowed.high == math.inf else ""
        kind = "a whole number, " if allowed.step else kind
        raise ValueError(f"must be {kind}{allowed}, got {text[:40]}")
    return value


def parse_size(text: str) -> tuple[int, int]:
    """Parse (width, height) from text such as "854x480"; raises `ValueError` unless they are integers above 0."""
    match = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None or not all(1 <= int(side) <= MAX_SIDE for side in match.groups()):
        raise ValueError(f"{text[:40]}: expected WIDTHxHEIGHT of at most {MAX_SIDE}, for example 854x480")
    return int(match[1]), int(match[2])


def parse_bytes(text: str) -> int:
    """Parse bytes from text such as "2GB", "512MB" or "1.5GiB"; raises `ValueError` for any other, or less than one."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]+)?) *(?:([KMGT])(I?))?B", text.strip().upper())
    power = "KMGT".index(match[2]) + 1 if match and match[2] else 0
    count = int(float(match[1]) * (1024 if match[3] else 1000) ** power) if match else 0
    if count < 1:
        raise ValueError(f"{text}: expected bytes with their unit, for example 2GB or 512MB")
    return count


def parse_device(text: str) -> str:
    """Return the name of a device; raise `ValueError` for any other text. PyTorch decides whether it is usable."""
    if not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", text, re.ASCII):
        raise ValueError(f"{text[:40]}: no such device; give auto, cpu, cuda, cuda:N or mps")
    return text


def parse_checkpoint(text: str) -> Path:
    """Return the file of a path, hf://owner/repository, or name of published weights, fetched on first use."""
    from aotlab.networks.weights.zoo import resolve_checkpoint

    return resolve_checkpoint(text)


def parse_tracker(text: str) -> str | Path:
    """Return the name of a plug-in's tracker, or the file of `parse_checkpoint`."""
    from aotlab.utils.plugins import find_tracker_plugin

    return text if find_tracker_plugin(text) is not None else parse_checkpoint(text)


def parse_config(text: str) -> str:
    """Return the name of a preset or YAML file; raise `InputError` if it does not exist."""
    find_config(text)
    return text


PositiveInt = number_type(POSITIVE_COUNT)
NonNegativeInt = number_type(COUNT)
PositiveFloat = number_type(POSITIVE)
Scale = number_type(Range(0, 16, exclusive_low=True))
Bytes = ParsedType(parse_bytes, "SIZE")
"""Type of sizes such as 2GB; the value is a number of bytes."""
Port = number_type(Range(0, 65535, step=1))
Size = ParsedType(parse_size, "SIZE")
Device = ParsedType(parse_device, "NAME")
Checkpoint = FileName(parse_checkpoint, "FILE|NAME")
TrackerName = FileName(parse_tracker, "FILE|NAME")
ConfigFile = FileName(parse_config, "NAME")
File = click.Path(dir_okay=False, path_type=Path)
Folder = FolderPath()
ExistingFolder = FolderPath(exists=True)
ExistingPath = click.Path(exists=True, path_type=Path)


def option(*names: str, help: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return `click.option`, with the default in the help."""
    default = attributes.get("default")
    if default not in (None, "") and "(default" not in help:
        help = f"{help} (default: {default})"
    return click.option(*names, help=help, **attributes)


def flag(name: str, help: str) -> Callable[[Any], Any]:
    """Return an option without a value."""
    return click.option(name, is_flag=True, help=help)


def list_option(
    name: str, help: str, read: Callable[[str], Any] = str, *, field: str | None = None
) -> Callable[[Any], Any]:
    """Return an option of comma-separated values that is repeatable; its value is one tuple, named ``field``."""
    return option(
        *filter(None, (name, field)),
        metavar="LIST",
        multiple=True,
        type=ParsedType(partial(parse_list, read=read)),
        callback=lambda ctx, param, lists: tuple(chain.from_iterable(lists)),
        help=help,
    )
