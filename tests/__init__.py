"""Tests of the framework."""

from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "datasets" / "sample"
"""Clips that ship with the project."""
