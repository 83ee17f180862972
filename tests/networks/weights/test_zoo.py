"""Weights by name, from a local server with faults, a file, and the Hub's mixin."""

import http.server
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from aotlab import Tracker, load_model
from aotlab.configs.load import load_config
from aotlab.configs.weights import published, published_weights
from aotlab.networks.vos_model import VOSModel
from aotlab.networks.weights.hub import HubModel
from aotlab.networks.weights.zoo import get_weights, resolve, weights_folder, weights_path
from aotlab.tools.weights import main
from aotlab.utils.errors import InputError
from aotlab.utils.fetch import fetch
from tests.published import to_official

ROOT = Path(__file__).resolve().parents[3]
CONTENT = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AOTLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def aott(tmp_path_factory):
    """The published file of AOTT with other weights, and the model."""
    torch.manual_seed(0)
    model = VOSModel(load_config("aott").model)
    path = tmp_path_factory.mktemp("zoo") / "AOTT_PRE_YTB_DAV.pth"
    torch.save({"state_dict": to_official(model)}, path)
    return SimpleNamespace(path=path, model=model)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files, in the way that the server's ``fault`` says."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        content = server.content
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        part = content[start:]
        if server.fault and not start:
            part = part[: len(part) // 3]
        self.wfile.write(part)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.fault, server.asked = CONTENT, False, []
    server.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    yield server
    server.shutdown()


def test_every_preset_of_the_table_exists_and_names_are_unique():
    table = published_weights()
    assert len(table) == 12
    assert len({entry.google_drive for entry in table.values()}) == 12
    assert all(load_config(name).name for name in table)


def test_a_file_that_broke_off_is_gone_on_with(server, tmp_path):
    server.fault = True
    with pytest.raises(InputError, match=f"of {len(CONTENT)} bytes; run the command again"):
        fetch(server.url, tmp_path / "x", hub_file="")
    assert not (tmp_path / "x").exists()
    fetch(server.url, tmp_path / "x", hub_file="")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 3}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"] * (tmp_path / "home").exists() + ["x"]


def test_what_another_address_sent_goes_once_the_weights_are_here(server, aott):
    server.content, server.fault = aott.path.read_bytes(), True
    with pytest.raises(InputError):
        get_weights("aott", source=server.url)
    assert list(weights_folder().glob(".fetched.*"))
    get_weights("aott", source=str(aott.path))
    assert not list(weights_folder().glob(".fetched.*"))


def test_no_server_is_one_sentence_with_the_place_for_the_file(home):
    with pytest.raises(InputError, match=r"AOTT_PRE_YTB_DAV\.pth") as refusal:
        get_weights("aott", source="http://127.0.0.1:9/x")
    assert str(home / "weights" / "AOTT_PRE_YTB_DAV.pth") in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_google_drive_out_of_reach_is_one_sentence_too(home, monkeypatch):
    gdown = pytest.importorskip("gdown", reason="needs gdown")

    def refuse(**_):
        raise gdown.exceptions.FileURLRetrievalError("Cannot retrieve the public link.\nToo many users")

    monkeypatch.setattr(gdown, "download", refuse)
    with pytest.raises(InputError, match=r"Cannot retrieve.*AOTT_PRE_YTB_DAV\.pth") as refusal:
        get_weights("aott")
    assert "\n" not in str(refusal.value)


def test_google_drive_without_a_network_is_not_the_text_of_a_library(home, monkeypatch):
    gdown = pytest.importorskip("gdown", reason="needs gdown")
    requests = pytest.importorskip("requests")

    def fail(**_):
        raise requests.ConnectionError("HTTPSConnectionPool(host='drive')")

    monkeypatch.setattr(gdown, "download", fail)
    with pytest.raises(
        InputError, match="cannot be reached; run the command again to resume; or get"
    ) as refusal:
        get_weights("aott")
    assert "Pool" not in str(refusal.value)


def test_named_weights_are_fetched_once_converted_and_the_same_model(server, aott, capsys):
    server.content = aott.path.read_bytes()
    assert main(["get", "aott", "--from", server.url]) == 0
    path = weights_folder() / "aott.safetensors"
    assert capsys.readouterr().out.strip() == str(path)
    assert get_weights("aott") == resolve("aott") == path
    assert len(server.asked) == 1
    model, config = load_model("aott")
    assert config.name == "aott"
    assert all(torch.equal(value, aott.model.state_dict()[key]) for key, value in model.state_dict().items())
    left = sorted(one.name for one in path.parent.iterdir() if not one.name.endswith(".lock"))
    assert left == ["aott.safetensors", "aott.safetensors.sha256"]


def test_a_file_put_in_its_place_by_hand_needs_no_network(aott):
    folder = weights_folder()
    folder.mkdir(parents=True)
    (folder / "AOTT_PRE_YTB_DAV.pth").write_bytes(aott.path.read_bytes())
    assert resolve("aott") == folder / "aott.safetensors"
    assert (folder / "AOTT_PRE_YTB_DAV.pth").is_file()


def test_a_changed_file_is_refused_at_the_next_load(aott, capsys):
    path = get_weights("aott", source=str(aott.path))
    assert main(["verify"]) == 0
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="not what was stored"):
        load_model("aott")
    assert main(["verify"]) == 1
    assert "aott.safetensors" in capsys.readouterr().err
    get_weights("aott", source=str(aott.path), overwrite=True)
    assert weights_path("aott") == path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "web page"),
        (b"\n <html>", "web page"),
        (b"", "127.0.0.1"),
        (CONTENT, "127.0.0.1"),
    ],
)
def test_what_is_no_checkpoint_is_refused_and_not_kept(server, content, words):
    server.content = content or b"x"
    with pytest.raises(InputError, match=words) as refusal:
        get_weights("aott", source=server.url)
    assert "\n" not in str(refusal.value)
    assert [path.name for path in weights_folder().iterdir()] == []


def test_weights_of_another_variant_are_refused_by_name(aott):
    with pytest.raises(InputError, match="this file is aott"):
        get_weights("deaott", source=str(aott.path))
    assert weights_path("deaott") is None


def test_list_path_and_unknown_names(capsys, aott):
    get_weights("aott", source=str(aott.path))
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("aott ")).endswith("yes")
    assert not next(line for line in lines if line.startswith("r50_deaotl ")).endswith("yes")
    assert main(["path", "aott"]) == 0
    assert main(["path", "r50_deaotl"]) == 2
    assert main(["get", "vgg"]) == 2
    err = capsys.readouterr().err
    assert "aotlab weights get r50_deaotl" in err
    assert "vgg" in err
    with pytest.raises(InputError, match="vgg"):
        published("vgg")


def test_a_model_is_saved_and_loaded_in_the_way_of_the_hub(aott, tmp_path):
    loaded = load_model(get_weights("aott", source=str(aott.path)), overrides=["memory.every=7"])
    HubModel(*loaded).save_pretrained(tmp_path / "saved")
    again = HubModel.from_pretrained(tmp_path / "saved")
    weights = again.model.state_dict()
    assert all(torch.equal(value, aott.model.state_dict()[key]) for key, value in weights.items())
    assert again.settings.memory.every == 7
    assert not again.model.training
    assert Tracker.from_pretrained(tmp_path / "saved").config.memory.every == 7
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "Tracker.from_pretrained" in card
    assert "More Information Needed" not in card


def test_the_bundled_model_has_a_name():
    assert Tracker.from_pretrained("bundled").config == Tracker.from_checkpoint().config


def test_the_model_of_a_tracker_is_not_saved_as_what_could_not_be_loaded(tmp_path):
    tracker = Tracker.from_checkpoint()
    with pytest.raises(InputError, match="load_model"):
        HubModel(tracker.model, tracker.config).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "model.safetensors").exists()


def test_torch_hub_loads_a_tracker_from_a_checkout():
    tracker = torch.hub.load(str(ROOT), "tracker", source="local", overrides=["memory.every=3"])
    assert tracker.config.memory.every == 3


def test_programs_that_fetch_the_same_weights_ask_for_them_once(aott, home, server):
    server.content = aott.path.read_bytes()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(get_weights("aott", source=server.url)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [weights_path("aott")] * 3
    assert server.asked == [None]
