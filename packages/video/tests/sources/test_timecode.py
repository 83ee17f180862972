"""Time codes, with and without dropped numbers."""

from fractions import Fraction

import pytest

from aotlab.utils.errors import InputError
from aotlab_video.sources.timecode import Timecode

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(("text", "rate", "count"), [
    ("00:00:00:00", Fraction(24), 0), ("01:00:00:00", Fraction(24), 86400), ("00:00:01:00", NTSC, 30),
    ("00:01:00;02", NTSC, 1800), ("00:10:00;00", NTSC, 17982), ("01:00:00;00", NTSC, 107892),
    ("00:01:00;04", Fraction(60000, 1001), 3600), ("10:11:12:13", Fraction(25), 916813),
])  # fmt: skip
def test_count_and_text_agree(text, rate, count):
    assert Timecode.parse(text, rate).count == count
    assert str(Timecode.parse(text, rate)) == text


def test_drop_frame_codes_follow_each_other():
    code = Timecode.parse("00:00:59;28", NTSC)
    assert [str(code + index) for index in range(4)] == ["00:00:59;28", "00:00:59;29", "00:01:00;02", "00:01:00;03"]
    codes = {str(Timecode(0, 30, True) + index) for index in range(20000)}
    assert len(codes) == 20000
    assert not any(text.endswith(("1:00;00", "1:00;01")) for text in codes)


def test_dropped_number_names_the_next_one():
    with pytest.raises(InputError, match="skipped by drop-frame time code; give 00:01:00;02"):
        Timecode.parse("00:01:00;00", NTSC)


def test_day_begins_again_at_midnight():
    assert str(Timecode.parse("23:59:59:24", Fraction(25)) + 1) == "00:00:00:00"
    assert str(Timecode.parse("23:59:59;29", NTSC) + 1) == "00:00:00;00"


@pytest.mark.parametrize("text", ["1:2:3", "00:00:00:24", "00:60:00:00", "a", "", "00:01:00;00"])
def test_invalid_timecode_rejected(text):
    with pytest.raises(InputError, match="time code"):
        Timecode.parse(text, NTSC if ";" in text else Fraction(24))
