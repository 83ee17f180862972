"""Libraries of the package and of its extras."""

import re
from pathlib import Path

import pytest

from aotlab_video.extras import LIBRARIES

MODULES = {"opencolorio": "PyOpenColorIO"}
"""Modules that are not named like their distribution."""


def test_extras_have_the_modules_that_messages_name():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    extras = pytest.importorskip("tomllib").loads(text)["project"]["optional-dependencies"]
    for extra, requirements in extras.items():
        names = [re.match(r"[\w-]+", requirement)[0] for requirement in requirements]
        expected = [module for module, target in LIBRARIES.items() if target == f"./packages/video[{extra}]"]
        assert [MODULES.get(name, name) for name in names] == expected
    assert LIBRARIES["av"] == "./packages/video"
    assert '"av>=' in text
