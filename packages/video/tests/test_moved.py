"""Names that aotlab had up to version 0.3, and that this package has."""

import re

import pytest

import aotlab
import aotlab_video
from aotlab import MOVED, sdk


@pytest.mark.parametrize("module", [aotlab, sdk], ids=lambda module: module.__name__)
@pytest.mark.parametrize("name", MOVED)
def test_moved_name_says_where_it_is(module, name):
    words = re.escape(f"{name} is in aotlab_video: from aotlab_video import {name}; pip install ./packages/video in ")
    with pytest.raises(ImportError, match=words):
        getattr(module, name)
    assert getattr(aotlab_video, name) is not None
    assert name not in {*dir(module), *module.__all__}


@pytest.mark.parametrize("module", [aotlab, sdk], ids=lambda module: module.__name__)
def test_other_names_are_missing_attributes(module):
    assert not hasattr(module, "no_such_name")
