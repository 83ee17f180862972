"""Parser, error messages and exit codes of commands."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from aotlab.tools.cli.surroundings import PIPE_CLOSED, OutputLost, surroundings
from aotlab.utils.environment import enable_fallback, keep_freed_memory, set_waiting
from aotlab.utils.errors import (
    MEMORY_ADVICE,
    InputError,
    RankError,
    RunStopped,
    fault_sentence,
    missing_extra,
    out_of_memory,
)

Main = Callable[..., int]
Options = argparse._ActionsContainer
"""a parser, or a group of its options"""

INTERRUPTED = 130
"""exit status after Ctrl-C, as in shells"""
FAULT = 70
"""exit status of an internal error, ``EX_SOFTWARE`` of sysexits.h"""
EXIT_CODES = {
    "0": "done",
    "1": "done, but something failed or fell short",
    "2": "bad input",
    "70": "internal error in aotlab",
    "128 + n": "stopped by signal n",
}
"""meaning of the exit codes of every command"""
LONGEST = 1000
"""largest length of a shown message"""
SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*=.*", re.DOTALL | re.IGNORECASE)
"""pattern of settings, such as memory.every=2"""


class Help(argparse.HelpFormatter):
    """Help with defaults in one notation: ``(default: 30)``."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.default not in (None, False, "", argparse.SUPPRESS) and action.default != []
        if not shown or action.nargs == 0 or "(default" in (action.help or ""):
            return action.help
        value = action.default
        text = " ".join(map(str, value)) if isinstance(value, list) else "%(default)s"
        return f"{action.help} (default: {text})"


class Parser(argparse.ArgumentParser):
    """Argument parser that raises `InputError`.

    Settings (``overrides``) may be anywhere on the command line, also after an option with several values.
    """

    def __init__(self, tool: str, description: str, *, epilog: str | None = None) -> None:
        """``tool``: name of the command after ``aotlab``."""
        name = tool.replace("_", "-")
        super().__init__(prog=f"aotlab {name}", description=description, epilog=epilog, formatter_class=Help)

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Parse options, positional arguments and settings in any order."""
        arguments, settings = self._split(sys.argv[1:] if args is None else args)
        parsed = self.parse_intermixed_args(arguments, namespace)
        if settings:
            parsed.overrides = [*parsed.overrides, *settings]
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise `InputError`."""
        raise InputError(f"{message}; see {self.prog} --help")

    def _split(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """Split into arguments and settings; the value of an option with one value is an argument."""
        if not any(action.dest == "overrides" for action in self._actions):
            return list(arguments), []
        single = {
            option
            for action in self._actions
            for option in action.option_strings
            if action.nargs is None or (isinstance(action.nargs, int) and action.nargs > 0)
        }
        others: list[str] = []
        settings: list[str] = []
        for argument in arguments:
            free = not others or others[-1] not in single
            is_setting = free and SETTING.fullmatch(argument) and not os.path.exists(argument)
            (settings if is_setting else others).append(argument)
        return others, settings


def option(
    to: Options,
    name: str,
    text: str,
    *,
    type: Callable[[str], Any] | None = None,
    default: Any = None,
    nargs: str | int | None = None,
    choices: Iterable[Any] | None = None,
    action: str | None = None,
    dest: str | None = None,
    required: bool = False,
) -> None:
    """Add an option or argument as its help shows it: ``--json FILE``, ``data DIR``, or the switch ``--force``.

    Values called FILE or DIR are paths. The other parameters are those of ``add_argument``; ``text`` is its help.
    """
    name, _, value = name.partition(" ")
    metavar = tuple(value.split()) if isinstance(nargs, int) else value or None
    parameters = {
        "metavar": metavar, "type": type or (Path if value in ("FILE", "DIR") else None), "default": default,
        "nargs": nargs, "choices": choices, "action": action, "dest": dest, "required": required or None,
    }  # fmt: skip
    given = {key: each for key, each in parameters.items() if each is not None}
    if name.startswith("-") and not given:
        given = {"action": "store_true"}
    to.add_argument(name, help=text, **given)


def argument_type(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return an argparse type that keeps the message of ``read``'s ValueError."""

    @functools.wraps(read)
    def checked(text: str) -> Any:
        """Read the text of an option."""
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def command(main: Main) -> Main:
    """Wrap a ``main(argv) -> status`` to print one line on stderr instead of a traceback.

    Exit status: 2 for `InputError` and missing libraries, 1 for `RunStopped` and too little memory, 130 for Ctrl-C, 141
    for a closed output pipe, 70 for any other error.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        """Run ``main``; return its exit status, or that of its error."""
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        # only warnings of libraries: PyTorch logs its caches at exit
        logging.getLogger("aotlab").setLevel(logging.INFO)
        keep_freed_memory()
        set_waiting()
        enable_fallback()
        try:
            with surroundings():
                return main(argv)
        except InputError as error:
            note_for_torchrun(f"error: {error}")
            return 2 if _others_say(error) else _say(f"error: {error}", 2)
        except RunStopped as error:
            return _say(f"stopped: {error}", 1)
        except KeyboardInterrupt:
            return _say("interrupted", INTERRUPTED)
        except OutputLost as error:
            if str(error):
                return _say(f"error: standard output: cannot be written ({error})", 1)
            return PIPE_CLOSED
        except Exception as error:
            return _say_unforeseen(error)

    return run


@contextmanager
def after_printing() -> Iterator[None]:
    """Write files after printing; raise `RunStopped` if one cannot be written, as the long work is done."""
    try:
        yield
    except InputError as error:
        raise RunStopped(f"{error}; what was printed is complete") from error


def report_failures(failures: Mapping[str, str]) -> int:
    """Print the message of each item that failed; return the exit status."""
    for name, message in failures.items():
        print(f"failed: {name}: {message}", file=sys.stderr)
    return 1 if failures else 0


def _say(sentence: str, status: int) -> int:
    """Print a message on stderr, if it can be written; return ``status``."""
    note_for_torchrun(sentence)
    with suppress(OSError):
        print(shown(sentence), file=sys.stderr)
    return status


def _say_unforeseen(error: Exception) -> int:
    """Print a message about a missing library, too little memory or an internal error; return the exit status."""
    sentence = missing_extra(error.name or "") if isinstance(error, ModuleNotFoundError) else None
    if sentence is not None:
        return _say(f"error: {sentence}", 2)
    if out_of_memory(error):
        return _say(f"stopped: out of memory; {MEMORY_ADVICE}", 1)
    return _say(f"error: {fault_sentence(error)}", FAULT)  # the traceback is kept in a file


def _others_say(error: InputError) -> bool:
    """Return whether another rank of this machine prints the same message."""
    return (
        os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" in os.environ and not isinstance(error, RankError)
    )


def shown(sentence: str) -> str:
    """Return a message without control characters, shortened if very long: names from files may hold anything."""
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST // 2]} ... {plain[-LONGEST // 2 :]}"


FILE = "TORCHELASTIC_ERROR_FILE"
"""environment variable: file in which torchrun looks for the error of a failed process"""


def note_for_torchrun(sentence: str) -> None:
    """Write a sentence where torchrun finds it, so that its table of failures shows it."""
    path = os.environ.get(FILE)
    if not path or os.path.exists(path):
        return
    more = {"py_callstack": sentence, "timestamp": str(int(time.time()))}
    with suppress(OSError), open(path, "w", encoding="utf-8") as file:
        json.dump({"message": {"message": sentence, "extraInfo": more}}, file)
