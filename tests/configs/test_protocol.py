"""Which memory a tracker has: bounded for videos of any length, or the published one of benchmarks."""

from __future__ import annotations

import pytest

from aotlab.configs.load import load_config
from aotlab.configs.protocol import with_protocol
from aotlab.utils.errors import InputError


def test_a_memory_that_keeps_all_frames_is_bounded_unless_the_benchmark_or_the_user_wants_it():
    config = load_config("aotl")
    assert config.memory.policy == "every_nth"
    assert with_protocol(config, "bounded").memory.policy == "restricted"
    assert with_protocol(config, "published") == config
    assert with_protocol(config, "bounded", ["memory.policy=every_nth"]) == config


@pytest.mark.parametrize("preset", ["aott", "r50_aotl_ermu", "r50_deaotl_rmem"])
def test_a_memory_that_is_bounded_stays_as_it_is(preset):
    config = load_config(preset)
    assert with_protocol(config, "bounded") == config


def test_an_unknown_protocol_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="protocol: must be one of bounded, published, got 'paper'"):
        with_protocol(load_config("aotl"), "paper")
