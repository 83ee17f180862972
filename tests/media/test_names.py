"""Natural order of names, and stems."""

from pathlib import Path

import pytest

from aotlab.media.names import image_stem, natural_sort


def test_names_in_natural_order():
    assert natural_sort(["10.jpg", "9.jpg", "2-a.jpg", "2.jpg"]) == ["2.jpg", "2-a.jpg", "9.jpg", "10.jpg"]
    assert natural_sort(["1.png", "01.png"]) == natural_sort(["01.png", "1.png"]) == ["01.png", "1.png"]
    assert natural_sort(["1" * 5000, "007", "8", "0"]) == ["0", "007", "8", "1" * 5000]
    assert natural_sort([Path("a/11.png"), Path("a/2.png")]) == [Path("a/2.png"), Path("a/11.png")]


@pytest.mark.parametrize(("name", "stem"), [
    ("shot.0004", "shot.0004"), ("shot.0004.png", "shot.0004"), ("a/b/shot.0004.JPG", "shot.0004"),
    ("https://host/shot.0004.jpg?size=2", "shot.0004"), ("00004", "00004"), ("00004.txt", "00004"),
    ("/data/local-files/?d=clip/00004.jpg", "00004"), ("/data/local-files/?d=00004.jpg", "00004"),
])  # fmt: skip
def test_stem_of_dotted_name_keeps_its_number(name, stem):
    assert image_stem(name) == stem


@pytest.mark.parametrize("names", [
    ["shot.-010", "shot.-002", "shot.0000"], ["take_-0012", "take_-0002", "take_-0001"], ["-2", "-1", "0"],
    ["a-0001", "a-0002"], ["take (1)-1", "take (1)-2"], ["1.-2a", "1.-3a"],
])  # fmt: skip
def test_minus_after_a_separator_is_a_sign(names):
    assert natural_sort(reversed(names)) == names
