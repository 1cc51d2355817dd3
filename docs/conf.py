# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents as a site: `make docs` builds it into build/docs, and fails on a warning. See docs/site/."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "site"))

import hyperport  # noqa: E402

project = "hyperport"
author = "the authors of hyperport"
project_copyright = "GPL-2.0-or-later"
release = version = hyperport.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "compiled_api", "guest_headers", "live_pages", "outside"]
root_doc = "index"
exclude_patterns = ["examples/**", "site/**"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = "hyperport"
html_extra_path = ["../build/docs-pages"]
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}

smartquotes = False  # --help is no dash
highlight_language = "none"
