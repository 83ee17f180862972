"""Progress: a bar on a terminal, lines elsewhere."""

import io
import sys

from aotlab.utils import progress
from aotlab.utils.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def painted(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(500, unit="frame", title="tracking") as bar:
        for _ in range(500):
            bar.update()
    return stream.getvalue()


def test_terminal_gets_a_bar_and_the_log_file_of_a_long_run_few_lines(monkeypatch):
    assert "\r" in painted(monkeypatch, Terminal())
    assert painted(monkeypatch, io.StringIO()) == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 1e-9)
    text = painted(monkeypatch, io.StringIO())
    assert "\r" not in text
    assert "500/500" in text.splitlines()[-1]


def test_nothing_to_do_has_no_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(0, unit="folder"):
        pass
    assert stream.getvalue() == ""
