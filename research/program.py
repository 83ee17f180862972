"""Start of the programs in this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from aotlab.utils.errors import InputError


def run_program(main: Callable[[], int | None]) -> NoReturn:
    """Run a program and exit with its status; bad input is one line on stderr and status 2."""
    try:
        sys.exit(main())
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
