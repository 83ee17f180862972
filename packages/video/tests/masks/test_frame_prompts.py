"""Prompts of the command line by frame and object."""

from functools import partial

import pytest

from aotlab.utils.errors import InputError
from aotlab_video.masks.frame_prompts import group_prompts

group = partial(group_prompts, find_index=lambda frame: int(frame or 0))


def test_prompts_are_parsed_by_frame_and_object():
    boxes = ["40:3=1,2,30,40", ":2=10:20-40:60", ":4=40:20-10:60"]
    prompts = group(boxes, ["5,6", ":1=7.5,8"], ["0=9,9"])
    assert list(prompts) == [0, 40]
    assert prompts[40][3].box == (1, 2, 30, 40)
    assert prompts[0][2].box == prompts[0][4].box == (10, 20, 30, 40)
    assert prompts[0][1].positive_points == [(5, 6), (7.5, 8)]
    assert prompts[0][1].negative_points == [(9, 9)]
    assert list(group([], ["5,6"], find_index=lambda frame: 7 if frame is None else int(frame))) == [7]
    assert group((), ["1,1", "0.5,1.5"])[0][1].positive_points == [(1, 1), (0.5, 1.5)]


def test_prompts_of_one_frame_may_name_it_differently():
    codes = {None: 0, 1004: 3, "01:00:00:08": 3}
    prompts = group(["1004=1,2,30,40"], ["01:00:00:08=5,6", "9,9"], find_index=codes.get)
    assert (prompts[3][1].box, prompts[3][1].positive_points) == ((1, 2, 30, 40), [(5, 6)])
    with pytest.raises(InputError, match="object 1 has a box on frame 1004 already"):
        group(["1004=1,2,30,40", "01:00:00:08=1,2,30,40"], [], find_index=codes.get, frame_number={3: 1004}.get)


FRACTIONS = "not in pixels; multiply fractions of the image by its width and height"


@pytest.mark.parametrize(("boxes", "points", "negative", "words"), [
    ([], ["0.5,0.5"], [], FRACTIONS),
    ([], ["0,0.5"], [], FRACTIONS),
    (["0.1,0.1,0.5,0.5"], [], [], FRACTIONS),
    (["0.1:0.1-0.5:0.5"], [], [], FRACTIONS),
    (["3,3,14"], [], [], r"box 3,3,14: expected \[FRAME\]\[:ID\]= with an id from 1 to 65535 and X,Y,W,H"),
    ([], [":1=5"], [], "point :1=5: expected"),
    ([], [":0=3,3"], [], "point :0=3,3"),
    ([], [":70000=3,3"], [], "point :70000=3,3: .* id from 1 to 65535"),
    ([], ["x=3,3"], [], "point x=3,3"),
    (["3,3,0,9"], [], [], "object 1 on frame 0: box .*at least 2 each"),
    (["2=9:9-9:20"], [], [], "object 1 on frame 2: box .*at least 2 each"),
    (["3,3,14,14", "3,3,10,10"], [], [], "object 1 has a box on frame 0 already.*:2=X,Y,W,H"),
    (["3,3,14,14"], [], [":2=3,3"], "object 2 on frame 0: prompt: nothing on the object; .* negative point only excl"),
])  # fmt: skip
def test_invalid_prompt_texts_rejected(boxes, points, negative, words):
    with pytest.raises(InputError, match=words):
        group(boxes, points, negative)
