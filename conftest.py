"""Fixtures and settings of the tests of all folders."""

import gc
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.limits import drop_root

# Processes share the cores, and small models lose time to threads; set before PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Temporary files are in memory if there is room: tests sync and delete many small ones.
RAM_FOLDER = "/dev/shm"
if os.path.isdir(RAM_FOLDER) and shutil.disk_usage(RAM_FOLDER).free > 8 * 2**30:
    tempfile.tempdir = os.environ.setdefault("TMPDIR", RAM_FOLDER)

gc.disable()  # until all tests are collected, as nothing becomes garbage before

# Properties draw the same examples every time, however busy the machine is, and fewer in a run without slow tests.
for name, examples in (("quick", 30), ("thorough", 150)):
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )

# A suite started in the background of a shell inherits ignored signals, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # not on Windows
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config):
    """Choose the number of examples before test modules are imported: `given` and `settings` read it there."""
    settings.load_profile("quick" if "not slow" in config.option.markexpr else "thorough")


@pytest.hookimpl(tryfirst=True)  # before markers select tests
def pytest_collection_modifyitems(config, items):
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("page")


def pytest_collection_finish():
    gc.freeze()  # exclude imported objects from garbage collection
    gc.enable()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True, scope="session")
def temporary_folder():
    """Remove the temporary files of programs at the end; a short path, as it contains sockets."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        if "AOTLAB_HOME" not in os.environ:  # tests neither use nor fill the cache of this user
            patch.setenv("AOTLAB_HOME", f"{folder}/home")
        patch.setattr("tempfile.tempdir", folder)
        patch.setitem(multiprocessing.current_process()._config, "tempdir", folder)
        os.chmod(folder, 0o1777)  # like /tmp, for tests that run as another user
        yield


@pytest.fixture(autouse=True)
def log_level():
    """Undo the level of messages of commands that ran in this process, also in fixtures of a module."""
    logging.getLogger("aotlab").setLevel(logging.NOTSET)


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


@pytest.fixture(scope="session")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    from studio.tests.annotation.browser import CHROMIUM, FLAGS  # imports the studio
    from tests.processes import WAIT_SECONDS

    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        timer = threading.Timer(WAIT_SECONDS, kill_children)  # otherwise a hang of the browser's driver never ends
        timer.start()
        browser.close()
    timer.cancel()


def kill_children():
    """Kill the processes that this one started, and theirs."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


class FileHandler(SimpleHTTPRequestHandler):
    """Counts the requests, answers those for the end of a file, and sends a third of it if its server truncates."""

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
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FileHandler, directory=str(tmp_path)))
    server.url, server.requests, server.truncates = f"http://127.0.0.1:{server.server_port}", 0, False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
