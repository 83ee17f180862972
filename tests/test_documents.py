"""Commands, code blocks and links of the documents."""

import ast
import configparser
import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

import aotlab
from aotlab.configs.files import ROOT
from tests.documents import BLOCK, FOLDERS, IGNORED_FOLDERS, check_command, split_blocks, split_words

Results = pytest.importorskip("aotlab_video", reason="checks the whole checkout, which lacks packages here").Results
PAGES = sorted(
    page
    for pattern in ("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))
    for page in ROOT.glob(pattern)
    if IGNORED_FOLDERS.isdisjoint(page.relative_to(ROOT).parts)
)
LINK = re.compile(r"\]\(<?([^)\s>]+)")
# users put their data into `datasets`
OWN_FILE = re.compile(rf"`((?:{'|'.join(map(re.escape, FOLDERS - {'datasets'}))})/[\w./]*\w[/\w])(?::(\w+))?`")
"""A file or folder of the checkout between backticks, perhaps with a name in it."""
ADDRESS = re.search(r'^Repository = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]  # type: ignore[index]
RAW = ADDRESS.replace("https://github.com", "https://raw.githubusercontent.com") + "/main/"
SITE = "https://aotlab.github.io/aotlab/"


def blocks(*languages):
    """All code blocks in some languages, each with the name of its page and its line."""
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}:{line}")
        for page in PAGES
        for line, _, text in split_blocks(page, *languages)
    ]


REGISTERED = {
    "memory.policy=spread": "memory.policy=rmem",
    "rules.hooks=[no_sky]": "rules.hooks=[]",
    "rules.hooks=[specks]": "rules.hooks=[]",
    "transforms: [darken]": "transforms: []",
    "model.method=aged": "model.method=aot",
    "lab_pairs": "folder",
    "model.method=gated_deaot": "model.method=deaot",
    "model.method=gated": "model.method=aot",
    "model.method=matching": "model.method=aot",
    "model.encoder=plain": "model.encoder=resnet50",
}
"""What pages register, and what stands in its place here."""


@pytest.mark.parametrize("text", blocks("sh", "bash", "shell", "console"))
def test_documented_commands_parse(text):
    for words in split_words(text):
        for name, other in REGISTERED.items():
            words = [word.replace(name, other) for word in words]
        check_command(words)


@pytest.mark.parametrize("line", [
    "python packages/demo/gone.py",
    "python -m research.gone",
    "pytest packages/studio/tests/gone.py",
    "aotlab",
    "bash gone.sh",
])  # fmt: skip
def test_command_of_a_missing_file_is_found(line):
    with pytest.raises(AssertionError):
        check_command(line.split())


def parse_ini(text):
    configparser.ConfigParser().read_string(text)


PARSERS = {"python": ast.parse, "yaml": yaml.safe_load, "yml": yaml.safe_load, "ini": parse_ini, "json": json.loads}


@pytest.mark.parametrize(
    ("language", "text"), [(kind, *block.values) for kind in PARSERS for block in blocks(kind)], ids=ascii
)
def test_code_block_parses(language, text):
    PARSERS[language](text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        target, _, anchor = link.partition("#")
        for prefix in (RAW, f"{ADDRESS}/blob/main/"):
            if target.startswith(prefix):
                assert (ROOT / target.removeprefix(prefix)).exists(), f"{link}: no such file"
        if target.startswith(SITE) and target.endswith(".html"):
            linked = ROOT / "docs" / target.removeprefix(SITE)
            pages = [linked.with_suffix(suffix) for suffix in (".md", ".ipynb")]
            assert any(page.is_file() for page in pages), f"{link}: no page"
        if "://" in target or target.startswith("mailto:"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), f"{link}: no such file"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_mentioned_files_exist(page):
    for name, inside in OWN_FILE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"no file {name}"
        assert not inside or re.search(rf"\b{inside}\b", (ROOT / name).read_text()), f"no {inside} in {name}"


OVERVIEWS = ("ARCHITECTURE.md", "README.md")
SOURCES = (".py", ".pyi", ".yaml", ".toml", ".sh", ".js", ".html", ".yml")


@pytest.fixture(scope="module")
def source_words():
    """All words of the code."""
    files = (path for folder in (*FOLDERS, "src") for path in (ROOT / folder).rglob("*") if path.suffix in SOURCES)
    paths = [path for path in files if IGNORED_FOLDERS.isdisjoint(path.relative_to(ROOT).parts)]
    text = " ".join(path.read_text(encoding="utf-8") for path in [*paths, *ROOT.glob("*.toml"), *ROOT.glob("*.py")])
    return {*re.findall(r"\w+", text)}


@pytest.fixture
def references(monkeypatch):
    """The module that generates parts of pages."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    return importlib.import_module("references")


@pytest.mark.parametrize("name", OVERVIEWS)
def test_overviews_name_only_what_exists(name, source_words, references):
    text = BLOCK.sub("", (ROOT / name).read_text(encoding="utf-8"))
    settings = {*re.findall(r"^\| `([\w.]+)`", references.settings(), re.MULTILINE)}
    sections = {setting.partition(".")[0] for setting in settings if "." in setting}
    for span in re.findall(r"`([^`]+)`", text):
        missing = {*re.findall(r"[A-Za-z_]\w{2,}", OWN_FILE.sub("", f"`{span}`"))} - source_words
        assert not missing, f"`{span}` names {', '.join(missing)}, which no code has"
        if re.fullmatch(rf"({'|'.join(sections)})\.[a-z_.]+", span) and not span.endswith(".py"):
            assert span in settings, f"no setting {span}"


def anchors(page):
    """Anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_addresses_of_the_project_agree():
    from_citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert from_citation["repository-code"] == ADDRESS
    assert f'REPOSITORY = "{ADDRESS}/blob/main"' in (ROOT / "docs/_ext/references.py").read_text()


def test_table_of_published_checkpoints_is_complete():
    listed = yaml.safe_load((ROOT / "networks/weights/published.yaml").read_text(encoding="utf-8"))
    columns = ("youtube_vos_2018", "youtube_vos_2019", "davis_2017", "davis_2017_test_dev", "davis_2016")
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    page = re.sub(r"[\d.]+ †", "–", page)  # scores of a paper, which are not the model zoo's
    for name, entry in listed.items():
        scores = [str(entry["scores"].get(column, "–")) for column in columns]
        assert f"| {' | '.join([entry['title'], f'`{name}`', str(entry['parameters']), *scores])} |" in page


def test_attribute_text_with_colon_stays_whole(references):
    docstring = pytest.importorskip("sphinx.ext.napoleon").GoogleDocstring
    text = "number of the first frame to track; None: the video's first"
    lines, names = [text], {"what": "attribute", "name": "start"}
    assert ":type:" in str(docstring(lines, **names))  # without the extension
    references.keep_colons(None, "attribute", "start", None, None, lines)
    assert str(docstring(lines, **names)).strip() == text


def test_page_of_the_interface_has_all_public_names():
    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    assert {*aotlab.__all__} <= {*re.findall(r"`(\w+)`", page)}


def test_fields_of_results_are_documented():
    text = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    rows = text.partition("## results.json")[2].partition("The `inputs` of a video")[0]
    fields = re.findall("`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE)))
    assert {*fields} == {*Results(folder=Path(), inputs={}, name="").record(), "kind", "version", "digest", "of"}


def test_versions_agree():
    version = aotlab.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == version
    assert citation["version"] == version
    for project in ("studio", "compositing", "trackers", "runtime", "integrations/napari"):
        assert f'version = "{version}"' in (ROOT / "packages" / project / "pyproject.toml").read_text(encoding="utf-8")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    (ruff,) = (hook["rev"].removeprefix("v") for hook in hooks if "ruff" in hook["repo"])
    assert f'"ruff=={ruff}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def read_numbers(text):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "cells", "image", "text"), [
    ("tutorials/embed", 6, "image/jpeg", "masks; the last holds [0, 1, 2]"),
])  # fmt: skip
def test_notebook_runs(page, cells, image, text, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebook = nbformat.read(ROOT / "docs" / f"{page}.ipynb", as_version=4)
    stored = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [bool(cell.get("outputs")) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": ROOT}}).execute()
    printed = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum(shown) >= cells  # the stored outputs are what readers see
    for before, output in zip(stored, printed, strict=True):  # other processors round differently
        assert read_numbers(output.get("text", "")) == pytest.approx(read_numbers(before), rel=0.02)
    assert any(image in output.get("data", {}) for output in printed)
    assert any(text in output.get("text", "") for output in printed)
