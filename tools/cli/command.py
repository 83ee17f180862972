"""Commands on click: their class, error messages and exit codes."""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import signal
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource

from aotlab.utils.environment import prepare_torch
from aotlab.utils.errors import (
    MEMORY_REMEDY,
    InputError,
    RunStopped,
    describe_missing_module,
    is_out_of_memory,
    output_exists_error,
)
from aotlab.utils.files import NO_SPACE_ERRNOS, require_regular_file, require_writable
from aotlab.utils.plugins import COMMAND_PLUGINS, find_entry_point, load_plugin
from aotlab.utils.signals import handle_stop_signals

COMMON_COMMANDS = {
    "track": "Track objects in a video.",
    "render": "Write more outputs of tracked videos.",
    "mask": "Make a mask of one image from boxes and points.",
    "eval": "Run a model on a benchmark and score it.",
    "score": "Score folders of results.",
    "train": "Train a model through the phases of a recipe.",
    "check-data": "Check a folder of frames and masks before training.",
    "submit": "Pack results for a benchmark's server or scoring tool.",
    "export": "Write a model as ONNX graphs.",
    "weights": "List and download the published checkpoints.",
}
"""Help of the commands that are listed first; ``aotlab --help`` imports none of them."""
OTHER_COMMANDS = {
    "ensemble": "Combine several sets of results by voting.",
    "inspect": "Draw a model's identities and attention.",
    "profile": "Print parameters, FLOPs, time and memory of a model by part.",
    "sweep": "Train and evaluate for each value of some settings.",
    "table": "Run a table of a paper and compare.",
    "info": "Print versions, devices, codecs and plug-ins, for bug reports.",
    "vot": "Track for the VOT toolkit.",
    "convert-visor": "Convert VISOR's polygons and frames to a data set.",
}
COMMANDS = {**COMMON_COMMANDS, **OTHER_COMMANDS}
PACKAGES = {
    **dict.fromkeys(("track", "render", "mask"), ("aotlab_video", "./packages/video")),
    "vot": ("aotlab_trackers", "'./packages/trackers[vot]'"),
}
"""Commands that are entry points of ``aotlab.commands``: the package of the module, and its folder in the checkout."""
MODULES = {"inspect": "inspect_model", "profile": "profile_model"}
"""Modules of commands named like modules of Python, which a file of that name in `tools/` would replace."""
SIGNAL_EXIT_BASE = 128
"""A command that signal n has ended exits with this plus n, as in shells."""
EXIT_CODES = {"0": "done", "1": "partly done, or a check failed", "2": "bad input", "128 + n": "stopped by signal n"}
"""Meaning of the exit codes of every command."""
AOT_BENCHMARK_OPTIONS = (
    "model", "ckpt_path", "gpus", "gpu_num", "gpu_id", "stage", "exp_name", "amp", "ema", "ms", "pretrained_path",
    "lt_gap", "st_skip", "max_long_edge",
)  # fmt: skip
"""Options of the published code, whose replacements `docs/migrate.md` names."""
HELP_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def set_log_level(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    """Show errors only after ``--quiet``, debug messages after ``--verbose``."""
    if value:
        logging.getLogger("aotlab").setLevel(logging.ERROR if option.name == "quiet" else logging.DEBUG)


LOG_OPTIONS = [
    click.Option([f"-{name[0]}", f"--{name}"], is_flag=True, expose_value=False, callback=set_log_level, help=help)
    for name, help in (("quiet", "print results and errors only"), ("verbose", "print details"))
]


class Command(click.Command):
    """Command with ``-q`` and ``-v``, whose function takes the options as parameters and returns the exit code.

    Called with a list of arguments, it runs them as a command line, with the messages and exit codes of `run_command`.
    """

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **{"context_settings": HELP_SETTINGS, **attributes})
        self.params += LOG_OPTIONS

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **_: Any) -> int:  # type: ignore[override]
        """Run a command line (default: the program's); return its exit code."""
        return run_command(self, sys.argv[1:] if args is None else args, prog_name or self.name or "")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the titles of their groups."""
        sections = defaultdict(list)
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None:
                sections[getattr(option, "group", "options").capitalize()].append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse a command line, and keep it in ``ctx.meta``."""
        ctx.meta["command_line"] = f"{ctx.command_path} {shlex.join(args)}"
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click's parser does not set it
            raise


class CommandGroup(click.Group, Command):
    """Group of commands."""

    command_class = Command


def command(
    name: str, help: str | None = None, *, epilog: str | None = None
) -> Callable[[Callable[..., int]], Command]:
    """Return a decorator that makes a command of a function; every command has ``-q`` and ``-v``.

    The function takes its click options and arguments as parameters; it returns the exit code. In another
    package, an entry point of the group ``aotlab.commands`` names it::

        @command("aotlab greet", "Greet somebody.")
        @click.argument("name", metavar="NAME")
        def main(name: str) -> int:
            print(f"hello {name}")
            return 0

    Args:
        name: how the program is started, such as ``aotlab track``.
        help: text above the options; None: that of `COMMANDS`, or the docstring of the function.
    """
    return click.command(name, Command, help=help or COMMANDS.get(name.removeprefix("aotlab ")), epilog=epilog)


def find_command(name: str) -> click.Command:
    """Import a command of `COMMANDS`; raise `InputError` if its package is not installed."""
    if name in PACKAGES:
        package, folder = PACKAGES[name]
        point = find_entry_point(COMMAND_PLUGINS, name, package)
        if point is None:
            remedy = f"pip install {folder} in a checkout"
            raise InputError("not installed", subject=f"aotlab {name}", remedy=remedy)
        return load_plugin(point)
    module = MODULES.get(name, name.replace("-", "_"))
    command: click.Command = importlib.import_module(f"aotlab.tools.{module}").main
    return command


def option_group(title: str, *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds options under a title of the help."""

    def decorate(main: Any) -> Any:
        for option in reversed(options):
            main = option(main)
            main.__click_params__[-1].group = title  # click has no groups of options
        return main

    return decorate


def find_given_option(title: str) -> str | None:
    """Return the first option of a group that is on the command line of the running command; None: no option is."""
    context = click.get_current_context()
    for option in context.command.params:
        is_given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if is_given and getattr(option, "group", None) == title:
            return option.opts[0]
    return None


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise `SystemExit` on SIGTERM and SIGHUP, and `KeyboardInterrupt` on Ctrl-C, while the block runs."""

    def end(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(SIGNAL_EXIT_BASE + number)

    with handle_stop_signals(end):
        yield


def run_command(command: click.Command, argv: Sequence[str], prog_name: str) -> int:
    """Run a command line; print an error of `describe_failure` in one line on stderr, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of files may have characters that the terminal lacks
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    # only warnings of libraries: PyTorch logs its caches at exit
    is_main_rank = os.environ.get("LOCAL_RANK", "0") == "0" or "RANK" not in os.environ
    logging.getLogger("aotlab").setLevel(logging.INFO if is_main_rank else logging.WARNING)
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")  # Pillow's, of large but allowed images
    prepare_torch()
    try:
        with exit_on_signals(), command.make_context(prog_name, list(argv)) as context:
            status = command.invoke(context) or 0
            print(end="", flush=True)
            return status
    except click.exceptions.Exit as end:  # --help
        return end.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, OSError) and error.filename is None:
            _discard_unwritten_output()
        if (failure := describe_failure(error, prog_name)) is None:
            raise
        message, status = failure
        if message and (is_main_rank or not isinstance(error, click.UsageError | InputError)):
            _print_error(message)
        return status


def describe_failure(error: BaseException, prog_name: str) -> tuple[str, int] | None:
    """Return the message and exit code of an error that ends a command; None: a bug."""
    match error:
        case click.NoSuchOption(option_name=name) if name.replace("-", "_").strip("_") in AOT_BENCHMARK_OPTIONS:
            return f"error: {name}: an option of aot-benchmark; docs/migrate.md names what replaces it", 2
        case click.UsageError():
            message = " ".join(error.format_message().split()).rstrip(".")  # lists of choices have lines
            message = re.sub("^Invalid value for '(.*?)':", r"\1:", message)  # as in errors of this project
            program = error.ctx.command_path if error.ctx is not None else prog_name
            remedy = "" if message.endswith("?") or "; " in message else f"; see {program} --help"
            return f"error: {message}{remedy}", 2
        case InputError():
            return f"error: {error}", 2
        case RunStopped():
            return f"stopped: {error}", 1 if error.signal_number is None else SIGNAL_EXIT_BASE + error.signal_number
        case KeyboardInterrupt():
            return "interrupted", SIGNAL_EXIT_BASE + signal.SIGINT
        case BrokenPipeError():
            return "", SIGNAL_EXIT_BASE + 13  # SIGPIPE, which Windows lacks
        case ModuleNotFoundError() if missing := describe_missing_module(error.name or ""):
            return f"error: {missing}", 2
        case _ if is_out_of_memory(error):
            return f"stopped: out of memory; close other programs or, if the command takes settings, {MEMORY_REMEDY}", 1
        case OSError(filename=None) if error.errno in NO_SPACE_ERRNOS:
            return "stopped: the disk is full; free space", 1
        case OSError() if error.filename is not None:
            return f"error: {error.filename}: {error.strerror}; check it, or give another path", 2
    return None


def require_new_output(path: Path | None, *suffixes: str, force: bool) -> None:
    """Check an output before long work starts: a file with one of these suffixes, or a folder if no suffixes are given.

    Args:
        path: the output; None: none is written.
        suffixes: allowed suffixes of a file, "" for a name without one.
        force: accept an output that exists.

    Raises:
        InputError: another suffix, not writable, a file for a folder or a folder for a file, or it exists.
    """
    if path is None:
        return
    if suffixes:
        if path.suffix.lower() not in suffixes:
            endings = " or ".join(filter(None, suffixes))
            raise InputError("unsupported extension", subject=path, remedy=f"give one that ends in {endings}")
        require_regular_file(path)
        require_writable(path.parent)
    elif path.is_file():
        raise InputError("a file, but the output is a folder", subject=path, remedy="choose another name")
    if path.exists() and (suffixes or any(path.iterdir())) and not force:
        raise output_exists_error(path, "data" if suffixes else "files", suggest_force=True)


def report_failures(failures: Mapping[str, str]) -> int:
    """Print the message of each item that failed; return the exit code."""
    for name, message in failures.items():
        print(f"error: {name}: {message}", file=sys.stderr)
    return 1 if failures else 0


def _discard_unwritten_output() -> None:
    """Flush standard output, or discard what it does not accept, as the interpreter flushes it again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _print_error(message: str) -> None:
    """Print a message on stderr, without control characters, which names from files may have."""
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in message)
    with suppress(OSError):  # standard error is full or closed
        print(text, file=sys.stderr)
