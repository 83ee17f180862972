"""Entry point of the command ``aotlab``: one subcommand per module of this package, and those of plug-ins."""

from __future__ import annotations

import importlib
import os
import sys

from aotlab import __version__
from aotlab.tools.cli.parser import COMPLETE, EXIT_CODES, command
from aotlab.utils.errors import InputError, suggest
from aotlab.utils.plugins import COMMANDS as PLUGIN_GROUP
from aotlab.utils.plugins import list_plugins, load_plugin

COMMON_COMMANDS = {
    "track": "track objects in a video",
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
OTHER_COMMANDS = {
    "ensemble": "combine several sets of results by voting",
    "table": "run a table of a paper",
    "vot": "track for the VOT toolkit",
    "convert_visor": "convert VISOR's polygons and frames to a data set",
}
COMMANDS = {**COMMON_COMMANDS, **OTHER_COMMANDS}
STUDIO_COMMANDS = {
    "annotate": "draw, track and correct masks in the browser",
    "agreement": "compare two annotations of a video",
    "convert": "convert masks from one format to another",
    "export-clips": "write the corrected masks of a list of videos into its results",
}
"""commands of the package aotlab-studio"""
OWN = {
    "help": "show all commands, or the options of one",
    "completion": "complete commands and options on TAB",
}
"""commands of this module"""
COMPLETION = """\
bash   add to ~/.bashrc:  complete -o default -C 'aotlab completion' aotlab
zsh    add to ~/.zshrc:   autoload -U bashcompinit && bashcompinit && complete -o default -C 'aotlab completion' aotlab
fish   add to ~/.config/fish/completions/aotlab.fish:
       complete -c aotlab -a '(COMP_LINE=(commandline -cp) aotlab completion aotlab (commandline -ct) "")'
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command of the first argument with the others; return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["completion"] and "COMP_LINE" in os.environ:
        return complete(os.environ["COMP_LINE"], *arguments[2:])
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    name = arguments[0].replace("-", "_") if arguments else ""
    if name not in COMMANDS:
        return run_other_command(arguments)
    tool = importlib.import_module(f"aotlab.tools.{name}")
    sys.argv[0] = f"aotlab {arguments[0]}"
    status: int = tool.main(arguments[1:])
    return status


def complete(line: str, word: str = "", before: str = "") -> int:
    """Print what a word of a command line may become, for the ``complete -C`` of shells; return 0.

    Args:
        line: the command line up to the word, with it.
        before: the word before it.
    """
    words = [text for text in line.split() if text != "help"]
    if len(words) > 2 or (len(words) == 2 and not word):
        return main([words[1], COMPLETE, word, before])
    names = [name.replace("_", "-") for name in (*COMMANDS, *OWN, *list_plugins(PLUGIN_GROUP))]
    print("\n".join(name for name in names if name.startswith(word)))
    return 0


@command
def run_other_command(arguments: list[str]) -> int:
    """Run a plug-in's command, or answer --help and --version; return the exit status.

    Raises:
        InputError: unknown command, or one whose package is not installed.
    """
    first = arguments[0] if arguments else "--help"
    if first == "completion":
        print(COMPLETION, end="")
        return 0
    if first in ("-h", "--help", "help"):
        print(format_usage())
        return 0 if arguments else 2
    if first == "--version":
        print(f"aotlab {__version__}")
        return 0
    if first.startswith("-"):
        raise InputError(f"aotlab {first}: a command comes first; see aotlab --help")
    plugins = list_plugins(PLUGIN_GROUP)
    if first in plugins:
        sys.argv[0] = f"aotlab {first}"
        status: int = load_plugin(plugins[first])(arguments[1:])
        return status
    if first in STUDIO_COMMANDS:
        raise InputError(
            f"aotlab {first}: needs the package aotlab-studio; pip install ./studio in a checkout"
        )
    names = {name.replace("_", "-") for name in COMMANDS} | {*STUDIO_COMMANDS, *OWN, *plugins}
    raise InputError(f"aotlab {first}: no such command; {suggest(first, names, 'see aotlab --help')}")


def format_usage() -> str:
    """Return all commands with one line each, and the exit codes."""
    sections = {
        "commands": COMMON_COMMANDS,
        "more": {**OTHER_COMMANDS, **OWN},
        "installed": _describe_plugins(),
    }
    width = max(len(name) for section in sections.values() for name in section)
    parts = ["usage: aotlab COMMAND [OPTIONS]   (aotlab COMMAND --help)"]
    for title, commands in sections.items():
        lines = [f"  {name.replace('_', '-'):{width}}  {text}" for name, text in commands.items()]
        parts += ["\n".join([f"{title}:", *lines])] if lines else []
    codes = "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    return "\n\n".join([*parts, f"exit codes: {codes}"])


def _describe_plugins() -> dict[str, str]:
    """Return the commands of installed plug-ins with what they do, if known, or the package that brings them."""
    commands = {}
    for name, point in sorted(list_plugins(PLUGIN_GROUP).items()):
        commands[name] = (
            STUDIO_COMMANDS.get(name) or f"of the package {point.dist.name if point.dist else point.value}"
        )
    return commands


if __name__ == "__main__":
    sys.exit(main())
