"""CVAT's XML."""

from xml.etree import ElementTree

import pytest

from aotlab.masks.exchange.cvat import parse_cvat, write_cvat, write_cvat_polygons
from aotlab.masks.exchange.matching import match
from aotlab.masks.exchange.reading import read_annotations
from aotlab.masks.exchange.safe_files import about
from aotlab.utils.errors import InputError
from tests.masks.exchange.drawn import LENGTH, SIZE, TARGET, VIDEO, labels, tracked

TRACK = """<annotations><version>1.1</version>
<meta><task><original_size><width>40</width><height>24</height></original_size></task></meta>
<track id="0" label="person" source="manual">
  <polygon frame="0" keyframe="1" outside="0" occluded="0" points="2,3;16,3;16,15;2,15" z_order="0"/>
  <polygon frame="1" keyframe="0" outside="0" occluded="0" points="3,3;17,3;17,15;3,15" z_order="0"/>
  <polygon frame="2" keyframe="1" outside="0" occluded="0" points="4,3;18,3;18,15;4,15" z_order="0"/>
  <polygon frame="3" keyframe="1" outside="1" occluded="0" points="4,3;18,3;18,15;4,15" z_order="0"/>
</track>{more}</annotations>"""


def read(text):
    with about("clip.xml"):
        return match(parse_cvat(ElementTree.fromstring(text), SIZE), TARGET)


def test_what_is_written_reads_as_it_was():
    found = read(write_cvat(tracked(), VIDEO))
    assert sorted(found.frames) == list(range(LENGTH))
    assert all((found.mask(frame) == labels(frame)).all() for frame in range(LENGTH))
    assert found.class_names == {3: "person", 7: "ball"}


def test_tracks_of_polygons_keep_the_objects_but_for_holes():
    tree = ElementTree.fromstring(write_cvat_polygons(tracked(), VIDEO))
    found = match(parse_cvat(tree, SIZE), TARGET)
    assert found.objects() == [3, 7]
    assert len(tree.findall("track")) == 3  # the ball is in two parts
    assert [shape.get("frame") for shape in tree.findall("track")[1] if shape.get("outside") == "0"] == [
        "2",
        "3",
    ]
    for frame in range(LENGTH):
        filled = labels(frame)
        filled[7:10, 6 + frame : 9 + frame] = 3
        assert (found.mask(frame) == filled).all()


def test_of_a_track_the_key_frames_are_taken_on_which_it_is_in_sight():
    found = read(TRACK.format(more=""))
    assert sorted(found.frames) == [0, 2]
    assert (found.mask(2)[3:15, 4:18] == 1).all()
    assert found.class_names == {1: "person"}


def test_tracks_are_objects_though_they_share_a_label():
    second = (
        '<track id="1" label="person"><polygon frame="0" points="20,3;30,3;30,9;20,9" outside="0"/></track>'
    )
    assert read(TRACK.format(more=second)).objects() == [1, 2]


def test_cvat_for_images_draws_in_z_order():
    text = """<annotations><image id="1" name="00001.png" width="40" height="24">
    <polygon label="top" points="2,2;12,2;12,12;2,12" z_order="1"/>
    <mask label="below" rle="0, 100" left="2" top="2" width="10" height="10" z_order="0"/></image></annotations>"""
    found = read(text)
    top = next(number for number, label in found.class_names.items() if label == "top")
    assert (found.mask(1)[3:11, 3:11] == top).all()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('<track group_id="x"/>', "not readable"),
        ('<track id="1"><polygon frame="0" points="1,1;2,2"/></track>', "three points"),
        ('<track id="1"><polygon frame="-1" points="1,1;2,2;3,1"/></track>', "frame -1"),
        ('<track id="1"><polygon frame="0" points="1,1;2,2;1e99,1"/></track>', "coordinate"),
        ('<track id="1"><polygon frame="0" points="1,1;2,b;3,1"/></track>', "not readable"),
        (
            '<track id="1"><mask frame="0" rle="5" left="0" top="0" width="9" height="9"/></track>',
            "run lengths",
        ),
        ('<track id="1"><mask frame="0" rle="-5,86" left="0" top="0" width="9" height="9"/></track>', "run"),
        (
            '<track id="1"><mask frame="0" rle="99" left="39" top="0" width="9" height="11"/></track>',
            "lie in",
        ),
        (
            '<track id="1"><mask frame="0" rle="99" left="0" top="0" width="-9" height="-11"/></track>',
            "run lengths",
        ),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_refused(more, words):
    with pytest.raises(InputError, match=words):
        read(TRACK.format(more=more))


def test_boxes_are_no_masks():
    text = '<annotations><track id="0"><box frame="0" xtl="1" ytl="1" xbr="9" ybr="9"/></track></annotations>'
    with pytest.raises(InputError, match="box"):
        read(text)


def test_a_document_type_with_entities_is_refused_and_not_expanded(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY b "ha">' + "".join(
        f'<!ENTITY b{n} "{f"&b{n - 1 or str()};" * 10}">' for n in range(1, 12)
    )
    path = tmp_path / "bomb.xml"
    path.write_text(f"{bomb}]><annotations>&b11;</annotations>")
    with pytest.raises(InputError, match="document type"):
        read_annotations(path, TARGET)
    path.write_text('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>')
    with pytest.raises(InputError, match="document type"):
        read_annotations(path, TARGET)


@pytest.mark.parametrize("text", ["", "<annotations>", "<a>" * 200 + "</a>" * 200, "no xml"])
def test_what_is_no_annotation_file_is_refused(tmp_path, text):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.xml"):
        read_annotations(path, TARGET)


def test_another_size_is_refused():
    with pytest.raises(InputError, match="40×25"):
        read(TRACK.replace("<height>24", "<height>25").format(more=""))
