"""Weights by name, from a local server with faults, a file, and the Hub's mixin."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, create_autospec

import pytest
import torch
from huggingface_hub import hf_hub_download

from aotlab import Tracker, load_model
from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT
from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.weights.hub import HubModel
from aotlab.networks.weights.zoo import (
    download_from_hub,
    download_weights,
    find_weights,
    list_published_weights,
    resolve_checkpoint,
    weights_folder,
)
from aotlab.tools.weights import main
from aotlab.utils.errors import InputError
from aotlab_testing.limits import limit_file_size
from aotlab_testing.marks import slow
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import assert_same_weights, to_published


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AOTLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def aott(tmp_path_factory):
    """The published file of AOTT with other weights, and the model."""
    torch.manual_seed(0)
    model = build_model(load_config("aott").model)
    path = tmp_path_factory.mktemp("zoo") / "AOTT_PRE_YTB_DAV.pth"
    torch.save({"state_dict": to_published(model)}, path)
    return SimpleNamespace(path=path, model=model)


@pytest.fixture
def link(file_server, tmp_path, aott):
    """Address of the published file."""
    shutil.copy(aott.path, tmp_path / "weights.pth")
    return f"{file_server.url}/weights.pth"


def list_stored():
    """Names of all stored files but locks."""
    return sorted(path.name for path in weights_folder().iterdir() if path.suffix != ".lock")


def test_published_names_are_presets():
    table = list_published_weights()
    assert len(table) == 12
    assert len({entry.google_drive for entry in table.values()}) == 12
    assert all(load_config(name).name for name in table)


def test_incomplete_download_is_resumed(file_server, link, aott):
    with limit_file_size(50_000), pytest.raises(InputError, match="File too large"):
        download_weights("aott", source=link)
    file_server.truncates = True
    size = aott.path.stat().st_size
    with pytest.raises(
        InputError, match=rf"\d+ of {size} bytes\); check address and network; the same command resumes$"
    ):
        download_weights("aott", source=link)
    (part,) = weights_folder().glob(".download.*.part")
    assert size / 3 < part.stat().st_size < size / 2  # a third of the rest is added
    assert find_weights("aott") is None
    file_server.truncates = False
    path = download_weights("aott", source=link)
    assert_same_weights(load_model("aott")[0].state_dict(), aott.model.state_dict())
    assert list_stored() == [path.name]


def test_source_of_stored_weights_is_ignored_with_a_warning(aott, caplog):
    download_weights("aott", source=str(aott.path))
    download_weights("aott", source="other.pth")
    assert "aott: already stored; ignoring other.pth (--force replaces it)" in caplog.text


@pytest.mark.parametrize(("module", "error", "words"), [
    ("gdown.exceptions", "FileURLRetrievalError", r"Too many users.*AOTT_PRE_YTB_DAV\.pth"),
    ("requests", "ConnectionError", r"retry, or put AOTT_PRE_YTB_DAV\.pth of"),
])  # fmt: skip
def test_google_drive_failure_is_reported_in_one_sentence(home, monkeypatch, module, error, words):
    gdown, errors = pytest.importorskip("gdown", reason="needs gdown"), pytest.importorskip(module)

    fail = Mock(side_effect=getattr(errors, error)("Cannot retrieve the public link.\nToo many users"))
    monkeypatch.setattr(gdown, "download", fail)
    with raises_one_sentence(words) as refusal:
        download_weights("aott")
    assert str(home / "weights") in str(refusal.value)


def test_concurrent_programs_download_and_convert_once(file_server, link, aott, capsys):
    path = weights_folder() / "aott.safetensors"
    with ThreadPoolExecutor(3) as threads:
        assert [*threads.map(lambda _: download_weights("aott", source=link), range(3))] == [path] * 3
    assert main(["get", "aott", "--from", link]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert download_weights("aott") == resolve_checkpoint("aott") == path
    assert file_server.requests == 1
    model, config = load_model("aott")
    assert config.name == "aott"
    assert_same_weights(model.state_dict(), aott.model.state_dict())
    assert list_stored() == ["aott.safetensors"]


def test_file_placed_by_hand_is_not_downloaded(aott):
    folder = weights_folder()
    folder.mkdir(parents=True)
    (folder / "AOTT_PRE_YTB_DAV.pth").write_bytes(aott.path.read_bytes())
    assert resolve_checkpoint("aott") == folder / "aott.safetensors"
    assert (folder / "AOTT_PRE_YTB_DAV.pth").is_file()


def test_home_folder_of_a_checkpoint_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.safetensors").touch()
    assert resolve_checkpoint("~/mine.safetensors") == tmp_path / "mine.safetensors"


@pytest.mark.parametrize("name", ["bundled", "aott_mini"])
def test_bundled_checkpoint_found_by_name(name):
    assert resolve_checkpoint(name) == BUNDLED_CHECKPOINT


@pytest.fixture
def names():
    return list_published_weights()


def test_error_names_the_closed_folder_of_weights(names, closed_folder, monkeypatch):
    monkeypatch.setenv("AOTLAB_HOME", str(closed_folder))
    for checkpoint in (closed_folder, closed_folder / "a.safetensors", *names):
        with pytest.raises(InputError, match=r"closed.*: not readable \(Permission denied\); check the permissions of"):
            resolve_checkpoint(checkpoint)


@pytest.mark.parametrize(("content", "words"), [
    (b"<!DOCTYPE html><html>Quota exceeded</html>", "not a PyTorch checkpoint"),
    (b"x", "127.0.0.1"),
])  # fmt: skip
def test_invalid_download_rejected(file_server, tmp_path, content, words):
    (tmp_path / "weights.pth").write_bytes(content)
    with raises_one_sentence(words):
        download_weights("aott", source=f"{file_server.url}/weights.pth")
    assert [path.name for path in weights_folder().iterdir()] == []


def test_weights_of_another_variant_rejected(aott):
    with pytest.raises(InputError, match=r"does not fit deaott .*; its keys fit aott$"):
        download_weights("deaott", source=str(aott.path))
    assert find_weights("deaott") is None


def test_error_names_the_file_placed_by_hand(aott):
    placed = weights_folder() / list_published_weights()["deaott"].file
    placed.parent.mkdir(parents=True)
    placed.write_bytes(aott.path.read_bytes())
    with pytest.raises(InputError, match=re.escape(f"{placed}: does not fit deaott")):
        download_weights("deaott")


def test_list_and_unknown_names(capsys, aott):
    download_weights("aott", source=str(aott.path))
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("aott ")).endswith("yes")
    assert not next(line for line in lines if line.startswith("r50_deaotl ")).endswith("yes")
    assert main(["get", "vgg"]) == 2
    assert "vgg" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "words"), [
    ("get", "Missing argument 'NAME...'; see aotlab weights get --help"),
    ("get aott aots --from x", "--from: takes exactly one NAME"),
])  # fmt: skip
def test_options_of_other_actions_are_rejected(command, words, read_error_line):
    assert words in read_error_line(main(command.split()))


def test_hub_folder_is_loaded_as_saved(aott, tmp_path):
    loaded = load_model(download_weights("aott", source=str(aott.path)), overrides=["memory.every=7"])
    HubModel(*loaded).save_pretrained(tmp_path / "saved")
    again = HubModel.from_pretrained(tmp_path / "saved")
    assert_same_weights(again.model.state_dict(), aott.model.state_dict())
    assert again.settings.memory.every == 7
    assert not again.model.training
    assert Tracker.from_pretrained(tmp_path / "saved").config.memory.every == 7
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "Tracker.from_pretrained" in card
    assert "More Information Needed" not in card


def test_hub_repository_is_loaded_as_saved(aott, tmp_path, monkeypatch):
    model, config = load_model(download_weights("aott", source=str(aott.path)), overrides=["data.root=/home/me"])
    HubModel(model, config).save_pretrained(tmp_path)
    assert "/home/me" not in (tmp_path / "config.json").read_text()
    download = create_autospec(hf_hub_download, side_effect=lambda repo_id, filename, **_: tmp_path / filename)
    monkeypatch.setattr("aotlab.networks.weights.hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", download)
    assert HubModel.from_pretrained("owner/name").settings == config


def test_folded_model_is_not_saved(tmp_path):
    tracker = Tracker.from_pretrained("bundled", overrides="memory.every=7")
    assert tracker.config.memory.every == 7
    with pytest.raises(InputError, match="load_model"):
        HubModel(tracker.model, tracker.config).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "model.safetensors").exists()


def test_torch_hub_loads_a_tracker():
    tracker = torch.hub.load(str(ROOT), "tracker", source="local", overrides=["memory.every=3"])
    assert tracker.config.memory.every == 3


def test_address_on_the_hub_names_repository_and_file(monkeypatch):
    load = create_autospec(hf_hub_download, return_value="cached")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", load)
    assert download_from_hub("hf://a/b/c/d.pth", "e") == download_from_hub("hf://a/b", "e") == Path("cached")
    assert [call.args for call in load.call_args_list] == [("a/b", "c/d.pth"), ("a/b", "e")]


SOURCES = ["/dev/zero", "/", "gone", "file:///gone", "http://[::1", "http://127.0.0.1:1/x", "hf:///", ""]


@pytest.mark.parametrize("source", SOURCES)
def test_unusable_source_rejected(source):
    with raises_one_sentence():
        download_weights("aots", source=source)
    assert not [path for path in weights_folder().iterdir() if path.suffix not in (".lock", ".partial")]


@pytest.mark.parametrize(("value", "code"), [("~nobodyhasthisname/x", 0), ("/dev/null", 0), ("n" * 5000, 2)], ids=ascii)
def test_unusable_home_rejected(value, code, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AOTLAB_HOME", value)
    for command, expected in (("list", code), ("path aott", 2), ("get aott --from x", 2)):
        assert main(command.split()) == expected, command
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("name", "parts"), [
    ("bundled", ["aott_mini: aot, encoder mobilenet_v2, blocks 1, memory", "weights after"]),
    *slow(
        ("msdeaott", ["mobilenet_v2, blocks 1 + 1 + 0"]), ("r50_aotl", ["resnet50, blocks 3, memory every_nth", "14."])
    ),
])  # fmt: skip
def test_show_prints_parameters_and_flops(name, parts, capsys):
    assert main(["show", name]) == 0
    text = capsys.readouterr().out
    words = (*parts, "encoder ", "decoder ", "propagate ", "one frame ")
    assert [word for word in words if word not in text] == []
    assert main(["show", "gone.pth"]) == 2


@pytest.mark.parametrize(("address", "module"), [("hf://owner/name", "huggingface_hub"), ("aott", "gdown")])
def test_download_without_its_library_names_the_extra(address, module, tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab.networks.weights.zoo.cache_folder", lambda: tmp_path)
    monkeypatch.setattr("aotlab.utils.errors.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"^{module} must be installed for this; pip install 'aotlab\[weights\]'$"):
        resolve_checkpoint(address)
