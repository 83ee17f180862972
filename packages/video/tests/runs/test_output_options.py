"""Options that installed outputs add, shared by several or not."""

import logging
from importlib.metadata import EntryPoint

import pytest

from aotlab.utils.errors import InputError
from aotlab_video.runs import output_options
from aotlab_video.runs.output_options import (
    OutputOption,
    fill_options,
    list_output_options,
    parse_output_options,
    select_options,
)

SIDE = OutputOption("side", "which side", ("left", "right"))
THIN_LINES = OutputOption("thin_lines", "draw thin lines")
BOTH, ONE = (SIDE, THIN_LINES), (OutputOption("side", "which side", ("left", "right")),)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    points = {
        name: EntryPoint(name, f"{__name__}:{value}", output_options.OUTPUT_OPTION_PLUGINS)
        for name, value in (("sketch", "BOTH"), ("outline", "ONE"))
    }
    monkeypatch.setattr(output_options, "list_plugins", lambda group: points)
    return points


def test_equal_options_are_shared():
    assert list_output_options() == {SIDE: ["sketch", "outline"], THIN_LINES: ["sketch"]}
    assert list_output_options(["outline"]) == {SIDE: ["outline"]}
    assert [SIDE.flag, THIN_LINES.flag] == ["--side", "--thin-lines"]


def test_outputs_get_all_values_and_records_the_changed_ones():
    values = parse_output_options({"side": "right", "thin_lines": False}, ["masks", "outline"])
    assert values == {"side": "right"}
    assert fill_options("sketch", values) == {"side": "right", "thin_lines": False}
    assert select_options("outline", values) == {"side": "right"}
    assert fill_options("masks", values) == select_options("masks", values) == {}


def test_options_that_do_not_load_are_left_out(installed, tmp_path, monkeypatch, caplog):
    (tmp_path / "broken_sketch.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    installed["broken"] = EntryPoint("broken", "broken_sketch:OPTIONS", output_options.OUTPUT_OPTION_PLUGINS)
    for _ in range(2):
        assert [*list_output_options()] == [SIDE, THIN_LINES]
    assert caplog.record_tuples == [(
        "aotlab.video", logging.WARNING,
        "options of the output broken: broken_sketch:OPTIONS does not load (division by zero); reinstall it",
    )]  # fmt: skip
    with pytest.raises(InputError, match=r"^broken: broken_sketch:OPTIONS does not load"):
        fill_options("broken", {})


@pytest.mark.parametrize(("values", "message"), [
    ({"sides": "left"}, "output option sides: not one of side, thin_lines; did you mean side?"),
    ({"color": "red"}, "output option color: not one of side, thin_lines; install the package of its output"),
    ({"side": "rigt"}, "side rigt: not one of left, right; did you mean right?"),
    ({"thin_lines": "yes"}, "thin_lines yes: not one of True, False"),
    ({"thin_lines": True}, "thin_lines=True (--thin-lines): no effect on masks, outline; write sketch, or remove it"),
])  # fmt: skip
def test_invalid_options_rejected(values, message):
    with pytest.raises(InputError) as error:
        parse_output_options(values, ["masks", "outline"])
    assert str(error.value) == message
