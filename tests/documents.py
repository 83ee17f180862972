"""Code blocks and command lines of the documents, and checks that the commands accept them."""

import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from click import Context

from aotlab.configs.files import ROOT
from aotlab.configs.load import load_config
from aotlab.tools.cli.command import PACKAGES
from aotlab.tools.cli.types import Checkpoint, ConfigFile, ExistingFolder, ExistingPath, TrackerName
from aotlab.tools.main import main

BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
OTHER_PROGRAMS = {
    "pip", "git", "cd", "docker", "ffmpeg", "vot", "sbatch", "toolkit/bin/pip", "pre-commit", "ssh", "export", "echo",
    "uv", "apt-get", "kubectl", "pytest", "curl", "npm", "mkdir", "cp", "ln", "source", "xvfb-run", "rclone", "blender",
}  # fmt: skip
"""Programs whose command lines are not checked."""
IGNORED_FOLDERS = {
    ".venv", ".venv-lowest", "build", "dist", "shared", "results", "outputs", ".git", ".pytest_cache", "node_modules",
}  # fmt: skip
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - IGNORED_FOLDERS
"""Names of the folders of the checkout."""


def split_blocks(page, *languages):
    """Return the code blocks of a page in some languages: [(line number, language, text)]."""
    text = page.read_text(encoding="utf-8")
    return [
        (text[: match.start()].count("\n") + 1, match[1], match[2])
        for match in BLOCK.finditer(text)
        if match[1] in languages
    ]


def split_commands(text):
    """Return the command lines of a shell block, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def split_words(text):
    """Return the commands of a shell block as lists of words; pipes are split, and variables dropped."""
    found = []
    for line in split_commands(text):
        for part in re.split(r"\s(?:\||&&)\s", line):
            words = shlex.split(part)
            while words and re.fullmatch(r"[A-Z0-9_]+=.*", words[0]):
                words.pop(0)
            if words:
                found.append(words)
    return found


def check_command(words):
    """Fail unless the program of a command line exists and has its options."""
    program, *arguments = words
    if "-m" in arguments and Path(program).name in ("python", "torchrun"):
        module, *arguments = arguments[arguments.index("-m") + 1 :]
        if module == "aotlab":
            return check_options(arguments)
        if module.startswith("research."):
            file = ROOT / module.replace(".", "/")
            assert file.with_suffix(".py").is_file() or (file / "__main__.py").is_file(), module
    elif program == "aotlab":
        check_options(arguments)
    elif program == "python" and arguments[0].startswith("tools/"):
        check_options([Path(arguments[0]).stem, *arguments[1:]])
    elif program == "bash":
        assert (ROOT / arguments[0]).is_file(), f"no script {arguments[0]}"
    else:
        assert Path(program).name.startswith("python") or program in OTHER_PROGRAMS, f"unknown program {program}"
    for word in arguments:
        if word.endswith((".py", ".sh")) and word.split("/")[0] in FOLDERS:
            assert (ROOT / word).is_file(), f"no file {word}"
    return None


def check_options(words):
    """Fail unless a command of aotlab has the options and settings that follow it."""
    assert words, "aotlab: no command"
    command, *arguments = words
    if command.startswith("-"):
        return
    found = main.get_command(Context(main), command)
    others = []
    if command in PACKAGES:
        from aotlab_video.commands.options import SegmenterName

        others = [(SegmenterName, "read", str)]
    if not {"-h", "--help", "help"} & set(arguments):
        with ExitStack() as unchecked:  # files of the documents do not exist
            for kind, name, value in (
                (Checkpoint, "read", Path),
                (TrackerName, "read", Path),
                (ConfigFile, "read", str),
                (ExistingPath, "exists", False),
                (ExistingFolder, "exists", False),
                *others,
            ):
                unchecked.enter_context(patch.object(kind, name, value))
            unchecked.enter_context(patch("aotlab.tools.cli.options.load_plugin_files"))
            given = found.make_context(command, arguments).params
        check_settings(given)


def check_settings(given):
    """Fail unless the settings of a command line exist."""
    if given.get("overrides"):
        config = given.get("config")
        config = config[0] if isinstance(config, tuple) and config else config
        load_config(config or "aott", given["overrides"])
