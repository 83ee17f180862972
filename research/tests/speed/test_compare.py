"""Speed of settings and checkouts, measured in turn."""

import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.utils.errors import InputError
from research.speed.compare import main, parse_setting
from research.speed.worker import prepare_tracking


def test_setting_parts_are_separated():
    setting = parse_setting("aotl,memory.every=2,objects=3,size=64x48@.")
    assert setting["config"] == "aotl"
    assert setting["overrides"] == ["memory.every=2", "compute.precision=float32"]
    assert (setting["objects"], setting["size"], setting["checkout"]) == (3, (64, 48), ".")
    trained = parse_setting("aott,train=4x5x289,train.precision=bfloat16")
    assert (trained["train"], trained["overrides"]) == ([4, 5, 289], ["train.precision=bfloat16"])
    assert parse_setting("a/b.pth")["checkpoint"] == "a/b.pth"


@pytest.mark.parametrize(
    "text",
    [
        "aott,objects",
        "aott,objects=x",
        "aott,objects=0",
        "aott,objects=900",
        "aott,at_frame=-1",
        "aott,train=4xlong",
        "aott,train=4x5",
        "aott,train=1x2x0",
        "aott,size=9",
        "aott@gone",
    ],
)
def test_invalid_setting_rejected(text):
    with pytest.raises(InputError):
        parse_setting(text)


@pytest.mark.slow
def test_frames_and_training_steps_are_timed_in_turn(capsys):
    settings = ["aott,size=64x48", "aott,size=64x48,objects=2@.", "aott,train=1x2x33"]
    assert main([*settings, "--rounds", "2", "--threads", "1"]) == 0
    rows = capsys.readouterr().out.splitlines()[4:]
    assert [row.split("`")[1] for row in rows] == settings
    assert rows[0].endswith("| 1.00 (1.00 to 1.00) |")


@pytest.mark.slow
def test_failing_setting_is_named(capfd):
    assert main(["no_such_preset", "--rounds", "1"]) == 2
    cause, failure = capfd.readouterr().err.splitlines()
    assert cause.startswith("error: config no_such_preset: no such file or preset; ")
    assert failure == "error: no_such_preset: failed; its error is above"


@pytest.mark.slow
def test_checkpoint_file_is_timed():
    setting = parse_setting(f"{BUNDLED_CHECKPOINT},size=64x48")
    prepare_tracking(setting | {"device": "cpu"})()
