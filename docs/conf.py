"""The site: `make docs` builds docs/ with Sphinx into build/docs, warnings being errors."""

from __future__ import annotations

import importlib
import re
import types
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import bidfcl_fast as bf

ROOT = Path(__file__).resolve().parents[1]

project = "bidfcl_fast"
author = "bidfcl_fast authors"
release = version = bf.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["losses/pictures.py"]
suppress_warnings = [
    "toc.not_included",  # a page may be reached by links alone
    "ref.python",  # `value` alone may be a field of several results: it is then no link
]
html_theme = "furo"
html_title = f"bidfcl_fast {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say shapes and units, which types do not
autodoc_member_order = "bysource"
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "notes_style")]

# Documents that stand outside docs/ and have a page here that includes them.
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "bench/results/latest.md": "benchmarks/solver.md",
    "bench/results/losses.md": "benchmarks/losses.md",
    "bench/results/curvature.md": "benchmarks/curvature.md",
}


def _inside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links that lead to such a document lead to its page; a folder's to its list."""
    here = Path(app.env.doc2path(docname)).parent

    def page(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        path = (here / target).resolve()
        if not path.is_relative_to(ROOT):
            return match[0]
        known = _PAGES.get(path.relative_to(ROOT).as_posix())
        if path == ROOT / "docs" / "decisions":
            known = "decisions/index.md"
        if known is None:
            return match[0]
        up = "../" * len(here.relative_to(ROOT / "docs").parts)
        return f"]({up}{known}{anchor})"

    source[0] = re.sub(r"\]\((?!https?://|#)([^)#\s]+)(#[^)]*)?\)", page, source[0])


def _plain(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are prose with numpydoc sections: bars and stars are signs of mathematics."""
    literal = False
    for k, line in enumerate(lines):
        literal = (literal and (not line or line.startswith(" "))) or line.endswith("::")
        if not literal:
            lines[k] = "`".join(
                part if odd % 2 else re.sub(r"([|*])", r"\\\1", part) for odd, part in enumerate(line.split("`"))
            )


class Backends(SphinxDirective):
    """The table of `backends.describe()` on the machine that built the site."""

    def run(self) -> list[nodes.Node]:
        lines = ["| name | here |", "|---|---|", *(f"| `{n}` | {text} |" for n, text in bf.backends.describe().items())]
        return self.parse_text_to_nodes("\n".join(lines))


class Methods(SphinxDirective):
    """The names of `methods.create`, each with its class."""

    def run(self) -> list[nodes.Node]:
        lines = ["| name | class |", "|---|---|"]
        for name in bf.methods.names():
            made = type(bf.methods.create(name))
            lines.append(f"| `{name}` | `{made.__module__}.{made.__qualname__}` |")
        return self.parse_text_to_nodes("\n".join(lines))


class Public(SphinxDirective):
    """Everything in a module's `__all__`, from the docstrings; modules among them have pages of their own."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        below = {n for m in vars(module).values() if isinstance(m, types.ModuleType) for n in getattr(m, "__all__", ())}
        names = [name for name in module.__all__ if module is not bf or name not in below]
        lines = [line for name in names for line in _entry(module, name)]
        text = ["```{eval-rst}", *lines, "```"]
        container = nodes.container()
        self.state.nested_parse(StringList(text, source=self.arguments[0]), self.content_offset, container)
        return container.children


def _entry(module: types.ModuleType, name: str) -> list[str]:
    given: Any = getattr(module, name)
    if isinstance(given, types.ModuleType):
        return []
    full = f"{module.__name__}.{name}"
    if isinstance(given, type):
        kind, options = "autoclass", ["   :members:"]
        if issubclass(given, BaseException):
            kind = "autoexception"
    elif callable(given):
        kind, options = "autofunction", []
    else:
        return [f".. py:data:: {full}", "", f"   {', '.join(f'``{key}``' for key in given)}", ""]
    return [f".. {kind}:: {full}", *options, ""]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _inside)
    app.connect("autodoc-process-docstring", _plain, priority=100)  # before napoleon
    app.add_directive("backends", Backends)
    app.add_directive("methods", Methods)
    app.add_directive("public", Public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
