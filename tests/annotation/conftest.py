"""A folder of frames, and a session of it."""

import pytest

from tests.annotation.clips import draw_folder, open_session


@pytest.fixture
def folder(tmp_path):
    return draw_folder(tmp_path / "clip")


@pytest.fixture
def session(folder):
    session = open_session(folder)
    yield session
    session.close()
