"""Settings of a run of pytest: hooks and fixtures that every suite needs, imported by the checkout's conftest.py."""

import gc
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings

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
        patch.setitem(vars(multiprocessing.current_process())["_config"], "tempdir", folder)
        os.chmod(folder, 0o1777)  # like /tmp, for tests that run as another user
        yield


@pytest.fixture(autouse=True)
def log_level():
    """Undo the level of messages of commands that ran in this process, also in fixtures of a module."""
    logging.getLogger("aotlab").setLevel(logging.NOTSET)
