"""Versions of a project."""

import pytest

from aotlab import InputError
from aotlab_studio.project import editing, versions
from aotlab_studio.project.versions import keep_version, list_versions, restore_version
from studio.tests.annotation.clips import draw, truth


def test_version_is_restored_in_one_step(session):
    draw(session, 0, 1, 2)
    keep_version(session.state, "both")
    editing.delete_object(session.state, 2)
    editing.clear(session.state, 4, 1)
    assert restore_version(session.state, 1) == 1
    assert (session.state.labels(0) == truth(0)).all()
    assert session.state.keyframes == [0]
    session.undo()
    assert session.state.keyframes == [0, 4]
    assert session.state.objects.ids == (1,)
    assert [version.title for version in list_versions(session.state)] == ["both"]


def test_oldest_versions_are_dropped_beyond_the_limit(session, monkeypatch):
    draw(session, 0, 1, 2)
    for _ in range(3):  # of the same masks
        keep_version(session.state)
    size = session.state.project.given.locate(0).stat().st_size
    monkeypatch.setattr(versions, "LIMIT_BYTES", size)
    for frame in (1, 2, 3):
        draw(session, frame, 1)
        keep_version(session.state)
    assert len(list_versions(session.state)) == 6
    editing.clear(session.state, 0, 1)
    keep_version(session.state)
    assert len(list_versions(session.state)) == 7
    editing.clear(session.state, 1, 1)
    keep_version(session.state)
    assert [version.number for version in list_versions(session.state)] == [8, 7]


def test_unknown_version_rejected(session):
    with pytest.raises(InputError, match="no object to keep"):
        keep_version(session.state)
    with pytest.raises(InputError, match="no such version"):
        restore_version(session.state, 2)
