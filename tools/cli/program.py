"""A command-line program: its parser, its error sentences and its exit statuses."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from aotlab.tools.cli.ranks import note_for_torchrun
from aotlab.tools.cli.surroundings import PIPE_CLOSED, OutputLost, surroundings
from aotlab.utils.allocator import keep_freed_memory
from aotlab.utils.environment import set_waiting
from aotlab.utils.errors import MEMORY_ADVICE, InputError, RankError, RunStopped, out_of_memory
from aotlab.utils.extras import missing_extra
from aotlab.utils.faults import fault_sentence

Main = Callable[..., int]

INTERRUPTED = 130
"""exit status after Ctrl-C, as shells have it"""
FAULT = 70
"""exit status of a fault of the program, ``EX_SOFTWARE`` of sysexits.h"""
EXIT_CODES = {
    "0": "done",
    "1": "done, but something failed or fell short",
    "2": "bad input",
    "70": "internal error in aotlab",
    "128 + n": "stopped by signal n",
}
"""what the exit status of every command means"""
LONGEST = 1000
"""letters of a sentence that are shown"""
SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*=.*", re.DOTALL | re.IGNORECASE)
"""what a setting looks like: memory.every=2"""


class Help(argparse.HelpFormatter):
    """Help texts that end with the default in one notation: ``(default: 30)``."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.default not in (None, False, "", argparse.SUPPRESS) and action.default != []
        if not shown or action.nargs == 0 or "(default" in (action.help or ""):
            return action.help
        value = action.default
        text = " ".join(map(str, value)) if isinstance(value, list) else "%(default)s"
        return f"{action.help} (default: {text})"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line on stderr and exit status 2.

    A tool that takes settings has an argument ``overrides``; they may stand anywhere on the command line, also behind
    an option that takes several values.
    """

    def __init__(self, tool: str, *, description: str, epilog: str | None = None) -> None:
        """``tool`` is the name of the program after ``aotlab``."""
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
        """Print the message without the usage block and exit."""
        said = InputError(f"{message}; see {self.prog} --help")
        self.exit(2, None if _others_say(said) else f"error: {shown(str(said))}\n")

    def _split(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """The arguments without the settings, and the settings; a value of an option that takes one value stays."""
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


def argument_type(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type that keeps the sentence of the ValueError that ``read`` raises."""

    @functools.wraps(read)
    def checked(text: str) -> Any:
        """The value of an option's text."""
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def command(main: Main) -> Main:
    """Wrap a ``main(argv) -> status``: one line on stderr instead of a traceback for what a user should know.

    `InputError` and a library that is not installed give status 2, `RunStopped` and too little memory 1, Ctrl-C 130, a
    closed pipe behind stdout 141, and whatever nobody foresaw 70.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        """Run ``main`` and return its exit status, or that of the error it ended with."""
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        # Of libraries only warnings: PyTorch notes its caches at exit.
        logging.getLogger("aotlab").setLevel(logging.INFO)
        keep_freed_memory()
        set_waiting()
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
        except Exception as error:  # the last net: a fault, of which a file keeps the traceback
            sentence = missing_extra(error.name or "") if isinstance(error, ModuleNotFoundError) else None
            if sentence is not None:
                return _say(f"error: {sentence}", 2)
            if out_of_memory(error):
                return _say(f"stopped: out of memory; {MEMORY_ADVICE}", 1)
            return _say(f"error: {fault_sentence(error)}", FAULT)

    return run


@contextmanager
def after_printing() -> Iterator[None]:
    """Write files of what was printed: where that fails, long work is done all the same.

    Raises:
        RunStopped: a file cannot be written, on a full disk for one.
    """
    try:
        yield
    except InputError as error:
        raise RunStopped(f"{error}; what was printed is complete") from error


def _say(sentence: str, status: int) -> int:
    """Print a sentence on stderr, if that can be written; returns the exit status."""
    note_for_torchrun(sentence)
    with suppress(OSError):
        print(shown(sentence), file=sys.stderr)
    return status


def _others_say(error: InputError) -> bool:
    """Whether another process of this machine, as torchrun starts them, says the same: what all find is said once."""
    return (
        os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" in os.environ and not isinstance(error, RankError)
    )


def shown(sentence: str) -> str:
    """A sentence as a terminal may have it: names out of files may hold control characters, or be endless."""
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST // 2]} ... {plain[-LONGEST // 2 :]}"
