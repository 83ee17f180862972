"""Parser, messages and exit codes shared by all commands."""

import logging
import os
import subprocess
import sys
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, strategies

from aotlab.tools.cli.options import add_config_options
from aotlab.tools.cli.parser import (
    ABOVE_ZERO,
    AT_LEAST_ONE,
    INTEGER,
    MAX_MESSAGE,
    PIXELS,
    CommandParser,
    clean_message,
    command,
    list_type,
)
from aotlab.tools.main import main
from aotlab.utils.errors import InputError, RankError, RunStopped
from aotlab.utils.numbers import parse_bytes, parse_size


def make_parser():
    parser = CommandParser("example", "An example.")
    parser.add_argument("video", nargs="?")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--output")
    parser.add_argument("--flip", action="store_true")
    add_config_options(parser, parser)
    return parser


LINE = ["clip.mp4", "--flip", "--output=a=b", "--scales", "1.0", "1.3"]


@given(strategies.integers(0, len(LINE)), strategies.integers(0, len(LINE) - 3))
def test_settings_may_be_anywhere(last, first):
    line = [*LINE[:last], "memory.frames=4", *LINE[last:]]
    args = make_parser().parse_args([*line[:first], "memory.every=2", *line[first:]])
    assert args.scales == [1.0, 1.3]
    assert sorted(args.overrides) == ["memory.every=2", "memory.frames=4"]
    assert (args.video, args.output, args.flip) == ("clip.mp4", "a=b", True)


def test_mistyped_option_is_suggested():
    with pytest.raises(InputError, match=r"^--scale-s: no such option; did you mean --scales\?$"):
        make_parser().parse_args(["--scale-s", "1", "clip.mp4"])
    with pytest.raises(InputError, match=r"^--zzz: no such option; see aotlab example --help$"):
        make_parser().parse_args(["--zzz=1"])


def make_list_parser():
    parser = CommandParser("example", "An example.", renamed={"--size": "--quality"})
    parser.add_argument("video", nargs="?")
    parser.add_argument("--weights", type=list_type(float), action="extend")
    parser.add_argument("--write", type=list_type(str), action="extend")
    parser.add_argument("--quality")
    return parser


@pytest.mark.parametrize("before", [["--write", "masks"], ["--weights", "2,1"]])
def test_video_named_by_a_number_is_no_part_of_a_list(before):
    assert make_list_parser().parse_args([*before, "0001"]).video == "0001"


def test_lists_are_separated_by_commas_and_extended(caplog):
    args = make_list_parser().parse_args(["--weights", "1,2", "clip.mp4", "--weights=3"])
    assert args.weights == [1, 2, 3]
    assert args.video == "clip.mp4"
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("line", "name", "value", "hint"),
    [
        (
            ["--weights", "1", "2.5", "3"],
            "weights",
            [1, 2.5, 3],
            "--weights 1 2.5 3 is written --weights 1,2.5,3",
        ),
        (["--size", "fast"], "quality", "fast", "--size is written --quality"),
        (["--size=fast"], "quality", "fast", "--size is written --quality"),
    ],
)
def test_earlier_form_of_options_is_read_with_a_hint(caplog, line, name, value, hint):
    assert getattr(make_list_parser().parse_args(line), name) == value
    assert [record.getMessage() for record in caplog.records] == [f"hint: {hint}"]


def test_empty_list_rejected():
    with pytest.raises(InputError, match="--weights: expected values separated by commas"):
        make_list_parser().parse_args(["--weights", ","])


@pytest.mark.parametrize(("option", "level"), [("-q", logging.ERROR), ("-v", logging.DEBUG)])
def test_quiet_and_verbose_set_the_level_of_messages(request, monkeypatch, option, level):
    monkeypatch.delenv("AOTLAB_DEBUG", raising=False)
    logger = logging.getLogger("aotlab")
    request.addfinalizer(partial(logger.setLevel, logger.level))
    make_parser().parse_args([option])
    assert logger.level == level
    assert os.environ.pop("AOTLAB_DEBUG", None) == ("1" if option == "-v" else None)


def test_help_shows_all_commands_or_one(capsys):
    assert main(["help"]) == 0
    assert "exit codes" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["help", "check-data"])
    assert "usage: aotlab check-data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "word", "before", "expected"),
    [
        ("aotlab tr", "tr", "aotlab", ["track", "train"]),
        ("aotlab help tr", "tr", "help", ["track", "train"]),
        ("aotlab track --not", "--not", "track", ["--not-point"]),
        ("aotlab track --quality ", "", "--quality", ["fast", "balanced", "full"]),
        ("aotlab track --mask fi", "fi", "--mask", []),
        ("aotlab weights ver", "ver", "weights", ["verify"]),
    ],
)
def test_completion_prints_candidates(monkeypatch, capsys, line, word, before, expected):
    monkeypatch.setenv("COMP_LINE", line)
    with suppress(SystemExit):
        main(["completion", "aotlab", word, before])
    assert capsys.readouterr().out.split() == expected


def test_completion_prints_the_set_up_of_shells(monkeypatch, capsys):
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert main(["completion"]) == 0
    assert "complete -o default -C 'aotlab completion' aotlab" in capsys.readouterr().out


def test_option_value_is_not_a_setting():
    assert make_parser().parse_args(["--output", "a=b", "c=d"]).overrides == ["c=d"]


@pytest.mark.parametrize("text", ["./take=2", "Take=2", "http://host/video?id=2", "=2", "1=2"])
def test_arguments_with_equals_are_not_settings(text):
    assert make_parser().parse_args([text]).video == text


def test_invalid_option_names_the_command():
    with pytest.raises(InputError, match=r"^--scales: [^\n]+; see aotlab example --help$"):
        make_parser().parse_args(["clip.mp4", "--scales", "big"])


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (AT_LEAST_ONE, "0", "must be a whole number at least 1, got 0"),
        (AT_LEAST_ONE, "1.5", "must be a whole number at least 1"),
        (AT_LEAST_ONE, "99999999999999999999", "at most 2147483647"),
        (INTEGER, "-99999999999999999999", "at least -2147483647"),
        (ABOVE_ZERO, "nan", "must be above 0, got nan"),
        (ABOVE_ZERO, "inf", "must be above 0, got inf"),
        (ABOVE_ZERO, "1e999", "must be above 0, got 1e999"),
        (ABOVE_ZERO, "0", "must be above 0, got 0"),
        (PIXELS, "31", "at least 32 and at most 32768"),
        (PIXELS, "٣٢٠٠٠٠", "at most 32768"),
        (PIXELS, "x" * 500, "got " + "x" * 40),
    ],
)
def test_invalid_number_names_the_option(kind, text, words):
    parser = CommandParser("test", "")
    parser.add_argument("--number", type=kind)
    with pytest.raises(InputError, match=r"^--number: [^\n]+$") as caught:
        parser.parse_args([f"--number={text}"])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        *((["export", "--output", "o", "--size", text], "--size") for text in ("0x0", "²x5", "9" * 5000 + "x5")),
        *((["track", "a", "--remove", text], "--remove") for text in ("9" * 5000 + ":1", "1:0", "²:1", "1:-1")),
        *((["track", "a", "--depth", text], "--depth") for text in ("0", "auto:25", "nan")),
        *((["score", "a", "--worst", text], "--worst") for text in ("-1", "2147483648", "1e400", "inf")),
        *((["eval", "--scales", text], "--scales") for text in ("0", "nan", "17", "")),
    ],
)  # fmt: skip
def test_invalid_numbers_of_commands_are_one_sentence(line, option, capsys):
    assert main(line) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {option}: ")
    assert message.count("\n") == 1
    assert len(message) < 300


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (parse_size, "854x480", (854, 480)),
        (parse_size, "1x1", (1, 1)),
        (parse_bytes, "2GB", 2 * 10**9),
        (parse_bytes, "1.5 GiB", 3 * 2**29),
        (parse_bytes, "7b", 7),
    ],
)
def test_sizes_and_bytes_are_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((parse_size, text) for text in ("", "854", "854x", "0x480", "-1x2", "1.5x2", "axb")),
        *((parse_bytes, text) for text in ("", "2", "0GB", "GB", "-1GB", "1e3GB", "2 bits")),
    ],
)
def test_invalid_sizes_and_bytes_show_an_example(read, text):
    with pytest.raises(ValueError, match="for example"):
        read(text)


@given(strategies.text(max_size=3 * MAX_MESSAGE))
def test_messages_are_printable_and_bounded(text):
    shown = clean_message(text)
    assert shown.isprintable()
    assert len(shown) <= MAX_MESSAGE + len(" ... ")


@pytest.mark.parametrize(
    "value",
    ["n" * 300, "memory.every=" + "9" * 5000, "x\0y", "a\x1b[2Jb\nc\u202e"],
    ids=["long", "setting", "nul", "control"],
)
@pytest.mark.parametrize("option", ["VIDEO", "--mask", "--checkpoint", "--config"])
def test_impossible_path_is_one_sentence(capsys, value, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").touch()
    line = ["track", "x", "--mask", "x", "--output", "out"]
    assert main([*line[:1], value, *line[2:]] if option == "VIDEO" else [*line, option, value]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "internal error" not in message


@pytest.mark.parametrize(
    ("local", "error", "count"), [("0", InputError, 1), ("1", InputError, 0), ("1", RankError, 1)]
)
def test_common_errors_are_printed_once_per_machine(monkeypatch, capsys, local, error, count):
    @command
    def refuse(argv):
        raise error("--x: wrong")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", local)
    assert refuse([]) == 2
    assert capsys.readouterr().err.count("--x: wrong") == count


def test_stopped_run_has_status_of_its_signal(capsys):
    @command
    def stop(argv):
        raise RunStopped("interrupted; saved", signal_number=argv)

    assert [stop(None), stop(2), stop(15)] == [1, 130, 143]


def test_libraries_log_warnings_only(tmp_path):
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


PLUGIN = """
from aotlab import InputError
from aotlab.sdk import CommandParser
def main(argv):
    parser = CommandParser("greet", "Greet.")
    parser.add_argument("name")
    if parser.parse_args(argv).name == "nobody":
        raise InputError("greet: nobody is there")
    return 0
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package with the command ``greet``."""
    (tmp_path / "greeter.py").write_text(PLUGIN)
    info = tmp_path / "greeter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[aotlab.commands]\ngreet = greeter:main\nbroken = greeter:nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("greet you", 0, ""),
        ("greet nobody", 2, "error: greet: nobody is there"),
        ("greet", 2, "required: name; see aotlab greet --help"),
        ("broken", 2, "broken: greeter does not load"),
        ("gret", 2, "no such command; did you mean greet?"),
    ],
)
def test_plugin_commands_run_like_built_in_ones(plugin, capsys, line, status, words):
    assert main(line.split()) == status
    assert words in capsys.readouterr().err


def test_help_lists_plugins_after_built_in_commands(plugin, capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.index("track") < out.index("greet   ") < out.index("exit codes")
    assert "of the package greeter" in out


@pytest.mark.parametrize("name", ["annotate", "convert"])
def test_missing_studio_is_named(name, capsys, monkeypatch):
    monkeypatch.setattr("aotlab.tools.main.list_plugins", lambda group: {})
    assert main([name, "video.mp4"]) == 2
    expected = f"error: aotlab {name}: needs the package aotlab-studio; pip install ./studio in a checkout\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--memory", "restrictd"], "--memory restrictd: no such choice; did you mean restricted?"),
        (["--frame-numbers", "x"], "--frame-numbers x: no such choice; choose from index, file"),
        (["--write", "coc"], "write coc: unknown output; did you mean coco?"),
    ],
)
def test_misspelt_choice_names_the_nearest(options, words, capsys, tmp_path):
    (tmp_path / "it.mp4").touch()
    (tmp_path / "m.png").touch()
    line = ["track", str(tmp_path / "it.mp4"), "--mask", str(tmp_path / "m.png"), *options]
    assert main([*line, "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr() == ("", f"error: {words}\n")
