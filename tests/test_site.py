"""The site of the documentation builds without a warning, and every link in it leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
POINTS = ("href", "src", "data", "poster")
"""Attributes that name another file."""
STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class Page(HTMLParser):
    """An HTML file: what can be pointed at in it, and what it points at."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    """What a reader may follow."""
    assets: list[str] = field(default_factory=list)
    """What the browser fetches by itself."""
    _in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attributes:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value or "")
            elif name in POINTS and value:
                (self.links if tag == "a" else self.assets).append(value)
            elif name == "style" and value:
                self.assets += in_style(value)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.assets += in_style(data)


def in_style(text: str) -> list[str]:
    """What a style sheet fetches."""
    return [first or second for first, second in STYLE.findall(text)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` makes."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going",
         "--nitpicky", "--fresh-env", "--doctree-dir", folder / "doctrees", DOCS, folder / "html"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def is_elsewhere(target: str) -> bool:
    return bool(urlsplit(target).netloc)


def broken(page: Page, pages: dict[Path, Page]) -> list[str]:
    """The links of a page that lead to no file, or to no place in it."""
    wrong = []
    for target in page.links + page.assets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        file = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
        anchor = unquote(parts.fragment)
        known = pages[file].anchors if file in pages else set()
        if not file.is_file() or (anchor and file.suffix == ".html" and anchor not in known):
            wrong.append(target)
    return wrong


def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    wrong = {str(path.relative_to(site)): broken(page, pages) for path, page in pages.items()}

    assert {path: targets for path, targets in wrong.items() if targets} == {}
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_no_page_asks_another_host_for_anything(site: Path, pages: dict[Path, Page]) -> None:
    sheets = {path: in_style(path.read_text()) for path in site.rglob("*.css")}
    fetched = sheets | {path: page.assets for path, page in pages.items()}

    assert {
        str(path.relative_to(site)): target
        for path, targets in fetched.items()
        for target in targets
        if is_elsewhere(target)
    } == {}


@pytest.mark.parametrize(
    "text",
    ['<a href="gone.html">', '<a href="#gone">', '<img src="gone.svg">', '<a href="b.html#gone">'],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.html").write_text(text)
    (tmp_path / "b.html").write_text('<p id="here">')
    pages = {path: Page(path) for path in tmp_path.glob("*.html")}

    assert len(broken(pages[tmp_path / "a.html"], pages)) == 1


@pytest.mark.parametrize(
    "text",
    ['<script src="https://e.org/x.js">', "<style>@import 'https://e.org/x.css'</style>",
     "<style>p { background: url(//e.org/x.png) }</style>", '<link href="https://e.org/x.css">'],
)  # fmt: skip
def test_a_page_that_asks_another_host_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.html").write_text(text)

    assert any(map(is_elsewhere, Page(tmp_path / "a.html").assets))


def test_every_committed_report_is_in_the_gallery(site: Path, pages: dict[Path, Page]) -> None:
    links = pages[site / "gallery.html"].links
    reports = sorted(path.name for path in (ROOT / "reports").glob("example-*"))

    assert [name for name in reports if f"gallery/{name}.html" not in links] == []
    assert [name for name in reports if f"files/reports/{name}/report.html" not in links] == []


def test_every_command_and_function_is_looked_up(site: Path, pages: dict[Path, Page]) -> None:
    import toolkit
    from toolkit.cli import COMMANDS

    functions = {f"toolkit.{name}" for name in toolkit.__all__ if name != "__version__"}

    assert functions <= pages[site / "api.html"].anchors
    assert {f"toolkit-{name}" for name in COMMANDS} <= pages[site / "cli.html"].anchors


def test_every_page_of_the_sources_is_in_the_site(site: Path) -> None:
    sources = [path.relative_to(DOCS) for path in DOCS.rglob("*.md") if "_build" not in path.parts]

    assert [page for page in sources if not (site / page.with_suffix(".html")).is_file()] == []
