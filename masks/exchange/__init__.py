"""Masks in formats of other tools: a parser and a writer for each, and one match with the video."""
