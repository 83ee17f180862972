"""Versioned files with changed or corrupt content: rejected in one sentence."""

import json
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aotlab.utils import versioned_files
from aotlab.utils.versioned_files import FileKind, read_versioned, unwrap, wrap, write_versioned
from tests.mutations import mutate_tree

KIND = FileKind("record", 3, "write it again")
CONTENT = {"name": "a", "frames": 3, "seconds": 1.5, "error": None, "masks": ["a.png"], "inputs": {"video": {"x": [1]}}}


def test_changed_field_rejected(tmp_path, caplog):
    kind, content = KIND, CONTENT
    path, random = tmp_path / "file.json", Random(0)
    write_versioned(path, kind, content)
    assert read_versioned(path, kind, dict) == content
    tree = json.loads(path.read_text())
    for _ in range(60):
        changed = mutate_tree(tree, random)
        path.write_text(json.dumps(changed))
        if changed != tree:
            caplog.clear()
            assert read_versioned(path, kind, dict) is None
            records = [record for record in caplog.records if record.name == versioned_files.log.name]
            (message,) = [record.getMessage() for record in records]
            assert message.endswith(kind.remedy)
            assert "\n" not in message
            message.encode()  # no half of a surrogate pair


@given(
    st.binary()
    | st.sampled_from([b"", b"{", b"[]", b"5", b"null", b"[" * 100000, b"\xff\xfe", b'{"frames": 3}'])
    | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(lambda tree: json.dumps(tree).encode())
)
def test_corrupt_record_is_skipped(tmp_path, caplog, content):
    caplog.clear()
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert read_versioned(path, KIND, dict) is None
    assert "file.json: not " in caplog.text
    assert KIND.remedy in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool])
@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_changed_tensor_rejected(dtype, shape):
    tensor = torch.zeros(shape, dtype=dtype)
    wrapped = wrap(KIND, {"nested": [tensor.movedim(0, -1), torch.zeros(0)]})
    unwrap(KIND, wrapped)
    tensor.view(-1)[-1] = 1
    with pytest.raises(ValueError, match="changed or damaged"):
        unwrap(KIND, wrapped)


def test_missing_record_is_silent(tmp_path, caplog):
    assert read_versioned(tmp_path / "file.json", KIND, dict) is None
    assert caplog.text == ""


def test_record_of_another_version_is_logged(tmp_path, caplog):
    write_versioned(tmp_path / "file.json", KIND._replace(version=KIND.version + 1), {})
    assert read_versioned(tmp_path / "file.json", KIND, dict) is None
    assert "written by another program or another version of this one" in caplog.text
