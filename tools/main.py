"""Entry point of the command ``aotlab``: one subcommand per module of this package."""

from __future__ import annotations

import difflib
import importlib
import sys

from aotlab import __version__
from aotlab.tools.cli.commands import COMMANDS, COMMON, MORE
from aotlab.tools.cli.program import EXIT_CODES, command
from aotlab.utils.errors import InputError


def main(argv: list[str] | None = None) -> int:
    """Run the command of the first argument with the others; return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0].startswith("-"):
        return answer(arguments)
    name = arguments[0].replace("-", "_")
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0].replace('_', '-')}?" if near else "see aotlab --help"
        print(f"error: aotlab {arguments[0]}: no such command; {hint}", file=sys.stderr)
        return 2
    tool = importlib.import_module(f"aotlab.tools.{name}")
    sys.argv[0] = f"aotlab {arguments[0]}"
    status: int = tool.main(arguments[1:])
    return status


@command
def answer(arguments: list[str]) -> int:
    """Answer --help and --version; return the exit status."""
    if arguments[:1] == ["--version"]:
        print(f"aotlab {__version__}")
        return 0
    if arguments and arguments[0] not in ("-h", "--help"):
        raise InputError(f"aotlab {arguments[0]}: a command comes first; see aotlab --help")
    print(usage())
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
