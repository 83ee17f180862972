"""A folder of named weights that cannot be used, and sources that are no checkpoints: one sentence, nothing kept."""

from __future__ import annotations

import os
import resource

import pytest

from aotlab.networks.weights.zoo import get_weights, weights_path
from aotlab.tools.weights import main
from aotlab.utils.errors import InputError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AOTLAB_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "weights").mkdir(parents=True)
    return tmp_path / "home" / "weights"


@pytest.mark.parametrize("record", [None, b"", b"\xff\xfe", b"abc  aott.safetensors"])
def test_a_record_that_is_damaged_is_a_changed_file(home, record, capsys):
    (home / "aott.safetensors").write_bytes(b"x")
    if record is not None:
        (home / "aott.safetensors.sha256").write_bytes(record)
    with pytest.raises(InputError, match="not what was stored"):
        weights_path("aott")
    assert main(["verify"]) == 1
    assert main(["path", "aott"]) == 2
    assert main(["list"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "source",
    [
        "/dev/zero",
        "/",
        "gone",
        "file:///gone",
        "http://[::1",
        "http://127.0.0.1:1/x",
        "hf://a",
        "hf:///",
        "a\0b",
        "",
    ],
)
def test_a_source_that_is_no_file_is_refused_and_leaves_nothing(home, source):
    with pytest.raises(InputError):
        get_weights("aots", source=source)
    assert not [path.name for path in home.iterdir() if path.name != ".aots.lock"]


def test_a_pipe_and_a_full_disk_are_refused_and_leave_nothing(home, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    with pytest.raises(InputError, match="no such file"):
        get_weights("aots", source=str(tmp_path / "pipe"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(InputError, match="File too large"):
            get_weights("aots", source=str(tmp_path / "large"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path.name for path in home.iterdir() if path.name != ".aots.lock"]


@pytest.mark.parametrize("value", ["~nobodyhasthisname/x", "/dev/null", "n" * 5000])
def test_a_home_that_cannot_be_is_named(value, monkeypatch, capsys):
    monkeypatch.setenv("AOTLAB_HOME", value)
    for argv in (["list"], ["path", "aott"], ["verify"], ["get", "aott", "--from", "x"]):
        assert main(argv) in ((0, 2) if argv[0] in ("list", "verify") else (2,)), argv
    assert "Traceback" not in capsys.readouterr().err


def test_the_lock_is_not_followed_where_it_is_a_link(home, tmp_path):
    (tmp_path / "mine").write_text("kept")
    (home / ".aots.lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="cannot be made"):
        get_weights("aots", source="gone")
    assert (tmp_path / "mine").read_text() == "kept"
