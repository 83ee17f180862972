"""Settings of the documentation site; build it with ``bash scripts/docs.sh``."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "src"), str(DOCS / "_ext")]

import aotlab  # noqa: E402

project = "aotlab"
author = copyright = "The aotlab contributors"
version = release = aotlab.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "references", "sidebar"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_ext", "_static"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "literal"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
copybutton_exclude = ".linenos, .gp, .go"
linkcheck_anchors = False

html_theme = "furo"
html_title = f"aotlab {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": "https://github.com/aotlab/aotlab/",
    "source_branch": "main",
    "source_directory": "docs/",
}
