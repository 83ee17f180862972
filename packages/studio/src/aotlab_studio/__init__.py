"""Studio of aotlab: a page to draw and correct masks, formats of other tools, reviews."""
