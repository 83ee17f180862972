"""Shards of a list of jobs, as text."""

import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.shards import Shard


@pytest.mark.parametrize(
    ("text", "words"), [("4/4", "I from 0 to N-1"), ("1/2/3", "expected I/N"), ("auto", "auto: expected I/N")]
)
def test_invalid_shard_rejected(text, words):
    with pytest.raises(InputError, match=words):
        Shard.parse(text)
