"""Figures of the documents: measured values reach the file and the pages."""

import pytest
import yaml

from research import figures


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A page that quotes two figures, one of which needs data."""
    (tmp_path / "page.md").write_text("J&F 12.5 on the pond, and 33.3 (DAVIS)\n")
    entries = {
        "pond": {"command": "aotlab eval", "value": 12.5, "pages": {"page.md": "J&F {} on"}},
        "davis": {"command": "aotlab eval --root DAVIS", "value": 33.3, "pages": {"page.md": "and {} ("}},
    }
    (tmp_path / "figures.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.yaml")
    monkeypatch.setattr(figures, "measure", lambda line, davis: 90.0)
    return tmp_path


def read_values(checkout):
    entries = yaml.safe_load((checkout / "figures.yaml").read_text())
    return {name: entry["value"] for name, entry in entries.items()}


def test_measured_value_replaces_the_quoted(checkout, capsys):
    assert figures.main([]) == 0
    assert (checkout / "page.md").read_text() == "J&F 90.0 on the pond, and 33.3 (DAVIS)\n"
    assert read_values(checkout) == {"pond": 90.0, "davis": 33.3}
    assert "davis: skipped" in capsys.readouterr().out


def test_missing_sentence_and_unknown_name_are_refused(checkout, capsys):
    (checkout / "page.md").write_text("no figures\n")
    assert figures.main(["pond"]) == 2
    assert "page.md: 0 places of 'J&F {} on' instead of one" in capsys.readouterr().err
    assert figures.main(["ponds"]) == 2
    assert "got ponds; did you mean pond?" in capsys.readouterr().err
    assert read_values(checkout)["pond"] == 12.5
