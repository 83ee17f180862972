"""Progress bars."""

import io
import sys

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


def test_only_a_terminal_gets_a_bar(monkeypatch):
    assert "500/500" in painted(monkeypatch, Terminal())
    assert painted(monkeypatch, io.StringIO()) == ""


def test_nothing_to_do_has_no_bar(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(0, unit="folder"):
        pass
    assert stream.getvalue() == ""
