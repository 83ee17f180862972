"""Labelling studio of aotlab: annotation page, formats of other tools, reviews."""
