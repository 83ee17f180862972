"""Model cards: through JSON and back, and as text."""

import json

import pytest

from aotlab.engine.training.model_card import ModelCard, PhaseRecord, describe_card, parse_card

STATIC = PhaseRecord(
    name="static", steps=40, planned=50, hours=1.5, batch=4, clip_length=5, crop=241, data=["static (static)"],
    seed=3, precision="float32", device="2 × cpu", start="random weights", command="python tools/train.py",
)  # fmt: skip
SCORED = {"scores": {"J&F": 60.04, "J": 61.0}, "program": {"aotlab": "0.3.0", "commit": "1f2e"}}
CARD = ModelCard(phases=[STATIC, PhaseRecord(**{**vars(STATIC), "name": "video", "steps": 50, **SCORED})])


def test_card_is_read_as_written():
    assert parse_card(CARD.to_json()) == CARD
    assert parse_card(ModelCard(phases=[]).to_json()) == ModelCard(phases=[])


def test_unknown_fields_of_a_card_are_ignored():
    content = json.loads(CARD.to_json())
    content["phases"][0]["weather"] = "rain"
    assert parse_card(json.dumps(content)) == CARD


def test_card_is_described_as_a_table():
    text = describe_card(CARD)
    assert text.startswith("averaged weights after 90 steps in 3.00 hours\n")
    assert "| static | 40 of 50 | 1.50 | 4 | 5 | 241 | float32 | 2 × cpu | 3 | – |" in text
    assert "| video | 50 | 1.50 | 4 | 5 | 241 | float32 | 2 × cpu | 3 | 60.0 / 61.0 |" in text
    assert "`\n\n- aotlab 0.3.0, commit 1f2e\n- static (static)\n" in text
    assert "static, from random weights: `python tools/train.py`" in text


VALUES = [None, "x", 5, -1, [5], ["x"], {}, {"J": "x"}, {"J": float("nan")}, 10**400, True]


@pytest.mark.parametrize("field", vars(STATIC))
def test_card_with_an_invalid_field_is_none_or_printable(field):
    cards = []
    for value in VALUES:
        content = json.loads(CARD.to_json())
        content["phases"][0][field] = value
        cards.append(parse_card(json.dumps(content)))
    assert None in cards
    assert any(cards)  # some value is of the field's type
    assert all(card is None or describe_card(card) for card in cards)


@pytest.mark.parametrize("text", [
    "", "5", "[]", "{}", '{"phases": ["x"]}', '{"phases": [{"name": "static"}]}', '{"phases": {"a": 1}}', "[" * 100_000,
])  # fmt: skip
def test_invalid_card_is_none(text):
    assert parse_card(text) is None
