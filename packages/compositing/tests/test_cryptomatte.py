"""Cryptomatte: hashes and channels."""

import numpy as np
import pytest

from aotlab_compositing.cryptomatte import hash_name, make_channels, name_to_id


@pytest.mark.parametrize(("name", "value"), [("", 0), ("hello", 613153351), ("bunny", 0x13851A76), ("dög", 273258102)])
def test_murmurhash_equals_published_values(name, value):
    assert hash_name(name) == value


def test_pixel_of_three_objects_has_two_groups_of_channels():
    parts = {"a": np.array([[0.5, 0, 0]]), "b": np.array([[0.2, 1, 0]]), "c": np.array([[0.3, 0, 0]])}
    channels = make_channels("x", parts)
    assert sorted(channels) == [f"x0{group}.{key}" for group in (0, 1) for key in "ABGR"]
    owners = np.stack([channels[name][0].view(np.uint32) for name in ("x00.R", "x00.B", "x01.R", "x01.B")])
    a, b, c = map(name_to_id, "abc")
    assert owners.tolist() == [[a, b, 0], [c, 0, 0], [b, 0, 0], [0, 0, 0]]
    coverage = np.stack([channels[name][0] for name in ("x00.G", "x00.A", "x01.G", "x01.A")])
    np.testing.assert_allclose(coverage, [[0.5, 1, 0], [0.3, 0, 0], [0.2, 0, 0], [0, 0, 0]])


def test_ids_are_floats_without_special_exponents():
    ids = np.array([name_to_id(f"object.{number}") for number in range(3000)], np.uint32).view(np.float32)
    assert np.isfinite(ids).all()
    assert (np.abs(ids) >= np.finfo(np.float32).tiny).all()
