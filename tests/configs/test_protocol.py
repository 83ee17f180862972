"""Memory of a tracker: bounded for videos of any length, or the published one of benchmarks."""

from __future__ import annotations

import logging

import pytest

from aotlab.configs.load import load_config
from aotlab.configs.protocol import with_protocol
from aotlab.utils.errors import InputError


def test_unbounded_memory_is_replaced_and_logged(caplog):
    caplog.set_level(logging.INFO)
    config = load_config("aotl")
    assert config.memory.policy == "every_nth"
    assert with_protocol(config, "bounded").memory.policy == "restricted"
    assert "aotl: memory.policy restricted keeps 9 frames instead of all as published" in caplog.text
    assert with_protocol(config, "published") == config
    assert with_protocol(config, "bounded", ["memory.policy=every_nth"]) == config


@pytest.mark.parametrize("preset", ["aott", "r50_aotl_ermu", "r50_deaotl_rmem"])
def test_bounded_memory_stays(preset):
    config = load_config(preset)
    assert with_protocol(config, "bounded") == config


def test_unknown_protocol_rejected():
    with pytest.raises(InputError, match="protocol: must be one of bounded, published, got 'paper'"):
        with_protocol(load_config("aotl"), "paper")
