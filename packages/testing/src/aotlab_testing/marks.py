"""Marks of tests: parameters that are slow, presets of every method, systems with signals and forks."""

import os
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import pytest

from aotlab.configs.files import ROOT

METHOD_PRESETS = ("aott", "r50_aotl_rmem", "deaott", "r50_deaotl_rmem", "msdeaott", "aost", "r50_paotl")
needs_pymatting = pytest.mark.skipif(not find_spec("pymatting"), reason="needs pymatting")  # not imported by the test
needs_compositing = pytest.mark.skipif(not find_spec("aotlab_compositing"), reason="needs aotlab_compositing")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs signals, forks or devices of POSIX")


needs_all_packages = pytest.mark.skipif(
    not (ROOT / "packages" / "studio").is_dir(), reason="checks the whole checkout, which lacks packages here"
)


def slow(*values: Any) -> list[Any]:
    """Return parameters of a test, each a value or a tuple of values, that run with ``scripts/test.sh --all`` only."""
    rows = (value if isinstance(value, tuple) else (value,) for value in values)
    return [pytest.param(*row, marks=pytest.mark.slow) for row in rows]


def one_of_each_method(presets: Iterable[str]) -> list[Any]:
    """Return presets as parameters of a test; one of each method is quick, the others are `slow`."""
    return [part for preset in presets for part in ([preset] if preset in METHOD_PRESETS else slow(preset))]
