"""Work of several people on the page and in the list, in a browser."""

import json

import numpy as np

from aotlab_studio.batch import open_clips
from aotlab_studio.document import editing
from aotlab_studio.document.log import Actor
from aotlab_studio.document.rules import Rules, RulesFile
from aotlab_studio.document.schema import AttributeRule, ClassRule
from aotlab_studio.server.batch_app import build_batch_app
from studio.tests.annotation.browser import (
    VIEWPORT,
    Page,
    close_dialog,
    find_violations,
    needs_browser,
    open_list,
)
from studio.tests.annotation.clips import LENGTH, draw_folder, truth, write_video
from studio.tests.annotation.results import find_clip, set_status, statuses, wait_until_tracked
from studio.tests.annotation.sessions import draw
from tests.processes import wait_until

pytestmark = needs_browser


def open_clip_page(tab, name):
    """Open a clip from the list."""
    tab.click(f"#clips th a >> text={name}")
    tab.wait_for_selector("#view[aria-busy=false]")


def test_next_clip_leaves_a_clip_of_a_video_file(context, tmp_path, make_batch, serve, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.05)
    (tmp_path / "videos").mkdir()
    for name in ("one", "two"):
        write_video(tmp_path / "videos" / f"{name}.avi")
    batch = make_batch(tmp_path / "videos")
    tab = open_list(context, serve(batch, build_batch_app(batch)))
    open_clip_page(tab, "one.avi")
    tab.click("#next-clip")
    tab.wait_for_url("**/clip/two.avi/")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.close()


def test_dialog_of_the_list_follows_a_rejection(clock_context, served_list, batch):
    tab = clock_context.new_page()
    tab.clock.install()
    tab.goto(served_list.url)
    tab.fill("#person", "Ann")
    tab.keyboard.press("Enter")
    tab.click("[aria-label^='Status of c:']")
    set_status(batch, "c", "Bob", "rejected", "ear missing")
    tab.click("dialog[open] button[value='to review']")
    tab.wait_for_selector("#status.error >> text=c: Bob set it to “rejected: ear missing” meanwhile")
    assert (find_clip(batch, "c").status, find_clip(batch, "c").note) == ("rejected", "ear missing")
    tab.select_option("#filter", "to do")
    tab.click("[aria-label^='Status of b:']")
    set_status(batch, "b", "Bob", "rejected", "dark")
    with tab.expect_response("**/clips"):
        tab.clock.run_for(5000)
    tab.wait_for_selector("dialog[open] .changed >> text=rejected by Bob: dark")
    assert tab.input_value("dialog[open] input") == "dark"
    assert read_default(tab) == "To review"
    tab.click("dialog[open] button[value='to review']")  # after Ann has seen it
    tab.wait_for_selector("dialog[open] p >> text=Nothing has changed since it was rejected")
    assert statuses(batch)["b"] == "rejected"
    tab.click("dialog[open] button[value=proceed]")
    wait_until(lambda: statuses(batch)["b"] == "to review")
    tab.close()


def read_default(tab):
    """Return the text of the button that Enter presses in the open dialog."""
    return tab.inner_text("dialog[open] .main")


def test_enter_in_the_dialog_sets_the_next_status(list_tab, batch):
    list_tab.click("[aria-label^='Status of c:']")
    assert read_default(list_tab) == "To review"
    close_dialog(list_tab)
    assert statuses(batch)["c"] == "to do"
    list_tab.click("[aria-label^='Status of c:']")
    list_tab.fill("dialog[open] .people input >> nth=1", "Bob")
    assert read_default(list_tab) == "To do"
    list_tab.keyboard.press("Enter")
    list_tab.wait_for_selector("#clips td >> text=reviewer: Bob")
    batch.rules.change(Rules(accept="reviewer"), "Lea")
    list_tab.click("[aria-label^='Status of c:']")
    list_tab.keyboard.press("Enter")
    list_tab.wait_for_selector("[aria-label='Status of c: to review']")
    list_tab.click("[aria-label^='Status of c:']")
    assert read_default(list_tab) == "To review"  # which only Bob may accept
    assert find_violations(list_tab) == []
    close_dialog(list_tab)
    batch.rules.change(Rules(), "Lea")
    list_tab.goto(list_tab.url)
    list_tab.click("[aria-label^='Status of c:']")
    assert read_default(list_tab) == "Accepted"
    list_tab.keyboard.press("Enter")
    wait_until(lambda: statuses(batch)["c"] == "accepted")


def test_dialog_of_the_page_follows_a_rejection(list_tab, batch):
    open_clip_page(list_tab, "c")
    list_tab.click("#clip-status")
    set_status(batch, "c", "Bob", "rejected", "ear missing")
    list_tab.wait_for_selector("dialog[open] .changed >> text=rejected by Bob: ear missing")
    list_tab.keyboard.press("Escape")
    assert find_violations(list_tab) == []


def test_acceptance_of_gaps_needs_a_second_press(list_tab, batch):
    with batch.use("c", "Bob") as session:
        editing.clear_tracking(session.document, 4)
    list_tab.wait_for_selector(f"#clips li >> text={LENGTH - 4} of {LENGTH} frames have no masks")
    list_tab.click("[aria-label^='Status of c:']")
    list_tab.wait_for_selector(f"dialog[open] .problem >> text={LENGTH - 4} of {LENGTH} frames have no masks")
    list_tab.click("dialog[open] button[value=accepted]")
    list_tab.wait_for_selector("dialog[open] p >> text=Accept afterwards, or accept the frames as they are?")
    assert statuses(batch)["c"] == "in progress"
    list_tab.click("dialog[open] button[value=proceed]")
    wait_until(lambda: statuses(batch)["c"] == "accepted")
    list_tab.click("#export-clips")
    list_tab.wait_for_selector(f"#status >> text=c ({LENGTH - 4} of {LENGTH} frames have no masks)")


def test_reviewer_looks_only_until_a_key(list_tab, batch):
    with batch.use("c", "Bob") as session:
        session.document.review.assign("Bob", "Ann")
        before = session.document.log.head
        page = Page(list_tab.context, f"{list_tab.url}clip/c/")
        page.tab.wait_for_selector("#look-only[aria-pressed=true]")
        page.key("1", "b")
        page.stroke((5, 5), (20, 5))
        page.wait_status("Look only: masks and objects stay as they are. Press Shift+O to edit.")
        page.key("r", "m", "Delete", "n", "j", "t", "Shift+J", "Control+z")
        page.key_done("q")
        page.wait_until(lambda: session.document.snapshot.checked_frames == [0])
        assert session.document.log.head == before + 1
        page.key_done("Control+z")  # the mark is a step of this page
        assert session.document.snapshot.checked_frames == []
        assert find_violations(page.tab) == []
        page.key("Shift+O")
        page.key_done("m")
        assert not (page.labels(0) == 1).any()


def test_accepted_clip_is_looked_at_only(page, session, two_objects):
    assert page.tab.get_attribute("#look-only", "aria-pressed") == "false"
    session.set_status("accepted", force=True)
    page.tab.wait_for_selector("#look-only[aria-pressed=true]")
    page.key("1", "Delete")
    page.wait_status("Look only")
    session.set_status("in progress")
    page.tab.wait_for_selector("#look-only[aria-pressed=false]")
    page.key("Delete")
    page.wait_objects(1)


def test_object_of_another_person_is_not_selected(new_page, session):
    session.document.shared = True
    new_page.open()
    draw(session.with_actor(Actor(author="Bob")), 0, 1)
    new_page.wait_objects(1)
    assert not new_page.tab.is_visible("#object-fields")
    assert new_page.tab.get_attribute("#objects .select", "aria-pressed") == "false"


def test_enter_merges_from_the_list_of_objects(page, two_objects):
    page.tab.click("#merge")
    page.tab.focus("dialog[open] select")
    page.key("Enter")
    page.wait_objects(1)


def test_selected_clips_are_rejected_and_assigned_by_keys(list_tab, batch):
    list_tab.keyboard.press("ArrowDown")
    list_tab.keyboard.press("Space")
    list_tab.keyboard.press("ArrowDown")
    list_tab.keyboard.press("Space")
    names = list_tab.eval_on_selector_all(
        "#clips tr:has(:checked) a span", "spans => spans.map((span) => span.textContent)"
    )
    assert len(names) == 2
    assert list_tab.inner_text("#selection-count") == "2 clips selected"
    list_tab.keyboard.press("r")
    list_tab.keyboard.type("dark")
    list_tab.keyboard.press("Enter")
    wait_until(lambda: [statuses(batch)[name] for name in names] == ["rejected"] * 2)
    assert {find_clip(batch, name).note for name in names} == {"dark"}
    list_tab.wait_for_selector("#status >> text=2 clips rejected.")
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("p")
    list_tab.fill("dialog[open] input >> nth=1", "Bob")
    list_tab.keyboard.press("Enter")
    wait_until(lambda: {clip.reviewer for clip in batch.list_clips()} == {"Bob"})
    list_tab.wait_for_selector("#clips td >> text=reviewer: Bob")
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("p")
    list_tab.focus("dialog[open] input >> nth=1")
    list_tab.keyboard.type("Eve")
    list_tab.keyboard.press("Enter")
    wait_until(lambda: {clip.reviewer for clip in batch.list_clips()} == {"Eve"})


def test_assigned_reviewer_keeps_the_annotators(list_tab, batch):
    before = {"a": ("Bob", "Dan"), "b": ("Cid", "Dan"), "c": ("Cid", "Eve")}
    read = lambda: {clip.name: (clip.annotator, clip.reviewer) for clip in batch.list_clips()}  # noqa: E731
    for name, people in before.items():
        with batch.use(name, "Lea") as session:
            session.document.review.assign(*people)
    list_tab.wait_for_selector("#clips td >> text=reviewer: Eve")
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("p")
    placeholders = list_tab.eval_on_selector_all("dialog[open] .people input", "all => all.map((e) => e.placeholder)")
    assert placeholders == ["unchanged", "unchanged"]
    assert find_violations(list_tab) == []
    list_tab.fill("dialog[open] .people input >> nth=1", "lea")
    list_tab.keyboard.press("Enter")
    list_tab.wait_for_selector("#status >> text=3 clips assigned.")
    assert read() == {"a": ("Bob", "lea"), "b": ("Cid", "lea"), "c": ("Cid", "lea")}
    list_tab.click("#status button >> text=Undo")
    list_tab.wait_for_selector("#status >> text=3 clips assigned as before.")
    assert read() == before
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("p")
    list_tab.click("dialog[open] .people button >> text=Nobody >> nth=0")
    list_tab.keyboard.press("Control+Home")
    list_tab.click("dialog[open] button[value=assign]")
    wait_until(lambda: {annotator for annotator, _ in read().values()} == {""})


def test_rejection_of_several_clips_needs_a_reason(list_tab, batch):
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("r")
    list_tab.keyboard.press("Enter")
    assert list_tab.is_visible("dialog[open] input:invalid")
    close_dialog(list_tab)
    list_tab.keyboard.press("Escape")
    list_tab.wait_for_selector("#selection-count >> text=Select clips:")
    list_tab.click("[aria-label^='Status of a:']")
    list_tab.click("dialog[open] button[value=rejected]")
    assert list_tab.is_visible("dialog[open] input:invalid")
    close_dialog(list_tab)
    assert "rejected" not in statuses(batch).values()
    list_tab.keyboard.press("?")
    list_tab.wait_for_selector("#help-dialog[open] li >> text=Select no clip")
    assert find_violations(list_tab) == []


def test_note_of_a_refused_rejection_is_kept(list_tab, batch):
    list_tab.click("[aria-label^='Status of a:']")
    list_tab.fill("dialog[open] input", "the ear is missing")
    set_status(batch, "a", "Bob", "to review")
    list_tab.click("dialog[open] button[value=rejected]")
    list_tab.wait_for_selector("#status.error >> text=Bob set it to “to review” meanwhile")
    list_tab.click("[aria-label^='Status of a:']")
    assert list_tab.input_value("dialog[open] input") == "the ear is missing"
    list_tab.click("dialog[open] button[value=rejected]")
    wait_until(lambda: statuses(batch)["a"] == "rejected")


def test_broken_video_is_listed_and_skipped(context, tmp_path, make_batch, serve, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.05)
    (tmp_path / "videos").mkdir()
    for name in ("a", "c"):
        (tmp_path / "videos" / f"{name}.avi").write_bytes(b"no video")
    write_video(tmp_path / "videos" / "b.avi")
    batch = make_batch(tmp_path / "videos")
    tab = open_list(context, serve(batch, build_batch_app(batch)))
    tab.wait_for_selector("#clips tr:has-text('a.avi: not readable') .status:text('not readable')")
    tab.wait_for_selector("#summary >> text=1 to do, 2 not readable")
    tab.keyboard.press(">")
    tab.wait_for_url("**/clip/b.avi/*")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.keyboard.press(">")
    tab.wait_for_selector("#status >> text=No other clip waits for you.")
    tab.close()


def test_next_clip_is_chosen_from_the_current_list(context, served_list, batch, begin_request):
    tab = open_list(context, served_list, "")
    tab.focus("#clips [type=checkbox]")
    tab.keyboard.press(">")
    tab.wait_for_selector("#status.error >> text=Type your name first")
    tab.focus("#clips [type=checkbox]")
    tab.keyboard.press("m")
    assert tab.evaluate("document.activeElement.id") == "person"
    assert tab.input_value("#filter") == ""
    tab.fill("#person", "Ann")
    tab.keyboard.press("Enter")
    begin_request(batch, "b", "Cid", is_page=True)  # the first one
    requests = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.keyboard.press(">")
    tab.wait_for_url("**/clip/a/")
    assert not any("/clip/b" in url for url in requests)
    tab.close()


def test_next_clip_passes_one_that_another_person_opened(list_tab, batch, begin_request):
    clips = list_tab.evaluate("fetch('clips').then((answer) => answer.text())")
    first = json.loads(clips)[0]["name"]
    begin_request(batch, first, "Cid", is_page=True)
    list_tab.goto(f"{list_tab.url}clip/{first}/?next")
    list_tab.wait_for_selector("#view[aria-busy=false]")
    assert f"/clip/{first}/" not in list_tab.url


def test_clips_that_refuse_a_status_stay_selected(list_tab, batch):
    with batch.use("b", "Bob") as session:
        editing.clear_tracking(session.document, 4)
    list_tab.wait_for_selector("#clips li >> text=frames have no masks")
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("a")
    list_tab.keyboard.press("Enter")
    list_tab.wait_for_selector("dialog[open] li >> text=b: 8 of 12 frames have no masks")
    list_tab.click("dialog[open] button[value='']")
    list_tab.wait_for_selector("#status.error >> text=clips accepted.")
    list_tab.wait_for_selector("#status.error li >> text=b: not accepted")
    assert list_tab.inner_text("#selection-count") == "1 clip selected"
    assert statuses(batch) == {"a": "accepted", "b": "in progress", "c": "accepted"}


def test_list_of_mine_and_next_clip_follow_assignments(list_tab, batch):
    for name, annotator, reviewer in (("a", "Bob", ""), ("b", "Bob", "Ann"), ("c", "Bob", "Ann")):
        with batch.use(name, "Lea") as session:
            session.document.review.assign(annotator, reviewer)
    set_status(batch, "c", "Bob", "to review")
    list_tab.wait_for_selector("#clips .status:text('to review')")
    list_tab.keyboard.press("m")
    list_tab.wait_for_selector("#clips tr:nth-child(2)", state="detached")
    assert list_tab.inner_text("#clips th a").strip() == "c"
    list_tab.keyboard.press(">")
    list_tab.wait_for_url("**/clip/c/")
    list_tab.wait_for_selector("#view[aria-busy=false]")


def test_rules_are_read_only_except_for_the_lead(list_tab, batch):
    sizes = AttributeRule("size among the others", "choice", ["x" * 60, "y"], per_frame=True)
    batch.rules.change(Rules(classes=[ClassRule("dog", "#ff0000", "D", [sizes])]), "Lea")
    list_tab.set_viewport_size({"width": 320, "height": 568})
    list_tab.click("#rules")
    list_tab.wait_for_selector("dialog[open] p >> text=Only Lea, the lead, may change the rules.")
    assert list_tab.locator("dialog[open] .fields :is(input, select, button):enabled").count() == 0
    assert list_tab.locator("dialog[open] button[value=store]").count() == 0
    assert list_tab.locator("dialog[open]").bounding_box()["width"] <= 320
    assert find_violations(list_tab) == []
    close_dialog(list_tab)
    open_clip_page(list_tab, "c")
    list_tab.keyboard.press("1")
    list_tab.keyboard.press("Alt+d")
    list_tab.click("#panels")
    list_tab.wait_for_selector("#attribute-fields select")
    assert list_tab.evaluate("document.querySelector('aside').scrollWidth") <= 304
    list_tab.set_viewport_size(VIEWPORT)


def test_rules_and_contact_sheet_in_the_list(list_tab, batch):
    list_tab.click("#rules")
    list_tab.select_option("dialog[open] select", "others")
    assert find_violations(list_tab) == []
    list_tab.click("dialog[open] button[value=store]")
    list_tab.wait_for_selector("#status >> text=Rules stored.")
    rules = RulesFile(batch.folder).current
    assert (rules.lead, rules.accept) == ("Ann", "others")
    list_tab.keyboard.press("Control+a")
    list_tab.keyboard.press("v")
    list_tab.wait_for_selector("#sheets section:nth-child(3) a")
    assert find_violations(list_tab) == []
    list_tab.click("#sheets a[href='clip/b/?frame=7']")
    list_tab.wait_for_selector("#strips[aria-valuenow='7']")


GESTURES_TO_TRACK, GESTURES_IN_ALL = 3.0, 4.5
"""Largest numbers of a lead's gestures for each clip."""


class Hand:
    """Counts the gestures of a person: typed texts, keys, drags."""

    def __init__(self, list_tab):
        self.tab, self.count = list_tab, 0

    def key(self, *names):
        for name in names:
            self.tab.keyboard.press(name)
            self.count += 1

    def drag_box(self):
        box = self.tab.locator("#view").bounding_box()
        zoom = min(box["width"] / 60, box["height"] / 40)
        left, top = box["x"] + (box["width"] - 60 * zoom) / 2, box["y"] + (box["height"] - 40 * zoom) / 2
        self.tab.mouse.move(left + 3 * zoom, top + 3 * zoom)
        self.tab.mouse.down()
        self.tab.mouse.move(left + 18 * zoom, top + 18 * zoom)
        self.tab.mouse.up()
        self.count += 1


def test_lead_takes_few_gestures_for_a_list(context, tmp_path, make_batch, serve, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.05)
    names = [f"clip{number}" for number in range(4)]
    for name in names:
        draw_folder(tmp_path / "videos" / name)
    batch = make_batch(tmp_path / "videos")
    tab = open_list(context, serve(batch, build_batch_app(batch)), "Lea")
    hand = Hand(tab)
    hand.count = 2  # the name and Enter
    for name in names:
        hand.key(">")
        tab.wait_for_url(f"**/clip/{name}/")
        tab.wait_for_selector("#view[aria-busy=false]")
        hand.drag_box()
        tab.wait_for_selector("#clip-status:text('in progress')")
    hand.key("Shift+L")
    tab.wait_for_selector("#track-all:visible")
    hand.key("t")
    assert hand.count <= GESTURES_TO_TRACK * len(names)
    wait_until_tracked(batch)
    tab.wait_for_selector("#track-all", state="hidden")
    hand.key("Control+a", "v")
    tab.wait_for_selector("#sheets section:nth-child(4) a")
    hand.key("Escape", "a", "Enter")
    wait_until(lambda: {*statuses(batch).values()} == {"accepted"})
    tab.wait_for_selector("#status >> text=4 clips accepted.")
    tab.click("#export-clips")
    hand.count += 1
    tab.wait_for_selector("#status >> text=4 clips exported.")
    assert hand.count <= GESTURES_IN_ALL * len(names)
    tab.close()


def test_matte_and_onion_skin_are_drawn(page, session):
    draw(session, 0, 1)
    draw(session, 1, 1, 2)
    page.wait_objects(2)
    page.wait_shown("object 1")
    image = page.pixel(50, 35)
    page.key("Shift+V")
    page.wait_until(lambda: page.pixel(50, 35)[:3] == [0, 0, 0])
    x, y = (int(value) for value in np.argwhere(truth(0) == 1).mean(0)[::-1])
    assert page.pixel(x, y)[:3] == [0x10, 0x98, 0x98]
    before = page.tab.evaluate("document.getElementById('view').toDataURL()")
    page.key("Shift+V")
    page.wait_until(lambda: page.pixel(50, 35) == image)
    edge_y, edge_x = np.argwhere(truth(1) == 2)[0].tolist()  # the outline of object 2 on the next frame
    page.wait_until(lambda: page.pixel(edge_x + 0.5, edge_y + 0.5) != page.pixel(50, 35))
    assert page.tab.evaluate("document.getElementById('view').toDataURL()") != before
    outlined = page.pixel(edge_x + 0.5, edge_y + 0.5)
    editing.mark_absent(session.document, 1, 2)  # the next frame changes, this one does not
    page.wait_until(lambda: page.pixel(edge_x + 0.5, edge_y + 0.5) != outlined)
    page.open(page.tab.url)
    assert page.tab.input_value("#view-kind") == "onion"
    page.tab.evaluate("localStorage.clear()")


def test_outlines_of_a_version_are_compared(page, session):
    draw(session, 0, 1)
    session.document.save_version("first")
    editing.mark_absent(session.document, 0, 1)
    page.wait_objects(1)
    page.wait_shown()
    y, x = np.argwhere(truth(0) == 1)[0].tolist()
    before = page.pixel(x + 0.5, y + 0.5)
    page.tab.click("#open-versions")
    page.tab.click("[aria-label='Compare version 1']")
    page.wait_until(lambda: page.pixel(x + 0.5, y + 0.5) != before)
    page.tab.click("text=Stop comparing")
    page.wait_until(lambda: page.pixel(x + 0.5, y + 0.5) == before)
    assert page.tab.request.get(f"{page.tab.url}labels/0?version=9").status == 404
