"""Sphinx: ``make docs`` builds docs/_build/html and takes no warning."""

from importlib.metadata import version as version_of

project = "tgtcore"
version = release = version_of("tgtcore")
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"tgtcore {version}"
myst_heading_anchors = 3
nitpicky = True
