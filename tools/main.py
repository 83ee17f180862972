"""Entry point of the command ``aotlab``: one subcommand per module of this package, and the commands of plug-ins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import click
from click.shell_completion import CompletionItem, shell_complete

from aotlab import __version__
from aotlab.tools.cli.command import COMMANDS, COMMON_COMMANDS, EXIT_CODES, OTHER_COMMANDS, CommandGroup, find_command
from aotlab.utils.errors import InputError, suggest
from aotlab.utils.plugins import COMMAND_PLUGINS, list_plugins, load_plugin

COMPLETION_VARIABLE = "_AOTLAB_COMPLETE"
COMPLETION = f"""\
bash   add to ~/.bashrc:  eval "$({COMPLETION_VARIABLE}=bash_source aotlab)"
zsh    add to ~/.zshrc:   eval "$({COMPLETION_VARIABLE}=zsh_source aotlab)"
fish   add to ~/.config/fish/completions/aotlab.fish:  {COMPLETION_VARIABLE}=fish_source aotlab | source
"""


def list_other_commands() -> dict[str, EntryPoint]:
    """Return the entry points of commands that are not in `COMMANDS`, by name in order."""
    return {name: point for name, point in sorted(list_plugins(COMMAND_PLUGINS).items()) if name not in COMMANDS}


class AotlabGroup(CommandGroup):
    """Commands of this package and of plug-ins, imported when they are run; ``_`` and ``-`` in names are the same."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*COMMANDS, *self.commands, *list_other_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return a command of this package or a plug-in; raise `InputError` if it is unknown or not installed."""
        name = cmd_name.replace("_", "-")
        if name in COMMANDS:
            return find_command(name)
        if name in self.commands:
            return self.commands[name]
        plugins = {plugin.replace("_", "-"): point for plugin, point in list_other_commands().items()}
        if name in plugins:
            command: click.Command = load_plugin(plugins[name])
            return command
        names = {*COMMANDS, *self.commands, *plugins}
        raise InputError("no such command", subject=cmd_name, remedy=suggest(name, names, "see aotlab --help"))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that a word may become; none is imported."""
        return [CompletionItem(name) for name in self.list_commands(ctx) if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all commands with one line each, and the exit codes."""
        own_commands = {name: entry.help or "" for name, entry in self.commands.items()}
        plugins = {
            name: f"of the package {point.dist.name if point.dist else point.value}"
            for name, point in list_other_commands().items()
        }
        sections = {
            "Commands": COMMON_COMMANDS,
            "Other commands": {**OTHER_COMMANDS, **own_commands},
            "Plug-ins": plugins,
            "Exit codes": EXIT_CODES,
        }
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(list(rows.items()))

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **_: Any) -> int:  # type: ignore[override]
        """Run a command line (default: the program's), or complete one; return the exit code."""
        if COMPLETION_VARIABLE in os.environ:
            return shell_complete(self, {}, "aotlab", COMPLETION_VARIABLE, os.environ[COMPLETION_VARIABLE])
        return super().main(args, prog_name or "aotlab")


@click.group(cls=AotlabGroup, invoke_without_command=True)
@click.version_option(__version__, message="aotlab %(version)s", help="show the version and exit")
@click.pass_context
def main(ctx: click.Context) -> int:
    """Track objects in video. Run `aotlab COMMAND --help` for options."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
    return 2


@main.command("completion")
def show_completion() -> int:
    """Print the lines that let shells complete on TAB."""
    print(COMPLETION, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
