"""The reference outputs that ship with the tests: what they are made of, and that they are those beside the project."""

from __future__ import annotations

import json
from zlib import crc32

import numpy as np
import pytest

from tests.golden.ship import ARRAYS, TABLES, reduce_file
from tests.shared import SHARED_GOLDEN, SHIPPED_GOLDEN, golden, golden_arrays, golden_clip, golden_table

needs_shared = pytest.mark.skipif(
    not SHARED_GOLDEN.is_dir(), reason="the whole reference outputs (../shared/golden) are not here"
)


def test_shipped_data_is_below_4_mb() -> None:
    files = [path for path in SHIPPED_GOLDEN.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".npz", ".json", ".md"}
    assert sum(path.stat().st_size for path in files) <= 4_000_000


@pytest.mark.parametrize("variant", ["aott", "deaott"])
def test_clips_equal_recorded_checksums(variant: str) -> None:
    _, meta = golden(variant)
    frames, masks = golden_clip(meta)
    assert crc32(frames.tobytes()) == meta["frames_crc32"]
    assert crc32(masks.tobytes()) == meta["masks_crc32"]


@needs_shared
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_equal_shared_data(name: str) -> None:
    shipped, wanted = golden_arrays(name), reduce_file(name)
    assert shipped.keys() == wanted.keys()
    for key, array in wanted.items():
        assert array.dtype == shipped[key].dtype
        np.testing.assert_array_equal(shipped[key], array)


@needs_shared
@pytest.mark.parametrize("name", TABLES)
def test_tables_equal_shared_data(name: str) -> None:
    assert golden_table(name) == json.loads((SHARED_GOLDEN / f"{name}.json").read_text())
