"""Argument parsers of the commands, taken from the commands themselves."""

from __future__ import annotations

import importlib
from unittest.mock import patch

from aotlab.tools.cli.parser import CommandParser
from aotlab.utils.plugins import COMMANDS, list_plugins, load_plugin


class _Found(BaseException):
    """Carries a parser out of the program that built it."""


def find_parser(command: str) -> CommandParser:
    """Return the parser of a command, named as in ``aotlab <command>``."""
    plugins = list_plugins(COMMANDS)
    if command in plugins:
        main = load_plugin(plugins[command])
    else:
        main = importlib.import_module(f"aotlab.tools.{command.replace('-', '_')}").main.__wrapped__

    def stop(self: CommandParser, *_: object) -> None:
        raise _Found(self)

    with patch.object(CommandParser, "parse_args", stop):
        try:
            main([])
        except _Found as found:
            return found.args[0]
    raise AssertionError(f"aotlab {command} parses nothing")
