"""Every kind of file of our own with any of its fields changed: read as it was, or refused in one sentence."""

import json
from dataclasses import asdict
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aotlab.engine.benchmark.evaluator import Finished
from aotlab.engine.video.batch import RUN_KIND
from aotlab.engine.video.job import JobRecord
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import RECORD, read_own, read_usable, write_own
from tests.altered import altered

CONTENTS = {
    "job": (RECORD, asdict(JobRecord("a", "a.mp4", "digest", 3, 1.5, "24", None, ["masks"], ["a.png"]))),
    "sequence": (RECORD, asdict(Finished("digest", 3, 1.5, 2.5))),
    "run": (RUN_KIND, {"settings": {"write": ["masks"]}, "jobs": ["a", "b"]}),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_changed_field_rejected(tmp_path, name):
    kind, content = CONTENTS[name]
    path, random = tmp_path / "file.json", Random(0)
    write_own(path, kind, content)
    assert read_own(path, kind, dict) == content
    tree = json.loads(path.read_text())
    for _ in range(60):
        changed = altered(tree, random)
        path.write_text(json.dumps(changed))
        if changed != tree:
            with pytest.raises(InputError, match=kind.remedy) as refusal:
                read_own(path, kind, dict)
            assert "\n" not in str(refusal.value)


@given(
    st.binary()
    | st.sampled_from([b"", b"{", b"[]", b"5", b"null", b"[" * 100000, b"\xff\xfe", b'{"frames": 3}'])
    | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(
        lambda tree: json.dumps(tree).encode()
    )
)
@settings(max_examples=50)
def test_corrupt_record_is_skipped(tmp_path, caplog, content):
    caplog.clear()
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert read_usable(path, RECORD, dict) is None
    assert "file.json: not a usable record of a run" in caplog.text


def test_missing_record_is_silent(tmp_path, caplog):
    assert read_usable(tmp_path / "file.json", RECORD, dict) is None
    assert caplog.text == ""


def test_other_version_and_huge_file_rejected(tmp_path):
    path = tmp_path / "file.json"
    write_own(path, RECORD._replace(version=2), {})
    with pytest.raises(InputError, match="version 2; this program reads 1"):
        read_own(path, RECORD, dict)
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="at most 64 MiB"):
        read_own(path, RECORD, dict)


def test_infinity_is_damage(tmp_path):
    write_own(tmp_path / "own.json", RECORD, {"frames": float("inf")})
    with pytest.raises(InputError, match="Infinity is not a number of JSON"):
        read_own(tmp_path / "own.json", RECORD, dict)
