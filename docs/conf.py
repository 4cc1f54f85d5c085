"""How Sphinx builds these pages: `make docs`, without the network."""

from __future__ import annotations

from ska_oso_oet import __version__

project = "SKA Observation Execution Tool"
author = "The OET developers"
copyright = "The OET developers"
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]  # JSON with an ellipsis is for people

html_theme = "furo"
html_title = f"OET {release}"
