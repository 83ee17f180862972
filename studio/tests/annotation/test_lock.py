"""Folders that several machines open, and what crashed programs leave."""

from contextlib import closing

import pytest

from aotlab import InputError
from aotlab_studio.document import editing, lock
from studio.tests.annotation.results import open_clip, set_status, statuses
from studio.tests.annotation.sessions import open_session


def crash(session):
    session.document.database.folder_lock._file_lock.close()  # as the system does


def test_folder_in_use_on_another_machine_is_refused(folder, session, other_machine):
    session.document.database.folder_lock.name_person("Ann")
    other_machine()
    remedy = r"close it there, or delete .*clip.aotlab/.owner if .* has crashed"
    with pytest.raises(InputError, match=f"clip.aotlab: in use by Ann on .*; {remedy}"):
        open_session(folder)
    session.close()
    open_session(folder).close()


def test_program_whose_owner_file_was_deleted_stops_writing(folder, session, document, other_machine):
    editing.add_object(document)
    (document.folder / lock.OWNER).unlink()
    editing.add_object(document)  # nobody else has opened it
    other_machine()
    with closing(open_session(folder)) as other:
        with pytest.raises(InputError, match="taken over by another program on other host"):
            editing.add_object(document)
        editing.add_object(other.document)
        session.close()
        assert lock.find_owner(other.document.folder) is None  # the test has no file locks
        assert (other.document.folder / lock.OWNER).exists()
    assert not (other.document.folder / lock.OWNER).exists()


@pytest.mark.parametrize("machine", [("another boot", ""), ("", "another container")])
def test_owner_that_crashed_on_this_machine_is_replaced(folder, machine, monkeypatch):
    first = open_session(folder)
    boot_id, host = lock.find_machine()
    crash(first)
    monkeypatch.setattr(lock, "find_machine", lambda: (machine[0] or boot_id, machine[1] or host))
    assert lock.find_owner(first.document.folder) is None
    open_session(folder).close()


def test_clip_open_elsewhere_keeps_its_status(results, batch, other_machine, begin_request):
    with closing(open_clip(results / "a")):
        other_machine()
        with pytest.raises(InputError, match="in use by another program on"):
            set_status(batch, "a", "Ann", "accepted")
        with pytest.raises(InputError, match="close it there"):
            begin_request(batch, "a", "Bob", is_page=True)
        assert any(clip.holder.startswith("another program on") for clip in batch.list_clips())
    set_status(batch, "a", "Bob", "accepted")
    assert statuses(batch)["a"] == "accepted"
