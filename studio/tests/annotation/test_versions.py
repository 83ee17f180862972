"""Versions of a project."""

import pytest

from aotlab import InputError
from aotlab_studio.project import editing
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


def test_unknown_version_rejected(session):
    with pytest.raises(InputError, match="no object to keep"):
        keep_version(session.state)
    with pytest.raises(InputError, match="no such version"):
        restore_version(session.state, 2)
