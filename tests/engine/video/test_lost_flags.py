"""Flags of objects that are lost from sight."""

from __future__ import annotations

import pytest

from aotlab.engine.video.scores import LostFlags


def seen(flags, *confidences):
    return [flags.update({3: value})[3] for value in confidences]


def test_an_object_is_lost_after_so_many_frames_without_a_sure_pixel_until_it_is_back():
    assert seen(LostFlags(3, 0.6), 0.9, 0, 0.5, 0, 0.59, 0.6, 0) == [
        False,
        False,
        False,
        True,
        True,
        False,
        False,
    ]


def test_without_a_threshold_only_absence_counts():
    assert seen(LostFlags(1, 0), 0.01, 0) == [False, True]


def test_objects_are_counted_on_their_own_and_from_when_they_come():
    flags = LostFlags(2)
    flags.update({1: 0.0})
    assert flags.update({1: 0.0, 2: 0.0}) == {1: True, 2: False}


def test_flags_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match="frames from 1"):
        LostFlags(0)
