"""Fixtures for the tests of several packages, each imported by the conftest.py of those that use it."""

import os
import shutil
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from aotlab.utils import plugins
from aotlab_testing.files import TINY_ENCODER
from aotlab_testing.limits import drop_root


@pytest.fixture
def read_error_line(capsys):
    """Return the one line on stderr of a command that has to have exited with status 2."""

    def check_and_read(status):
        assert status == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return check_and_read


@pytest.fixture
def run_expecting_error(read_error_line):
    """Run a command that has to exit with status 2; return its one line on stderr."""
    return lambda main, *words: read_error_line(main([str(word) for word in words]))


@pytest.fixture
def closed_folder():
    """A folder that this process may not enter, with a file and a folder in it."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no users that a folder can be closed to")
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    folder = base / "closed"
    (folder / "folder").mkdir(parents=True)
    (folder / "inside").write_text("")
    folder.chmod(0)
    with drop_root():
        yield folder
    folder.chmod(0o755)
    shutil.rmtree(base)


class FileServer(ThreadingHTTPServer):
    """Server of files that counts its requests."""

    requests, truncates = 0, False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class FileHandler(SimpleHTTPRequestHandler):
    """Answers requests for the end of a file too, and sends a third of it if its server truncates."""

    server: FileServer

    def do_GET(self):
        self.server.requests += 1
        start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
        path = Path(self.translate_path(self.path))
        date = self.date_time_string(path.stat().st_mtime) if start else ""
        if not start or self.headers.get("If-Range", date) != date:
            super().do_GET()
            return
        content = path.read_bytes()[start:]
        self.send_response(206 if content else 416)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.copyfile(BytesIO(content), self.wfile)

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // (3 if self.server.truncates else 1)])

    def log_message(self, *_):
        pass


@pytest.fixture
def file_server(tmp_path):
    """An HTTP server of the files in ``tmp_path``, with its address as ``url``."""
    server = FileServer(("127.0.0.1", 0), partial(FileHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def models():
    """Each model and its settings, made once."""
    from aotlab_testing.small_model import build  # imports PyTorch

    three_objects = build("aott", "model.max_objects=3")
    return {"aott": build(), "aotl": build("aotl", "memory.every=2"), "three_objects": three_objects}


@pytest.fixture
def small_tracker(models):
    from aotlab.engine.tracking.tracker import Tracker

    return Tracker(*models["aott"])


@pytest.fixture
def unload(monkeypatch):
    """A function that unloads plug-in files, but not the tests' encoder, whose class must remain the same.

    Files that a test loads are unloaded at its end.
    """
    from aotlab_testing.small_model import register_tiny_encoder  # imports PyTorch

    register_tiny_encoder()
    kept = {path: file for path, file in plugins._loaded_files.items() if path == TINY_ENCODER}

    def forget():
        monkeypatch.setattr(plugins, "_loaded_files", {**kept})

    forget()
    return forget


@pytest.fixture
def offer(unload):
    """A function that offers objects by name in a group, as a plug-in file does."""

    def add(group, **objects):
        plugins._loaded_files[Path(f"{group}.py")] = plugins.PluginFile("", {group: objects})

    return add
