"""Configures the site of the documentation: `make docs` builds it without a network.

The documents of the repository stay where a reader of the code looks for them (README.md,
METHODOLOGY.md, the committed reports). Pages here include them, and their links, which are those of
the repository, are turned into links of the site by `_rewritten`.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# The code of this checkout is described, not what may be installed.
sys.path.insert(0, str(ROOT))

import toolkit  # noqa: E402

project = "toolkit"
author = "the authors of onnx-verdict"
release = version = toolkit.__version__
html_title = f"toolkit {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False

myst_heading_anchors = 4

# Docstrings write `name` for code, as Markdown does.
default_role = "code"
# Two dashes are an option here, never a long dash.
smartquotes = False
EXCLUDED = "__init__, __new__"
# The fields of a dataclass stand in their order, so its constructor needs no line of its own.
autodoc_default_options = {"members": True, "undoc-members": True, "exclude-members": EXCLUDED}
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
# Offline, no page of another project can be linked to: only names of toolkit must lead somewhere.
nitpick_ignore_regex = [("py:.*", r"(?!toolkit\b).*")]

PAGES = {
    "README.md": "index",
    "METHODOLOGY.md": "methodology",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "security",
    "benchmarks/README.md": "benchmarks",
    "reports": "gallery",
    "reports/README.md": "gallery",
}
"""Documents of the repository → the pages that include them."""

TREES = {"design/index": ("*", "decisions/index"), "design/decisions/index": ("*",)}
"""Pages that list others in a table, for readers of the repository → those to nest below them."""

FILES = "files"
"""The folder of the site for files of the repository that a page links to."""

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
"""A link in Markdown that names more than a heading of its own page."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects what rewrites links and copies the files that they lead to."""
    linked: set[str] = set()
    app.connect("source-read", partial(_read, linked))
    app.connect("include-read", partial(_included, linked))
    app.connect("build-finished", partial(_copy, linked))
    app.connect("autodoc-process-docstring", _plain_docstring)
    app.connect("sphinx-click-process-options", _plain_options)
    app.connect("sphinx-click-process-epilog", _plain_examples)
    return {"parallel_read_safe": False}


def _read(linked: set[str], app: Sphinx, page: str, source: list[str]) -> None:
    """A page of this folder, by its name without .md."""
    source[0] = _rewritten(source[0], posixpath.dirname(f"docs/{page}"), page, linked)
    if page in TREES:
        source[0] += "\n".join(("\n```{toctree}", ":hidden:", ":glob:", "", *TREES[page], "```\n"))


def _included(linked: set[str], app: Sphinx, path: Path, parent: str, source: list[str]) -> None:
    """A document that a page includes; `path` is relative to this folder."""
    folder = posixpath.dirname(posixpath.normpath(f"docs/{path.as_posix()}"))
    source[0] = _rewritten(source[0], folder, app.env.current_document.docname, linked)


def _rewritten(text: str, folder: str, page: str, linked: set[str]) -> str:
    """The text of a document in `folder` (relative to the repository), as `page` shows it."""
    return LINK.sub(partial(_link, folder, page, linked), text)


def _link(folder: str, page: str, linked: set[str], link: re.Match[str]) -> str:
    target, anchor = link["target"], link["anchor"] or ""
    if re.match(r"[a-z][a-z+.-]*:|/", target):
        return link[0]
    path = posixpath.normpath(posixpath.join(folder, target))
    if link["image"]:
        return f"![{link['text']}]({posixpath.relpath(path, posixpath.dirname(f'docs/{page}'))})"
    if shown := _page(path):
        return f"[{link['text']}](/{shown}.md{anchor})"
    if not (ROOT / path).is_file():
        raise FileNotFoundError(f"{page} links to {path}, which is not in the repository")
    linked.add(path)
    address = posixpath.relpath(f"{FILES}/{path}", posixpath.dirname(page) or ".")
    return f'<a href="{address}{anchor}">{link["text"]}</a>'


def _page(path: str) -> str | None:
    """The page that shows a document or a folder of the repository; None where none does."""
    if path in PAGES:
        return PAGES[path]
    if report := re.fullmatch(r"reports/(example-[\w-]+)(?:/report\.md)?", path):
        return f"gallery/{report[1]}"
    if path.startswith("docs/") and path.endswith(".md"):
        return path.removeprefix("docs/").removesuffix(".md")
    return None


def _copy(linked: set[str], app: Sphinx, error: Exception | None) -> None:
    for path in sorted(linked):
        copied = Path(app.outdir) / FILES / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copied)


def _plain_docstring(
    app: Sphinx, what: str, name: str, described: object, options: object, lines: list[str]
) -> None:
    """Docstrings are plain words: a | is no markup, and a block that is indented is shown as it is.

    An indented line right below another one goes on with it, as in a list of numbered versions.
    """
    shown: list[str] = []
    for line in lines:
        before = shown[-1] if shown else ""
        if not line.startswith(" "):
            shown += [""] if line and before.startswith("  ") else []
            shown.append(_without_bars(line))
        elif before.startswith("    "):
            shown.append(line)
        elif before:
            shown[-1] = f"{before} {_without_bars(line.strip())}"
        else:
            shown += ["::", "", line]
    lines[:] = shown


def _without_bars(line: str) -> str:
    """The line with each | escaped that stands outside of `code`."""
    plain_and_code = line.split("`")
    plain_and_code[::2] = [text.replace("|", r"\|") for text in plain_and_code[::2]]
    return "`".join(plain_and_code)


def _plain_options(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Help texts are plain words: a | is no markup, and a metavar keeps its last bracket."""
    for number, line in enumerate(lines):
        if line.startswith(".. option::"):
            if line.count("[") > line.count("]"):
                lines[number] = line.replace(">", "]>")
        else:
            lines[number] = line.replace("|", r"\|")


def _plain_examples(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Examples are commands to paste, where sphinx-click would make paragraphs of their lines."""
    shown = [line.removeprefix("| ") for line in lines]
    lines[:] = [".. code-block:: text", "", *(f"   {line}" for line in shown), ""]
