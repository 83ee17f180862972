"""Project folders that several programs open."""

from contextlib import closing

import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from studio.tests.annotation.results import mark_done, open_clip, statuses
from studio.tests.annotation.sessions import open_session


def test_folder_in_use_is_refused(folder, session):
    with pytest.raises(InputError, match=r"clip.aotlab: open elsewhere since 20..-..-.. ..:..; close it there first"):
        open_session(folder)
    session.close()
    open_session(folder).close()


def test_closed_project_refuses_edits(session):
    session.close()
    with pytest.raises(InputError, match="was closed; open it again"):
        editing.AddObject().run(session.document)


def test_clip_open_elsewhere_keeps_its_status(results, batch):
    with closing(open_clip(results / "a")), pytest.raises(InputError, match="open elsewhere since"):
        mark_done(batch, "a")
    assert statuses(batch)["a"] == "to do"
