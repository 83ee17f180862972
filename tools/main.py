"""Entry point of the command ``aotlab``: one subcommand per module of this package."""

from __future__ import annotations

import difflib
import importlib
import sys

from aotlab import __version__
from aotlab.tools.cli.program import EXIT_CODES, command
from aotlab.utils.errors import InputError

COMMON = {
    "track": "track objects in a video",
    "annotate": "draw, track and correct masks in the browser",
    "mask": "make a mask of one image from boxes and points",
    "eval": "run a model on a benchmark and score it",
    "score": "score folders of results",
    "train": "train a model",
    "check_data": "check your own training data",
    "submit": "pack results for a benchmark's server",
    "export": "write a model as ONNX graphs",
    "weights": "list, download and check the published checkpoints",
}
"""commands shown first"""
MORE = {
    "convert": "convert masks from one format to another",
    "ensemble": "combine several sets of results by voting",
    "table": "run a table of a paper",
    "vot": "track for the VOT toolkit",
    "convert_visor": "convert VISOR's polygons and frames to a data set",
}
COMMANDS = {**COMMON, **MORE}


def main(argv: list[str] | None = None) -> int:
    """Run the command of the first argument with the others; return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0].replace("-", "_") if arguments else ""
    if name not in COMMANDS:
        return answer(arguments)
    tool = importlib.import_module(f"aotlab.tools.{name}")
    sys.argv[0] = f"aotlab {arguments[0]}"
    status: int = tool.main(arguments[1:])
    return status


@command
def answer(arguments: list[str]) -> int:
    """Answer --help and --version, and refuse what is no command; return the exit status."""
    first = arguments[0] if arguments else "--help"
    if first == "--version":
        print(f"aotlab {__version__}")
    elif first in ("-h", "--help"):
        print(usage())
    elif first.startswith("-"):
        raise InputError(f"aotlab {first}: a command comes first; see aotlab --help")
    else:
        near = difflib.get_close_matches(first.replace("-", "_"), COMMANDS, n=1)
        hint = f"did you mean {near[0].replace('_', '-')}?" if near else "see aotlab --help"
        raise InputError(f"aotlab {first}: no such command; {hint}")
    return 0 if arguments else 2


def usage() -> str:
    """Return all commands with one line each, and the exit codes."""
    width = max(map(len, COMMANDS))
    parts = ["usage: aotlab COMMAND [OPTIONS]   (aotlab COMMAND --help)"]
    for title, commands in (("commands", COMMON), ("more", MORE)):
        lines = [f"  {name.replace('_', '-'):{width}}  {text}" for name, text in commands.items()]
        parts.append("\n".join([f"{title}:", *lines]))
    codes = "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    return "\n\n".join([*parts, f"exit codes: {codes}"])


if __name__ == "__main__":
    sys.exit(main())
