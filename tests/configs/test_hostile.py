"""Settings that are broken, huge or malicious are refused in one sentence; whatever text, nothing else is raised."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aotlab.configs.load import load_config
from aotlab.configs.schema import Config
from aotlab.configs.yaml_text import read_mapping
from aotlab.utils.errors import InputError
from aotlab.utils.numbers import COUNT, PART, POSITIVE, SEED, Range, read_number

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
FILES = {
    "then: 5": (r"then: must be a list of phases, got 5", "base: aott\nthen: 5"),
    "then: [5]": (r"train.phases.0 holds settings", "base: aott\nthen: [5]"),
    "then: {}": (r"then: must be a list of phases", "base: aott\nthen: {a: b}"),
    "model: []": (r"Cannot merge", "base: aott\nmodel: []"),
    "model: 5": (r"model holds settings", "base: aott\nmodel: 5"),
    "memory: null": (r"memory holds settings", "base: aott\nmemory: null"),
    "an open reference": (r"not readable as YAML", "base: aott\nname: ${"),
    "a reference to nothing": (r"'x' not found", "base: aott\nname: ${x}"),
    "a reference to itself": (r"Recursive", "base: aott\nname: ${name}"),
    "lists in lists": (r"nested too deeply; the limit is 40", "a: " + "[" * 5000),
    "mappings in mappings": (r"nested too deeply; the limit is 40", "a: " + "{a: " * 5000),
    "a key twice": (
        r"line 4: found duplicate key every",
        "base: aott\nmemory:\n  every: 3\n  every: 4",
    ),
    "a tag": (r"not readable as YAML \(line 1", "name: !!python/object/apply:os.system [ls]"),
    "a bomb": (r"too many entries; the limit is 20000", BOMB),
    "an alias of itself": (r"recursive", "a: &a [*a]"),
    "an alias of nothing": (r"undefined alias", "a: *x"),
    "a list": (r"not a YAML mapping of settings", "[1, 2]"),
    "an open list": (r"line 1", "a: ["),
    "two documents": (r"another document", "a: 1\n---\nb: 2"),
    "a control character": (r"not readable", "a: \0b"),
    "a number as key": (r"unknown key 1", "1: 2"),
    "null as key": (r"not readable", "null: 2"),
    "a set": (r"not readable", "name: !!set {a, b}"),
    "bytes": (r"bytes", "name: !!binary aGVsbG8="),
    "phases: 5": (r"train.phases", "base: aott\ntrain: {phases: 5}"),
    "too much": (r"the limit is", "name: " + "x" * 2_000_000),
}
OVERRIDES = {
    "[=1": "cannot be set",
    "=1": "is written key=value",
    "..=1": "unknown key",
    "name=${": "cannot be set",
    "model=[]": "cannot be set",
    "model.stages=[]": "at least one stage",
    "model.stages=" + "[" * 5000: "nested too deeply",
    "model.stages.9.window=7": "cannot be set",
    "model.stages.x.window=7": "cannot be set",
    "model.stages.0=5": "holds settings",
    "memory.every=nan": "memory.every",
    "memory.every=-1": "memory.every must be at least 1, got -1",
    "memory.every=99999999999999999999999": "memory.every must be at least 1 and at most 2147483647",
    "memory.relevance_weight=nan": "memory.relevance_weight must be a finite number, got nan",
    "memory.redundancy_slope=inf": "memory.redundancy_slope must be a finite number, got inf",
    "input.scale=1e400": "input.scale must be above 0 and at most 16, got inf",
    "input.scale=0": "input.scale must be above 0",
    "input.max_long_edge=99999999999": "input.max_long_edge must be at least 32 and at most 32768",
    "train.ema=2": "train.ema must be at least 0 and at most 1, got 2.0",
    "train.clip_gradients=-1": "train.clip_gradients must be above 0, got -1.0",
    "train.seed=-5": "train.seed must be at least 0",
    "train.warmup=nan": "train.warmup",
    "train.power=.nan": "train.power",
    "train.phases=[{name: a, short_edge: -5}]": "train.phases.short_edge must be at least 32",
    "train.phases=[{name: a, short_edge: 32768}]": "train.phases.short_edge must be at least 32 and at most 8192",
    "train.phases=[{name: a, lr: inf}]": "train.phases.lr must be above 0 and at most 1000000, got inf",
    "train.phases=[{name: a, sources: [{path: b, weight: inf}]}]": "weight must be above 0, got inf",
    "model.dim=99999999999999999999": "model.dim must be at least 1 and at most 65536",
    "model.stages.0.drop_path=nan": "drop_path must be at least 0 and below 1, got nan",
    "data.workers=99999": "data.workers must be at least 0 and at most 1024",
}


@pytest.mark.parametrize("kind", FILES)
def test_a_broken_settings_file_is_refused_in_a_sentence_that_names_it(tmp_path, kind):
    words, text = FILES[kind]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        load_config(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", OVERRIDES)
def test_an_override_that_means_nothing_is_refused_in_a_sentence(override):
    with pytest.raises(InputError, match="(?s)" + OVERRIDES[override].replace("(", r"\(")) as caught:
        load_config("aott", [override])
    assert "\n" not in str(caught.value)


def leaves(settings, prefix=""):
    """Names of all numbers in settings, with the first stage of the model, and whether they are whole."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        elif field.name == "stages":
            yield from leaves(value[0], f"{prefix}stages.0.")
        elif "int" in str(field.type) or "float" in str(field.type):
            yield f"{prefix}{field.name}", "int" in str(field.type)


@pytest.mark.parametrize("value", ["nan", ".nan", "inf", "-inf", "1e400"])
def test_no_number_of_any_setting_is_infinite(value):
    names = [name for name, _ in leaves(Config())]
    assert len(names) > 40
    for name in names:
        with pytest.raises(InputError, match=name.split(".")[-1]):
            load_config("aott", [f"{name}={value}"])


@pytest.mark.parametrize("value", [2**64, -(2**64)])
def test_no_whole_number_of_any_setting_is_beyond_64_bits(value):
    for name in [name for name, whole in leaves(Config()) if whole]:
        with pytest.raises(InputError, match=name.split(".")[-1]):
            load_config("aott", [f"{name}={value}"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=80) | st.text(alphabet="ab:[]{}&*!|>-#'\"\n ,$?.=0", max_size=60))
def test_any_text_is_settings_or_an_input_error(text):
    with contextlib.suppress(InputError):
        assert isinstance(read_mapping(text, "text"), dict)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(
        ["model", "memory.every", "model.stages", "train.phases", "", "[", "a.b", "model.stages.0"]
    ),
    st.text(alphabet="ab:[]{}&*!-'\" ,$?.=0159e", max_size=20)
    | st.floats().map(str)
    | st.integers().map(str),
)
def test_any_override_gives_settings_or_an_input_error(key, value):
    with contextlib.suppress(InputError):
        assert isinstance(load_config("aott", [f"{key}={value}"]), Config)


@given(st.one_of(st.floats().map(repr), st.integers().map(str), st.text(max_size=10)))
def test_a_number_that_is_read_is_finite_and_in_its_range(text):
    for allowed in (COUNT, PART, POSITIVE, SEED, Range()):
        try:
            value = read_number(text, allowed)
        except ValueError:
            continue
        assert math.isfinite(value)
        assert allowed.low <= value <= allowed.high
        assert isinstance(value, int) == allowed.whole
