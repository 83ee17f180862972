"""The scripted person of the benchmark of gestures."""

from aotlab_studio.document import editing
from research.bundled.gestures import Person
from research.bundled.scripted_page import Page
from studio.tests.annotation.clips import LENGTH, draw_folder, open_session, truth


def test_scripted_person_annotates_and_corrects(tmp_path):
    session = open_session(draw_folder(tmp_path / "clip"))
    person = Person(Page(session), [truth(index) for index in range(LENGTH)])
    assert list(person.annotate(150, 0.9)) == [(3, 1.0)]
    assert person.page.gestures == {"click": 0, "drag": 2, "key": 1}
    editing.clear(session.document, 5, 2)
    assert person.find_worst({0}) == (5, 2)
    person.page.go_to(5, 2)
    person.correct_frame(150)
    assert person.score(5, 2) == 1
    assert person.page.gestures == {"click": 1, "drag": 3, "key": 1}
    session.close()
