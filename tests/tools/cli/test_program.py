"""What every command line has in common."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aotlab.tools.cli.options import add_config_options
from aotlab.tools.cli.parser import CommandParser, command
from aotlab.tools.track import main as track
from aotlab.utils.errors import InputError, RankError
from aotlab.utils.text import byte_count, size_text


def parser() -> CommandParser:
    made = CommandParser("example", description="An example.")
    made.add_argument("video", nargs="?")
    made.add_argument("--scales", type=float, nargs="+", default=[1.0])
    made.add_argument("--output")
    made.add_argument("--flip", action="store_true")
    add_config_options(made, made)
    return made


@pytest.mark.parametrize(
    "line",
    [
        "clip.mp4 --scales 1.0 1.3 memory.every=2 memory.frames=4 --output out",
        "memory.every=2 memory.frames=4 clip.mp4 --scales 1.0 1.3 --output out",
        "memory.every=2 clip.mp4 memory.frames=4 --output out --scales 1.0 1.3",
        "--scales 1.0 1.3 memory.every=2 --output out clip.mp4 memory.frames=4",
    ],
)
def test_settings_may_stand_anywhere(line):
    args = parser().parse_args(line.split())
    assert args.scales == [1.0, 1.3]
    assert args.overrides == ["memory.every=2", "memory.frames=4"]
    assert (args.video, args.output) == ("clip.mp4", "out")


@pytest.mark.parametrize("text", ["./take=2", "Take=2", "http://host/video?id=2", "=2", "1=2"])
def test_other_arguments_with_equals_are_no_settings(text):
    assert parser().parse_args([text, "--output", "a=b"]).video == text


def test_a_wrong_option_is_one_line_that_names_the_command():
    with pytest.raises(InputError, match=r"^argument --scales: [^\n]+; see aotlab example --help$"):
        parser().parse_args(["clip.mp4", "--scales", "big"])


@pytest.mark.parametrize(("text", "size"), [("854x480", (854, 480)), ("1x1", (1, 1))])
def test_sizes_are_width_by_height(text, size):
    assert size_text(text) == size


@pytest.mark.parametrize("text", ["", "854", "854x", "0x480", "-1x2", "1.5x2", "axb"])
def test_a_wrong_size_is_told_with_an_example(text):
    with pytest.raises(ValueError, match="854x480"):
        size_text(text)


@pytest.mark.parametrize(
    ("text", "count"), [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("7b", 7), ("512MB", 512 * 10**6)]
)
def test_amounts_of_memory_have_units(text, count):
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "2", "0GB", "GB", "-1GB", "1e3GB", "2 bits"])
def test_an_amount_without_a_unit_or_number_is_refused(text):
    with pytest.raises(ValueError, match="2GB"):
        byte_count(text)


def test_what_all_ranks_find_wrong_is_said_by_the_first_of_each_machine(monkeypatch, capsys):
    @command
    def refuses(argv):
        raise (RankError if argv else InputError)("--x: wrong")

    monkeypatch.setenv("RANK", "1")
    for local, own, said in (("0", [], 1), ("1", [], 0), ("1", ["own"], 1)):
        monkeypatch.setenv("LOCAL_RANK", local)
        assert refuses(own) == 2
        assert capsys.readouterr().err.count("--x: wrong") == said


def test_a_sentence_holds_no_control_characters_and_has_an_end(capsys):
    @command
    def refuses(argv):
        raise InputError(f"a\x1b[2Jb\nc\u202e {'x' * 5000}")

    assert refuses([]) == 2
    said = capsys.readouterr().err
    assert said.startswith(r"error: a\x1b[2Jb\nc\u202e x")
    assert said.count("\n") == 1
    assert len(said) < 1100


@pytest.mark.parametrize(
    "name", ["n" * 300, "memory.every=" + "9" * 5000, "x\0y"], ids=["long", "setting", "nul"]
)
@pytest.mark.parametrize(
    "line", [["VALUE"], ["x", "--mask", "VALUE"], ["x", "--checkpoint", "VALUE"], ["--config", "VALUE"]]
)
def test_a_value_that_can_be_no_path_is_one_sentence(capsys, name, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").touch()
    arguments = [name if word == "VALUE" else word for word in line]
    assert track([*arguments, "--output", "out"] + (["--mask", "x"] if "--mask" not in line else [])) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "fault" not in message


def test_what_libraries_note_for_their_makers_is_not_shown(tmp_path):
    program = tmp_path / "noting.py"
    program.write_text(
        "import atexit, logging\n"
        "from aotlab.tools.cli.parser import command\n"
        "@command\n"
        "def main(argv=None):\n"
        "    atexit.register(logging.getLogger('torch._subclasses.fake_tensor').info, 'cache_misses: 0')\n"
        "    logging.getLogger('aotlab.engine').info('ours')\n"
        "    logging.getLogger('library').warning('theirs')\n"
        "    raise KeyboardInterrupt\n"
        "raise SystemExit(main())\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "ours\ntheirs\ninterrupted\n")
