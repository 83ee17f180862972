"""Leases of folders that several machines open."""

import os
import time

import pytest

from aotlab import InputError
from aotlab_studio import lock
from aotlab_studio.document import editing
from studio.tests.annotation.clips import open_session
from studio.tests.annotation.results import open_clip, set_status, statuses


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


def test_lease_holds_on_another_machine(folder, session, other_machine):
    session.document.database.folder_lock.name_person("Ann")
    other_machine()
    with pytest.raises(InputError, match=r"clip.aotlab: in use by Ann on .*; close it there, or wait 60 s"):
        open_session(folder)
    age(session.document.folder / lock.LEASE, 50)
    with pytest.raises(InputError, match="in use by Ann"):
        open_session(folder)


def test_expired_lease_is_taken_and_its_owner_stops_writing(folder, session, other_machine):
    editing.add_object(session.document)
    other_machine()
    age(session.document.folder / lock.LEASE, 61)  # as after sleep
    other = open_session(folder)
    with pytest.raises(InputError, match="taken over by another program"):
        editing.add_object(session.document)
    editing.add_object(other.document)
    session.close()
    assert lock.read_owner(other.document.folder) is not None
    other.close()
    assert lock.read_owner(other.document.folder) is None


def test_lease_of_a_killed_program_is_replaced_at_once(folder):
    first = open_session(folder)
    first.document.database.folder_lock._file_lock.close()  # as the system does
    open_session(folder).close()


def test_clip_open_elsewhere_keeps_its_status(results, batch, other_machine, begin_request):
    here = open_clip(results / "a")
    other_machine()
    with pytest.raises(InputError, match="in use by another program on"):
        set_status(batch, "a", "Ann", "accepted")
    with pytest.raises(InputError, match="close it there"):
        begin_request(batch, "a", "Bob", is_page=True)
    here.close()
    set_status(batch, "a", "Bob", "accepted")
    assert statuses(batch)["a"] == "accepted"
