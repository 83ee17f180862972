"""The reference outputs that ship with the tests: what they are made of, and that they are those beside the project."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType
from zlib import crc32

import numpy as np
import pytest

from tests.golden import filler
from tests.golden.ship import ARRAYS, TABLES, reduce_file
from tests.shared import SHARED_GOLDEN, SHIPPED_GOLDEN, golden, golden_arrays, golden_clip, golden_table

needs_shared = pytest.mark.skipif(
    not SHARED_GOLDEN.is_dir(), reason="the whole reference outputs (../shared/golden) are not here"
)


@pytest.fixture(scope="module")
def reference_filler() -> ModuleType:
    """The program beside the project that made the references' weights and clips."""
    spec = importlib.util.spec_from_file_location("golden_fill", SHARED_GOLDEN / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@needs_shared
@pytest.mark.parametrize(
    "variant",
    [
        "aott",
        "deaott",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("r50_deaotl", "swinb_aotl")),
    ],
)
def test_filler_weights_equal_reference_exactly(variant: str, reference_filler: ModuleType) -> None:
    published = golden_table(f"keys/{variant}")
    assert published
    for name, (shape, _) in published.items():
        wanted = reference_filler.array(name, shape).reshape(shape)
        ours = filler.weight(name, tuple(shape))
        assert ours.dtype == wanted.dtype, name
        assert ours.shape == wanted.shape, name
        assert np.array_equal(ours, wanted), name


@needs_shared
@pytest.mark.parametrize(
    "recipe", [(6, 129, 193, 2, 1), (5, 60, 80, 4, 41), (5, 129, 193, 14, 7), (6, 45, 61, 3, 5, {3: 3})]
)
def test_filler_clips_equal_reference_exactly(recipe: tuple, reference_filler: ModuleType) -> None:
    ours, wanted = filler.clip(*recipe), reference_filler.clip(*recipe)
    np.testing.assert_array_equal(ours[0], wanted[0])
    np.testing.assert_array_equal(ours[1], wanted[1])
    np.testing.assert_array_equal(filler.normalize(ours[0]), reference_filler.normalise(wanted[0]))
