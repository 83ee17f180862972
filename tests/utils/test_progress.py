"""Progress: a bar on a terminal, lines elsewhere."""

import io
import sys

from aotlab.utils import progress
from aotlab.utils.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run_bar(monkeypatch, stream, count=500, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(count, unit="frame", title="tracking", **options) as bar:
        for _ in range(count):
            bar.update()
    return stream.getvalue()


def test_terminal_gets_a_bar_and_a_log_file_few_lines(monkeypatch):
    assert "\r" in run_bar(monkeypatch, Terminal())
    assert run_bar(monkeypatch, Terminal(), 0) == run_bar(monkeypatch, Terminal(), enabled=False) == ""
    assert run_bar(monkeypatch, io.StringIO()) == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 1e-9)
    text = run_bar(monkeypatch, io.StringIO())
    assert "\r" not in text
    assert "500/500" in text.splitlines()[-1]
    assert len(text.splitlines()) > 5
