"""Command line, messages and exit codes shared by all commands."""

import io
import logging
import os
import sys

import click
import numpy as np
import pytest
from PIL import Image

from aotlab.media.images import read_image
from aotlab.tools.cli.command import PACKAGES, command, find_given_option, option_group
from aotlab.tools.cli.options import config_option, is_setting, settings
from aotlab.tools.cli.types import PositiveFloat, PositiveInt, flag, list_option, option
from aotlab.tools.main import COMPLETION_VARIABLE, main
from aotlab.utils import plugins
from aotlab.utils.errors import InputError, RunStopped
from aotlab_testing.processes import run_python


@command("aotlab example", "An example.")
@list_option("--scales", "scales", PositiveFloat.read)
@option("--rounds", type=PositiveInt, default=3, help="repetitions")
@config_option()
@settings
def example(**options):
    return 0


@pytest.mark.parametrize(("text", "expected"), [
    ("memory.every=2", True),
    ("base=aotl", True),
    ("memori.every=2", True),
    ("model.checkpoint=a/b.mp4", True),
    ("date=2024/t.mp4", False),
    ("take=2.MP4", False),
    ("there=2", False),
    ("./memory.every=2", False),
])  # fmt: skip
def test_setting_begins_with_a_section(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there=2").mkdir()
    assert is_setting(text) == expected


@pytest.mark.parametrize(("line", "expected"), [([], None), (["--width=3"], "--width"), (["--name=y"], None)])
def test_group_of_options_has_a_title_and_names_the_given_one(line, expected, capsys):
    @command("example", "")
    @option_group("sides", option("--width", type=int, default=3, help=""), flag("--flat", ""))
    @option("--name", default="x", help="")
    def run(width, flat, name):
        passed.append(find_given_option("sides"))

    passed = []
    assert run(line) == 0
    assert passed == [expected]
    assert run(["--help"]) == 0
    assert "Sides:\n  --width" in capsys.readouterr().out


@pytest.mark.parametrize(("line", "message"), [
    (["--scale-s", "1"], "No such option '--scale-s'. Did you mean '--scales'?"),
    (["--ckpt_path", "a.pth"], "--ckpt_path: an option of aot-benchmark; docs/migrate.md names what replaces it"),
    (["--gpu-num=2"], "--gpu-num: an option of aot-benchmark; docs/migrate.md names what replaces it"),
    (["--zzz=1"], "No such option '--zzz'; see aotlab example --help"),
    (["--scales", ","], "--scales: expected values separated by commas; see aotlab example"),
    (["--scales", "big"], "--scales: must be above 0, got big; see aotlab example --help"),
    (["--scales", "inf"], "--scales: must be finite and above 0, got inf"),
    (["--rounds", "0"], "--rounds: must be a whole number, 1 to 2147483647, got 0"),
    (["--rounds", "x" * 500], f"--rounds: must be a whole number, 1 to 2147483647, got {'x' * 40};"),
    (["--config", "aotx"], "--config: config aotx: no such file or preset; did you mean aott?"),
])  # fmt: skip
def test_invalid_line_is_reported_in_one_sentence(run_expecting_error, line, message):
    assert run_expecting_error(example, *line).startswith(f"error: {message}")


@pytest.mark.parametrize(("line", "message"), [
    ("submit --results . --output s.zip", "Missing option '--dataset'. give one of davis2016, "),
    ("eval", "--dataset: missing"),
    ("train train.seed=7", "Missing option '--config'; see aotlab train --help"),
    ("eval --root", "Option '--root' requires an argument; see aotlab eval --help"),
    ("eval -zq", "No such option '-z'; see aotlab eval --help"),
    ("score --dataset davis2018 .", "--dataset: davis2018: not one of "),
    ("eval --output=", "--output: empty; give a folder"),
    ("eval --output FILE", "--output: Folder '{file}' is a file; see aotlab eval --help"),
])  # fmt: skip
def test_wrong_options_are_reported_in_one_sentence(run_expecting_error, line, message, tmp_path):
    (tmp_path / "file").touch()
    line = line.replace("FILE", str(tmp_path / "file"))
    shown = run_expecting_error(main, *line.split())
    assert message.format(file=tmp_path / "file") in shown
    assert "\\" not in shown


def test_default_is_shown_in_the_help(capsys):
    assert example(["--help"]) == 0
    out = capsys.readouterr().out
    assert "repetitions (default: 3)" in out
    assert out.startswith("Usage: aotlab example [OPTIONS] [KEY=VALUE]...")


@pytest.mark.parametrize(("option", "level"), [("-q", logging.ERROR), ("-v", logging.DEBUG)])
def test_quiet_and_verbose_set_the_level_of_messages(option, level):
    assert example([option]) == 0
    assert logging.getLogger("aotlab").level == level


def test_help_shows_all_commands_or_one(capsys):
    assert main([]) == 2
    assert "Exit codes" in capsys.readouterr().out
    for line in (["check-data", "--help"], ["check_data", "--help"], ["weights", "get", "--help"]):
        assert main(line) == 0
        assert f"Usage: aotlab {' '.join(line[:-1])} " in capsys.readouterr().out
    assert main(["weights", "gte"]) == 2
    assert "Did you mean 'get'?" in capsys.readouterr().err


@pytest.mark.parametrize(("shell", "words", "current", "kind", "expected"), [
    ("bash", "tr", "1", "plain", {"track", "train"}),
    ("bash", "train --rest", "2", "plain", {"--restart"}),
    ("bash", "score --json fi", "3", "file", {"fi"}),
    ("zsh", "export --precision ", "3", "plain", {"float32", "int8"}),
    ("fish", "weights sho", "sho", "plain", {"show"}),
])  # fmt: skip
def test_shells_complete(monkeypatch, capsys, shell, words, current, kind, expected):
    monkeypatch.setenv(COMPLETION_VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", f"aotlab {words}")
    monkeypatch.setenv("COMP_CWORD", current)
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert expected <= {word for line in lines for word in line.replace("\t", ",").split(",")}
    assert len([line for line in lines if kind in line]) == len(expected)


def test_completion_prints_the_set_up_of_shells(capsys):
    assert main(["completion"]) == 0
    assert 'eval "$(_AOTLAB_COMPLETE=bash_source aotlab)"' in capsys.readouterr().out


@pytest.mark.parametrize(("line", "option"), [
    *((["export", "--output", "o", "--size", text], "--size") for text in ("0x0", "²x5", "9" * 5000 + "x5")),
    *((["table", "a", "--ranks", text], "--ranks") for text in ("0", "auto:25", "nan")),
    *((["score", "a", "--worst", text], "--worst") for text in ("-1", "2147483648", "1e400", "inf")),
    *((["eval", "--scales", text], "--scales") for text in ("0", "nan", "17", "")),
])  # fmt: skip
def test_invalid_numbers_of_commands_are_one_sentence(line, option, run_expecting_error):
    message = run_expecting_error(main, *line)
    assert message.startswith(f"error: {option}: ")
    assert len(message) < 300


@pytest.mark.parametrize(
    "value",
    ["n" * 300, "memory.every=" + "9" * 5000, "x\0y", "a\x1b[2Jb\nc\u202e"],
    ids=["long", "setting", "nul", "control"],
)
@pytest.mark.parametrize("line", ["--checkpoint ?", "--config ?"])
def test_impossible_path_is_reported_in_one_sentence(run_expecting_error, value, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [value if word == "?" else word for word in line.split()]
    run_expecting_error(main, "eval", "--dataset", "davis2017", *words, "--output", "out")


@pytest.mark.parametrize(
    ("local", "error", "count"),
    [("0", InputError, 1), ("1", InputError, 0), ("0", click.UsageError, 1), ("1", click.UsageError, 0)],
)
def test_common_errors_are_printed_once_per_machine(monkeypatch, capsys, local, error, count):
    @command("example", "")
    def run_expecting_error():
        raise error("--x: wrong")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", local)
    assert run_expecting_error([]) == 2
    assert capsys.readouterr().err.count("--x: wrong") == count


@pytest.mark.parametrize(("local", "level"), [("0", logging.INFO), ("1", logging.WARNING)])
def test_messages_are_logged_once_per_machine(monkeypatch, local, level):
    @command("example", "")
    def check_level():
        return int(logging.getLogger("aotlab.utils.devices").getEffectiveLevel() != level)

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", local)
    assert check_level([]) == 0


def test_stopped_run_has_status_of_its_signal():
    @command("example", "")
    @option("--signal", type=int, help="number")
    def stop(signal):
        raise RunStopped("interrupted; saved", signal_number=signal)

    assert [stop([]), stop(["--signal=2"]), stop(["--signal=15"])] == [1, 130, 143]


def test_libraries_log_warnings_only(tmp_path):
    program = tmp_path / "noting.py"
    program.write_text(
        "import atexit, logging\n"
        "from aotlab.tools.cli.command import command\n"
        "@command('program', '')\n"
        "def main():\n"
        "    atexit.register(logging.getLogger('torch._subclasses.fake_tensor').info, 'cache_misses: 0')\n"
        "    logging.getLogger('aotlab.engine').info('ours')\n"
        "    logging.getLogger('library').warning('theirs')\n"
        "    raise KeyboardInterrupt\n"
        "raise SystemExit(main())\n"
    )
    done = run_python(program)
    assert (done.returncode, done.stderr) == (130, "ours\ntheirs\ninterrupted\n")


PLUGIN = """
import click
from aotlab import InputError
from aotlab.sdk import command
@command("aotlab greet", "Greet.")
@click.argument("name", metavar="NAME")
def main(name):
    if name == "nobody":
        raise InputError("greet: nobody is there")
    return 0
@click.command()
def plain():
    print("hello")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package with the command ``greet``."""
    (tmp_path / "greeter.py").write_text(PLUGIN)
    info = tmp_path / "greeter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[aotlab.commands]\ngreet = greeter:main\nplain = greeter:plain\nbroken = greeter:nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(("line", "status", "words"), [
    ("greet you", 0, ""),
    ("greet nobody", 2, "error: greet: nobody is there"),
    ("greet", 2, "Missing argument 'NAME'; see aotlab greet --help"),
    ("plain", 0, ""),
    ("broken", 2, "broken: greeter does not load"),
    ("gret", 2, "gret: no such command; did you mean greet?"),
])  # fmt: skip
def test_plugin_commands_run_like_built_in_ones(plugin, capsys, line, status, words):
    assert main(line.split()) == status
    assert words in capsys.readouterr().err


def test_help_lists_plugins_after_built_in_commands(plugin, capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.index("track") < out.index("greet   ") < out.index("Exit codes")
    assert "of the package greeter" in out


@pytest.mark.parametrize("name", PACKAGES)
def test_missing_package_of_a_command_is_one_sentence(monkeypatch, capsys, name):
    monkeypatch.setattr(plugins, "_read_entry_points", lambda group, path: [])
    assert main([name, "--help"]) == 2
    message = f"error: aotlab {name}: not installed; pip install {PACKAGES[name][1]} in a checkout\n"
    assert capsys.readouterr().err == message
    assert main(["--help"]) == 0
    assert f"  {name} " in capsys.readouterr().out


@pytest.mark.filterwarnings("error")
def test_a_large_image_is_read_without_a_warning_of_pillow(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)

    @command("aotlab read", "Read an image.")
    def read():
        assert read_image(tmp_path / "large.png").shape == (10, 10, 3)

    assert read([]) == 0


@pytest.mark.parametrize(("encoding", "size"), [("cp1251", b"4\\xd74"), ("utf-8", "4×4".encode())])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_text_that_an_encoding_lacks_is_escaped(monkeypatch, stream, encoding, size):
    @command("aotlab example", "")
    def show():
        print(f"4×4 {os.fsdecode(bytes([0xFF]))}.png", file=getattr(sys, stream))

    content = io.BytesIO()
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(content, encoding=encoding, write_through=True))
    assert show([]) == 0
    assert content.getvalue() == size + b" \\udcff.png\n"
