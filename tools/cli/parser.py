"""Parser, error messages and exit codes of commands."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from aotlab.configs.files import find_config
from aotlab.tools.cli.stdio import (
    INTERRUPTED,
    PIPE_CLOSED,
    StdoutError,
    guard_stdout,
    signals_as_exceptions,
)
from aotlab.utils.environment import enable_mps_fallback, keep_freed_memory, limit_spin_waiting
from aotlab.utils.errors import (
    MEMORY_ADVICE,
    InputError,
    RankError,
    RunStopped,
    describe_missing_module,
    is_out_of_memory,
    report_internal_error,
)
from aotlab.utils.files import file_mode, is_file, is_folder
from aotlab.utils.numbers import COUNT, COUNT_OR_ZERO, MAX_COUNT, MAX_SIDE, POSITIVE, Range, parse_number

Main = Callable[..., int]
Options = argparse._ActionsContainer
"""a parser, or a group of its options"""

INTERNAL_ERROR = 70
"""exit status of an internal error, ``EX_SOFTWARE`` of sysexits.h"""
EXIT_CODES = {
    "0": "done",
    "1": "partial failure",
    "2": "bad input",
    "70": "internal error in aotlab",
    "128 + n": "stopped by signal n",
}
"""meaning of the exit codes of every command"""
MAX_MESSAGE = 1000
"""largest length of a shown message in characters"""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.*", re.IGNORECASE)


class CommandParser(argparse.ArgumentParser):
    """Argument parser that raises `InputError` and shows defaults as ``(default: 30)``.

    Settings (``overrides``) may be anywhere on the command line, also after an option with several values.
    """

    def __init__(self, name: str, description: str, *, epilog: str | None = None) -> None:
        """``name``: of the command, after ``aotlab``."""
        prog = f"aotlab {name.replace('_', '-')}"
        super().__init__(prog=prog, description=description, epilog=epilog, formatter_class=_HelpFormatter)

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Parse options, positional arguments and settings in any order."""
        arguments, settings = list(sys.argv[1:] if args is None else args), []
        if any(action.dest == "overrides" for action in self._actions):
            arguments, settings = self._split_settings(arguments)
        parsed = self.parse_intermixed_args(arguments, namespace)
        if settings:
            parsed.overrides = [*parsed.overrides, *settings]
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise `InputError`."""
        raise InputError(f"{message}; see {self.prog} --help")

    def _split_settings(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the other arguments and the settings; what follows an option with one value is its value."""
        takes_value = {
            name for action in self._actions if action.nargs in (None, 1, 2) for name in action.option_strings
        }
        others: list[str] = []
        settings: list[str] = []
        for before, argument in zip(["", *arguments], arguments, strict=False):
            (settings if is_setting(argument) and before not in takes_value else others).append(argument)
        return others, settings


class _HelpFormatter(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        """Append the default unless the help states it."""
        shown = action.default not in (None, False, "", argparse.SUPPRESS) and action.default != []
        if not shown or action.nargs == 0 or "(default" in (action.help or ""):
            return action.help
        value = action.default
        text = " ".join(map(str, value)) if isinstance(value, list) else "%(default)s"
        return f"{action.help} (default: {text})"


def is_setting(argument: str) -> bool:
    """Return whether an argument is a setting such as ``memory.every=2``; a file of such a name is ``./a=b``."""
    key, equals, _ = argument.partition("=")
    first, *rest = key.split(".")
    names = first.isidentifier() and all(part.isidentifier() or part.isdecimal() for part in rest)
    return bool(equals) and key == key.lower() and names


def argument_type(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return an argparse type that keeps the message of ``read``'s ValueError."""

    @functools.wraps(read)
    def read_argument(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read_argument


def number_type(allowed: Range) -> Callable[[str], float]:
    """Return an argparse type for numbers in a range."""
    return argument_type(partial(parse_number, allowed=allowed))


INTEGER = number_type(Range(-MAX_COUNT, MAX_COUNT, whole=True))
"""for options whose bounds are known later, and checked there"""
AT_LEAST_ONE = number_type(COUNT)
AT_LEAST_TWO = number_type(Range(2, MAX_COUNT, whole=True))
NOT_NEGATIVE = number_type(COUNT_OR_ZERO)
ABOVE_ZERO = number_type(POSITIVE)
PIXELS = number_type(Range(32, MAX_SIDE, whole=True))
OBJECT_ID = number_type(Range(1, 65535, whole=True))
SCALE = number_type(Range(0, 16, above_low=True))


def require_paths(*paths: str | Path | None) -> None:
    """Raise `InputError` for the first path that does not exist; None: an option that was not given."""
    for path in paths:
        if path is not None and not file_mode(Path(path)):
            raise InputError(f"{path}: no such file or folder; check the spelling")


def require_source(source: str) -> None:
    """Raise `InputError` if a video does not exist; addresses and ``-`` are not checked."""
    if source != "-" and not ADDRESS.fullmatch(source):
        require_paths(source)


def require_new_output(path: Path | None, *, force: bool) -> None:
    """Raise `InputError` if an output exists, unless it is an empty folder or ``force``; None: no output."""
    if path is None or force or not file_mode(path):
        return
    if not is_folder(path) or any(path.iterdir()):
        raise InputError(f"{path}: exists; choose another name, or replace it with --force")


def require_model(checkpoint: Path | None, config: str | None) -> None:
    """Raise `InputError` if a checkpoint or the preset or file of --config does not exist."""
    if checkpoint is not None and not is_file(checkpoint):
        raise InputError(f"{checkpoint}: no such checkpoint; give a file, or a name of aotlab weights list")
    if config is not None:
        find_config(config)


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
        limit_spin_waiting()
        enable_mps_fallback()
        try:
            with signals_as_exceptions(), guard_stdout():
                return main(argv)
        except InputError as error:
            return 2 if _printed_by_other_rank(error) else _print_error(f"error: {error}", 2)
        except RunStopped as error:
            return _print_error(f"stopped: {error}", 1)
        except KeyboardInterrupt:
            return _print_error("interrupted", INTERRUPTED)
        except StdoutError as error:
            if str(error):
                return _print_error(f"error: standard output: cannot be written ({error})", 1)
            return PIPE_CLOSED
        except Exception as error:
            sentence = (
                describe_missing_module(error.name or "") if isinstance(error, ModuleNotFoundError) else None
            )
            if sentence is not None:
                return _print_error(f"error: {sentence}", 2)
            if is_out_of_memory(error):
                return _print_error(f"stopped: out of memory; {MEMORY_ADVICE}", 1)
            return _print_error(
                f"error: {report_internal_error(error)}", INTERNAL_ERROR
            )  # the traceback is kept in a file

    return run


@contextmanager
def stop_on_write_errors() -> Iterator[None]:
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


def _print_error(sentence: str, status: int) -> int:
    """Print a message on stderr, if it can be written; return ``status``."""
    with suppress(OSError):
        print(clean_message(sentence), file=sys.stderr)
    return status


def _printed_by_other_rank(error: InputError) -> bool:
    """Return whether another rank of this machine prints the same message."""
    return (
        os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" in os.environ and not isinstance(error, RankError)
    )


def clean_message(sentence: str) -> str:
    """Return a message without control characters, shortened if very long: names from files may hold anything."""
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
    half = MAX_MESSAGE // 2
    return plain if len(plain) <= MAX_MESSAGE else f"{plain[:half]} ... {plain[-half:]}"
