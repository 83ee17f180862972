"""The short way of writing what is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotlab.networks.kernels.products import SETS
from aotlab.utils.errors import InputError
from benchmarks.baseline import SLOW_PARTS
from benchmarks.settings import PRODUCTS, Setting, parse_setting


def test_keys_of_the_run_and_of_the_config_are_told_apart():
    setting = parse_setting("r50_aotl,memory.every=2,objects=10,size=640x360,precision=bfloat16,compile")
    assert setting == Setting(
        config="r50_aotl", overrides=("memory.every=2",), objects=10, size=(640, 360), precision="bfloat16",
        compile=True,
    )  # fmt: skip


def test_what_is_not_said_is_as_usual():
    usual = Setting(objects=3, at_frame=7)
    assert parse_setting("aott,objects=1", usual) == Setting(config="aott", objects=1, at_frame=7)


def test_a_checkpoint_may_stand_for_its_config():
    setting = parse_setting("a.safetensors,memory.every=2")
    assert (setting.config, setting.checkpoint) == (None, Path("a.safetensors"))


def test_slow_all_is_every_part():
    assert parse_setting("aott,slow=all").slow == tuple(SLOW_PARTS)
    assert parse_setting("aott,slow=norms+sync").slow == ("norms", "sync")


@pytest.mark.parametrize(
    "text",
    [
        "aott,slow=all",
        "r50_aotl,memory.every=2,slow=norms+sync,objects=10",
        "aott,compile=true",
        "aott,size=64x48,video=a.mp4",
        "weights/a.safetensors,objects=2",
        "aott,checkpoint=a.pth",
    ],
)
def test_the_title_is_read_back(text):
    setting = parse_setting(text)
    assert parse_setting(setting.title) == setting


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("objects=2", "begins with no preset"),
        ("aott,objects=0", "objects: must be at least 1, got 0"),
        ("aott,objects=many", "objects: expected a whole number, got many"),
        ("aott,frames=0", "frames: must be at least 1"),
        ("aott,size=64", "expected WIDTHxHEIGHT"),
        ("aott,size=8x48", "at least 16 pixels, got 8x48"),
        ("aott,slow=everything", "got everything"),
        ("aott,slow=", "slow: must be all, or some of"),
        ("aott,precision=float8", "precision: must be one of float32, bfloat16, float16, auto, got float8"),
        ("aott,compile,slow=all", "does not go together"),
        ("aott,compile=maybe", "expected true or false"),
        ("aott,fast", "fast: expected key=value"),
    ],
)
def test_a_bad_setting_is_one_sentence_that_begins_with_it(text, said):
    with pytest.raises(InputError, match=f"^{text}: .*") as caught:
        parse_setting(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_products_are_the_sets_there_are():
    assert set(PRODUCTS) == {"chosen", "fixed", "tuned", *SETS}


def test_an_unknown_set_of_products_is_one_sentence():
    with pytest.raises(InputError, match=r"products: must be one of chosen, fixed, tuned, .*, got quick"):
        parse_setting("aott,products=quick")
