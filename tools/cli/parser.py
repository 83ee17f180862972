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
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from aotlab.configs.files import describe_missing_checkpoint, find_config
from aotlab.tools.cli.stdio import (
    INTERRUPTED,
    PIPE_CLOSED,
    SIGNAL_STATUS,
    StdoutError,
    guard_stdout,
    signals_as_exceptions,
)
from aotlab.utils.environment import enable_mps_fallback, keep_freed_memory, limit_spin_waiting
from aotlab.utils.errors import (
    DEBUG_VARIABLE,
    MEMORY_ADVICE,
    InputError,
    RankError,
    RunStopped,
    describe_missing_module,
    is_out_of_memory,
    report_internal_error,
    suggest,
)
from aotlab.utils.files import file_mode, is_file, is_folder
from aotlab.utils.numbers import COUNT, COUNT_OR_ZERO, MAX_COUNT, MAX_SIDE, POSITIVE, Range, parse_number
from aotlab.utils.places import ADDRESS, CAMERA_NUMBER

log = logging.getLogger(__name__)

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
SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*=.*", re.DOTALL)
"""a setting such as ``memory.every=2``; a file of such a name is given as ``./a=b``"""
COMPLETE = "--complete"
"""first argument of a command that prints completions of the next one"""


class CommandParser(argparse.ArgumentParser):
    """Argument parser that raises `InputError`, suggests options, and shows defaults as ``(default: 30)``.

    Settings (``overrides``) may be anywhere on the command line. Every command has ``-q`` and ``-v``.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        epilog: str | None = None,
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Create the parser of a command.

        Args:
            name: of the command, after ``aotlab``.
            renamed: present names of options by those of version 0.1, which are read too.
        """
        prog = f"aotlab {name.replace('_', '-')}"
        super().__init__(prog=prog, description=description, epilog=epilog, formatter_class=_HelpFormatter)
        self._renamed = renamed
        volume = self.add_mutually_exclusive_group()
        volume.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
        volume.add_argument(
            "-v", "--verbose", action="store_true", help="print details, and tracebacks of internal errors"
        )

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Parse options, positional arguments and settings in any order."""
        arguments, settings = list(sys.argv[1:] if args is None else args), []
        if arguments[:1] == [COMPLETE]:
            print("\n".join(self._complete(*arguments[1:])))
            raise SystemExit(0)
        arguments = self._join_lists([self._rename(argument) for argument in arguments])
        self._require_known(arguments)
        if any(action.dest == "overrides" for action in self._actions):
            arguments, settings = self._split_settings(arguments)
        parsed = self.parse_intermixed_args(arguments, namespace)
        if settings:
            parsed.overrides = [*parsed.overrides, *settings]
        if parsed.quiet or parsed.verbose:
            logging.getLogger("aotlab").setLevel(logging.ERROR if parsed.quiet else logging.DEBUG)
        if parsed.verbose:
            os.environ[DEBUG_VARIABLE] = "1"
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise `InputError`."""
        raise InputError(f"{message.removeprefix('argument ')}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Raise `InputError` if a value is not among the choices, naming the most similar choice."""
        if action.choices is not None and value not in action.choices:
            name, known = "/".join(action.option_strings) or action.dest, list(map(str, action.choices))
            remedy = suggest(str(value), known, f"choose from {', '.join(known)}")
            raise InputError(f"{name} {value}: no such choice; {remedy}")

    def _split_settings(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the other arguments and the settings; what follows an option with one value is its value."""
        takes_value = {
            name for action in self._actions if action.nargs in (None, 1, 2) for name in action.option_strings
        }
        others: list[str] = []
        settings: list[str] = []
        for before, argument in pairwise(["", *arguments]):
            setting = SETTING.fullmatch(argument) and before not in takes_value
            (settings if setting else others).append(argument)
        return others, settings

    def _rename(self, argument: str) -> str:
        """Return an argument with the present name of its option."""
        name, equals, value = argument.partition("=")
        if name not in self._renamed:
            return argument
        print_hint(name, self._renamed[name])
        return f"{self._renamed[name]}{equals}{value}"

    def _join_lists(self, arguments: Sequence[str]) -> list[str]:
        """Join the numbers of ``--scales 1 1.5``, the form of version 0.1, by commas."""
        lists = {
            name
            for action in self._actions
            if isinstance(action, argparse._ExtendAction)
            for name in action.option_strings
        }
        joined: list[str] = []
        for before, argument in pairwise(["", *arguments]):
            numbers = re.fullmatch(r"[\d.]+ [\d.]+", f"{before} {argument}", re.ASCII)
            if numbers and len(joined) > 1 and joined[-2] in lists:
                joined[-1] += f",{argument}"
            else:
                joined.append(argument)
        for name, value in pairwise(joined):
            if name in lists and value not in arguments:
                print_hint(f"{name} {value.replace(',', ' ')}", f"{name} {value}")
        return joined

    def _require_known(self, arguments: Sequence[str]) -> None:
        """Raise `InputError` for the first unknown option, with the most similar one."""
        known = self._option_string_actions
        for argument in arguments:
            name = argument.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                raise InputError(f"{name}: no such option; {suggest(name, known, f'see {self.prog} --help')}")

    def _complete(self, word: str = "", before: str = "") -> list[str]:
        """Return the choices of the option ``before``, or the options and choices that ``word`` may become."""
        action = self._option_string_actions.get(before)
        if action is not None and action.nargs != 0:
            words = list(action.choices or ())
        else:
            positional = [
                choice for action in self._get_positional_actions() for choice in action.choices or ()
            ]
            words = [*self._option_string_actions, *positional]
        return [choice for choice in words if choice.startswith(word)]


class _HelpFormatter(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        """Append the default unless the help states it."""
        shown = action.default not in (None, False, "", argparse.SUPPRESS) and action.default != []
        if not shown or action.nargs == 0 or "(default" in (action.help or ""):
            return action.help
        value = action.default
        text = " ".join(map(str, value)) if isinstance(value, list) else "%(default)s"
        return f"{action.help} (default: {text})"


def print_hint(earlier: str, present: str) -> None:
    """Name the present form of what was typed in the form of version 0.1."""
    log.warning("hint: %s is written %s", earlier, present)


def argument_type(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return an argparse type that keeps the message of ``read``'s ValueError."""

    @functools.wraps(read)
    def read_argument(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read_argument


def list_type(read: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return an argparse type for comma-separated values, for ``action="extend"``."""

    def read_sequence_names(text: str) -> list[Any]:
        values = [read(part.strip()) for part in text.split(",") if part.strip()]
        if not values:
            raise argparse.ArgumentTypeError("expected values separated by commas")
        return values

    return read_sequence_names


def read_device(text: str) -> str:
    """Return the name of a device; raise `ValueError` for any other text. Whether it is usable, PyTorch knows."""
    if not re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", text, re.ASCII):
        raise ValueError(f"{text[:40]}: no such device; give cpu, cuda, cuda:N or mps")
    return text


def number_type(allowed: Range) -> Callable[[str], float]:
    """Return an argparse type for numbers in a range."""
    return argument_type(partial(parse_number, allowed=allowed))


INTEGER = number_type(Range(-MAX_COUNT, MAX_COUNT, whole=True))
"""for options whose bounds are known later, and checked there"""
DEVICE = argument_type(read_device)
AT_LEAST_ONE = number_type(COUNT)
AT_LEAST_TWO = number_type(Range(2, MAX_COUNT, whole=True))
NOT_NEGATIVE = number_type(COUNT_OR_ZERO)
ABOVE_ZERO = number_type(POSITIVE)
PIXELS = number_type(Range(32, MAX_SIDE, whole=True))
SCALE = number_type(Range(0, 16, above_low=True))


def require_paths(*paths: str | Path | None) -> None:
    """Raise `InputError` for the first path that does not exist; None: an option that was not given."""
    for path in paths:
        if path is not None and not file_mode(Path(path)):
            raise InputError(f"{path}: no such file or folder; check the spelling")


def require_source(source: str) -> None:
    """Raise `InputError` if a video does not exist; addresses, ``-`` and numbers of cameras are not checked."""
    if source != "-" and not ADDRESS.fullmatch(source) and not CAMERA_NUMBER.fullmatch(source):
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
        raise InputError(describe_missing_checkpoint(checkpoint))
    if config is not None:
        find_config(config)


def command(main: Main) -> Main:
    """Wrap a ``main(argv) -> status`` to print one line on stderr instead of a traceback.

    Exit status: 2 for `InputError` and missing libraries, 1 for `RunStopped` and too little memory, 128 + n for
    signal n (130: Ctrl-C), 141 for a closed output pipe, 70 for any other error.
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
            status = 1 if error.signal_number is None else SIGNAL_STATUS + error.signal_number
            return _print_error(f"stopped: {error}", status)
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
def report_write_errors() -> Iterator[None]:
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
