"""The page in a browser: what tracking must not change."""

import numpy as np

from aotlab_testing.browser import needs_browser
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    list_labels,
)
from studio.tests.annotation.trackers import Greedy

pytestmark = needs_browser


def test_only_the_selected_object_is_tracked(page, session):
    draw_and_track(session, 1)
    draw(session, 0, 2)
    page.wait_objects(2)
    page.key("2")
    page.wait_selected("object 2")
    page.tab.check("#only-selected")
    page.drag((0.5, 20), (59, 20))  # over object 1
    before = list_labels(session.document)
    assert before[0][20, 59] == 2
    session.runner.make_tracker = Greedy
    page.track("t")
    after = list_labels(session.document)
    assert all((labels == 2).any() for labels in after)
    np.testing.assert_array_equal([labels == 1 for labels in after], [labels == 1 for labels in before])
