"""Versioned files with changed or corrupt content: rejected in one sentence."""

import json
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aotlab.utils.errors import InputError
from aotlab.utils.files import read_json, reading
from aotlab.utils.versioned_files import FileKind, unwrap, wrap, write_versioned
from aotlab_testing.mutations import mutate_tree

KIND = FileKind("record", 3, "write it again")
CONTENT = {"name": "a", "frames": 3, "seconds": 1.5, "error": None, "masks": ["a.png"], "inputs": {"video": {"x": [1]}}}


def read(path):
    """Return the content of a file of `KIND`."""
    with reading(path, KIND.remedy):
        return unwrap(KIND, read_json(path, KIND.remedy))


def test_changed_field_rejected(tmp_path):
    path, random = tmp_path / "file.json", Random(0)
    write_versioned(path, KIND, CONTENT)
    assert read(path) == CONTENT
    tree = json.loads(path.read_text())
    for _ in range(60):
        changed = mutate_tree(tree, random)
        path.write_text(json.dumps(changed))
        if changed != tree:
            with pytest.raises(InputError) as caught:
                read(path)
            message = str(caught.value)
            assert message.endswith(KIND.remedy)
            assert "\n" not in message
            message.encode()  # no half of a surrogate pair


@given(
    st.binary()
    | st.sampled_from([b"", b"{", b"[]", b"5", b"null", b"[" * 100000, b"\xff\xfe", b'{"frames": 3}'])
    | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(lambda tree: json.dumps(tree).encode())
)
def test_corrupt_file_rejected(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file\.json: not readable .*; write it again"):
        read(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool])
@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_changed_tensor_rejected(dtype, shape):
    tensor = torch.zeros(shape, dtype=dtype)
    wrapped = wrap(KIND, {"nested": [tensor.movedim(0, -1), torch.zeros(0)]})
    unwrap(KIND, wrapped)
    tensor.view(-1)[-1] = 1
    with pytest.raises(ValueError, match="changed or damaged"):
        unwrap(KIND, wrapped)


def test_file_of_another_version_rejected(tmp_path):
    write_versioned(tmp_path / "file.json", KIND._replace(version=KIND.version + 1), {})
    with pytest.raises(InputError, match="written by another program or another version of this one"):
        read(tmp_path / "file.json")
