"""Downloads from a local server, some of which are cut off."""

import os
from email.utils import formatdate

import pytest

from aotlab.utils.downloads import download
from aotlab.utils.errors import InputError
from aotlab.utils.files import sha256


@pytest.fixture
def source(file_server, tmp_path):
    """Path and address of a file."""
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * 3)
    return path, f"{file_server.url}/source.bin"


def test_download_continues_after_its_part(source, tmp_path, file_server):
    path, address = source
    target = tmp_path / "new" / "target.bin"
    file_server.truncates = True
    with pytest.raises(InputError, match="256 of 768 bytes"):
        download(address, target)
    file_server.truncates = False
    (tmp_path / "new" / "target.bin.part").write_bytes(b"x" * 256)
    download(address, target)
    assert target.read_bytes() == b"x" * 255 + path.read_bytes()[255:]  # the last byte is sent again
    assert [file.name for file in target.parent.iterdir()] == ["target.bin"]


def test_file_that_changed_is_downloaded_anew(source, tmp_path, file_server):
    path, address = source
    target = tmp_path / "new" / "target.bin"
    file_server.truncates = True
    with pytest.raises(InputError, match="256 of 768 bytes"):
        download(address, target)
    file_server.truncates = False
    path.write_bytes(b"y" * 200)  # shorter than the part
    os.utime(path, (0, 0))
    assert download(address, target).read_bytes() == b"y" * 200
    assert [file.name for file in target.parent.iterdir()] == ["target.bin"]


def test_part_of_an_unknown_file_is_not_resumed(source, tmp_path):
    path, address = source
    (tmp_path / "target.bin.part").write_bytes(b"x" * 100)
    assert download(address, tmp_path / "target.bin").read_bytes() == path.read_bytes()


def test_server_without_ranges_sends_the_whole_file(source, tmp_path, monkeypatch):
    path, address = source
    (tmp_path / "target.bin.part").write_bytes(b"x" * 100)
    (tmp_path / "target.bin.part.etag").write_text('"1"')
    monkeypatch.setattr("aotlab.utils.downloads.Request", lambda address, headers: address)
    assert download(address, tmp_path / "target.bin").read_bytes() == path.read_bytes()


def test_complete_part_is_kept(source, tmp_path):
    path, address = source
    (tmp_path / "target.bin.part").write_bytes(b"x" * 767 + path.read_bytes()[-1:])
    (tmp_path / "target.bin.part.etag").write_text(formatdate(path.stat().st_mtime, usegmt=True))
    assert download(address, tmp_path / "target.bin").read_bytes() == b"x" * 767 + path.read_bytes()[-1:]


def test_file_with_another_digest_is_removed(source, tmp_path):
    path, address = source
    target = tmp_path / "target.bin"
    with pytest.raises(InputError, match=r"source\.bin: SHA-256 [0-9a-f]{64}, expected abc; retry"):
        download(address, target, digest="abc")
    assert [file.name for file in tmp_path.iterdir()] == ["source.bin"]
    assert download(address, target, digest=sha256(path)) == target


@pytest.mark.parametrize(("name", "message"), [("missing.bin", "HTTP Error 404"), ("", "Connection refused")])
def test_failed_download_is_one_sentence(file_server, tmp_path, name, message):
    address = f"{file_server.url}/{name}" if name else "http://127.0.0.1:1/x"
    with pytest.raises(InputError) as failure:
        download(address, tmp_path / "target.bin")
    assert str(failure.value).startswith(f"{address}: not readable (")
    assert str(failure.value).endswith("); check address and network; the same command resumes")
    assert message in str(failure.value)
