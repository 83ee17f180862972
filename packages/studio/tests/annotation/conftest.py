"""A folder of frames, a session of it, and a browser."""

import asyncio
import re
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest

from aotlab_studio.batch import open_clips
from aotlab_studio.batch.batch import Batch
from aotlab_studio.review.checks import Check
from aotlab_studio.server.batch_app import build_batch_app
from aotlab_testing.processes import WAIT_SECONDS
from studio.tests.annotation.browser import VIEWPORT, Page, open_list
from studio.tests.annotation.clips import draw_folder
from studio.tests.annotation.results import open_clip, write_results
from studio.tests.annotation.served import Served
from studio.tests.annotation.sessions import draw, open_session


@pytest.fixture(autouse=True, scope="session")
def quick_exit():
    """Make uvicorn check ten times as often whether it has to exit, so that servers end at once."""
    quick = {**vars(asyncio), "sleep": lambda seconds: asyncio.sleep(seconds / 10)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uvicorn.server.asyncio", SimpleNamespace(**quick))
        yield


@pytest.fixture
def folder(tmp_path):
    return draw_folder(tmp_path / "clip")


@pytest.fixture
def reopen():
    """Close the session opened before, and open that of a video; arguments are those of `open_session`."""
    with ExitStack() as sessions:

        def reopen(path, tracker=None, **options):
            sessions.close()
            session = open_session(path, tracker, **options)
            sessions.callback(session.close)
            return session

        yield reopen


@pytest.fixture
def session(folder, reopen):
    return reopen(folder)


@pytest.fixture
def document(session):
    return session.document


@pytest.fixture
def checks(monkeypatch):
    """Return the list of frames to check that sessions find."""
    checks: list[Check] = []
    monkeypatch.setattr("aotlab_studio.review.checks.find_checks", lambda *_: checks)
    return checks


@pytest.fixture
def serve(tmp_path):
    """Serve a session, or a list with its app, until the end of the test."""
    with ExitStack() as servers:
        yield lambda *opened: servers.enter_context(closing(Served(*opened)))


@pytest.fixture
def never_served(monkeypatch):
    """Commands load no model, and end instead of serving."""
    monkeypatch.setattr("aotlab_studio.tracking.models.TrackerLoader.__call__", lambda self: None)
    monkeypatch.setattr("aotlab_studio.session.prompting.Prompter.preload", lambda self: None)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_on_socket", lambda self: None)


@pytest.fixture
def served(session, serve):
    return serve(session)


@pytest.fixture(scope="session")
def shared_page(browser, tmp_path_factory):
    """A page for tests that change nothing stored.

    It stays open, so that pages of other tests share its process and load in half the time.
    """
    session = open_session(draw_folder(tmp_path_factory.mktemp("shared") / "clip"))
    served = Served(session)
    context = browser.new_context(viewport=VIEWPORT, accept_downloads=True, has_touch=True)
    context.set_default_timeout(1000 * WAIT_SECONDS)
    page = Page(context, served.url)
    yield page
    context.close()
    served.close()


@pytest.fixture
def idle_page(shared_page):
    """The page of `shared_page`, reset to the brush, frame 0 and the whole frame."""
    shared_page.tab.set_viewport_size(VIEWPORT)
    shared_page.key("b", "0")
    shared_page.seek(0)
    for place in (shared_page.at(30, 20), (2, 2)):  # without a cursor
        shared_page.tab.mouse.move(*place)
    yield shared_page
    problems, shared_page.problems = shared_page.problems, []
    assert problems == []


@pytest.fixture
def context(shared_page):
    context = shared_page.tab.context
    yield context
    for tab in context.pages:
        if tab is not shared_page.tab:
            tab.close()
    port = shared_page.url.split("?")[0].strip("/").rpartition(":")[2]
    context.clear_cookies(name=re.compile(rf"aotlab_(?!{port}$)"))  # one cookie per server


@pytest.fixture
def clock_context(browser, served):
    """A browser context for tests that install a clock, which stays installed in its context."""
    with browser.new_context(viewport=VIEWPORT) as context:
        context.set_default_timeout(1000 * WAIT_SECONDS)
        yield context


@pytest.fixture
def new_page(context, served):
    """A tab that is not opened yet."""
    page = Page(context, served.url, opened=False)
    yield page
    page.tab.close()  # the server's end would wait for it
    assert page.problems == []


@pytest.fixture
def page(new_page):
    new_page.open()
    new_page.key("b")
    return new_page


@pytest.fixture
def one_object(page, session):
    """Object 1, drawn on frame 0 and listed in the page."""
    draw(session, 0, 1)
    page.wait_objects(1)


@pytest.fixture
def two_objects(page, session):
    """Objects 1 and 2, drawn on frame 0 and listed in the page."""
    draw(session, 0, 1, 2)
    page.wait_objects(2)


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path, ["a", "b", "c"], lost=["b"])


@pytest.fixture
def make_batch():
    """Open the batch of a folder; close it at the end of the test."""
    with ExitStack() as batches:
        yield lambda folder, opener=open_clip: batches.enter_context(closing(Batch(folder, opener)))


@pytest.fixture
def batch(results, make_batch):
    return make_batch(results)


@pytest.fixture
def begin_request():
    """Begin a request for a clip of a batch that lasts until the end of the test; return its session."""
    with ExitStack() as requests:

        def begin_request(batch, name, **options):
            return requests.enter_context(batch.use(name, **options))

        yield begin_request


@pytest.fixture
def served_list(batch, serve, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.05)
    return serve(batch, build_batch_app(batch))


@pytest.fixture
def list_tab(context, served_list):
    """The list of a batch in a tab."""
    tab = open_list(context, served_list)
    yield tab
    tab.close()  # the server's end would wait for it
