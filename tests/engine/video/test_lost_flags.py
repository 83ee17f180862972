"""Flags of objects that are lost from sight."""

from __future__ import annotations

from aotlab.engine.video.scores import LostFlags


def test_an_object_is_lost_after_five_frames_without_a_sure_pixel_until_it_is_back():
    flags = LostFlags()
    seen = [flags.update({3: value})[3] for value in (0.9, 0, 0.5, 0, 0.59, 0, 0, 0.6, 0)]
    assert seen == [False, False, False, False, False, True, True, False, False]


def test_objects_are_counted_on_their_own_and_from_when_they_come():
    flags = LostFlags()
    for _ in range(4):
        flags.update({1: 0.0})
    assert flags.update({1: 0.0, 2: 0.0}) == {1: True, 2: False}
