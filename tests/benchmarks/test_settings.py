"""Settings in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotlab.utils.errors import InputError
from benchmarks.baseline import PARTS
from benchmarks.settings import Setting, parse_setting


def test_settings_of_the_run_and_of_the_config_are_separated():
    text = "r50_aotl,memory.every=2,objects=10,size=640x360,precision=bfloat16,compile=true"
    assert parse_setting(text) == Setting(
        title=text, config="r50_aotl", overrides=("memory.every=2",), objects=10, size=(640, 360),
        precision="bfloat16", compile=True,
    )  # fmt: skip


def test_a_checkpoint_may_replace_the_config():
    setting = parse_setting("a.safetensors,memory.every=2")
    assert (setting.config, setting.checkpoint) == (None, Path("a.safetensors"))


def test_baseline_all_is_every_part():
    assert parse_setting("aott,baseline=all").baseline == tuple(PARTS)
    assert parse_setting("aott,baseline=norms+sync").baseline == ("norms", "sync")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("objects=2", "starts with no preset"),
        ("aott,objects=0", "objects: must be at least 1, got 0"),
        ("aott,objects=many", "objects: expected a whole number, got many"),
        ("aott,size=64", "expected WIDTHxHEIGHT"),
        ("aott,size=8x48", "at least 16 pixels"),
        ("aott,baseline=everything", "got everything"),
        ("aott,precision=float8", "precision: must be one of float32, bfloat16, float16, auto, got float8"),
        ("aott,compile=true,baseline=all", "cannot be combined"),
        ("aott,compile=maybe", "expected true or false"),
        ("aott,fast", "fast: expected key=value"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_starts_with_it(text, said):
    with pytest.raises(InputError, match=f"^{text}: .*") as caught:
        parse_setting(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
