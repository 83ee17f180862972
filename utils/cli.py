"""What every command-line program shares: one-line errors, exit status 2 for bad input."""

from __future__ import annotations

import argparse
import functools
import logging
import sys
from collections.abc import Callable
from typing import NoReturn

from aotlab.utils.allocator import keep_freed_memory
from aotlab.utils.errors import InputError, RunStopped

Main = Callable[..., int]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line on stderr and exit status 2."""

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Parse options and positionals in any order: settings may stand before and behind an option."""
        return self.parse_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the message without the usage block and exit."""
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def picture_size(text: str) -> tuple[int, int]:
    """(width, height) of "854x480", both above 0; an argparse type."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text}: expected WIDTHxHEIGHT, for example 854x480")
    return int(width), int(height)


def command(main: Main) -> Main:
    """Wrap a ``main(argv) -> status``: one line on stderr instead of a traceback for what a user should know.

    `InputError` gives status 2, `RunStopped` 1, Ctrl-C 130.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        """Run ``main`` and return its exit status, or that of the error it ended with."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        keep_freed_memory()
        try:
            return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            return 2
        except RunStopped as error:
            print(f"stopped: {error}", file=sys.stderr)  # noqa: T201
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)  # noqa: T201
            return 130

    return run
