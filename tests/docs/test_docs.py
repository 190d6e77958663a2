"""The documentation is complete: every setting, every route and every error appears in it."""

import re
import tomllib
from pathlib import Path

import pytest
from support.fakes import FakeEncoder
from support.tree import all_errors

from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


SETTINGS = re.findall(
    r"^\| `CROP_PLANNER_(\w+)` \| (.*?) \| (.+) \|$",
    (DOCS / "reference" / "settings.md").read_text(),
    re.MULTILINE,
)


def test_every_setting_is_documented_and_no_other():
    assert [name.lower() for name, _, _ in SETTINGS] == list(Settings.model_fields)


@pytest.mark.parametrize(("name", "default", "description"), SETTINGS)
def test_a_setting_is_documented_with_its_default(name, default, description):
    field = Settings.model_fields[name.lower()]
    assert description == field.description
    if field.default_factory is None:
        shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
        assert default.strip("`") == ("" if shown is None else str(shown))


def test_every_route_is_in_the_readme():
    spec = create_app(Settings(profile_on_start=False), FakeEncoder).openapi()
    readme = (ROOT / "README.md").read_text()
    for path in spec["paths"]:
        assert path in readme, path


def test_every_error_is_documented_with_its_status():
    from app.http.problems import STATUS

    rows = (DOCS / "reference" / "errors.md").read_text().splitlines()
    for error in all_errors():
        row = next(row for row in rows if f"`{error.slug}`" in row)
        assert f"| {STATUS[error]} |" in row, error.slug


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (DOCS / "decisions" / "dependencies.md").read_text()
    for pinned in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name, version = pinned.partition(";")[0].split("==")
        assert version
        assert name in page, name


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def test_every_page_is_in_the_index():
    index = (DOCS / "README.md").read_text()
    for page in DOCS.glob("*/*.md"):
        assert f"]({page.relative_to(DOCS)})" in index, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_in_it(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def anchors(page):
    """Return the names of a page's headings in a link, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(r"`((?:app|benchmarks|docs|tests|docker)/[^` ]*)`", page.read_text())
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_the_index_leads_to_the_code_of_each_rule():
    """A row of its first table names a file and a definition in this file."""
    rows = re.findall(r"`(app/[^`]+\.py)`, `(\w+)`", (DOCS / "README.md").read_text())
    assert len(rows) >= 5
    for file, name in rows:
        assert re.search(
            rf"^(def|class) {name}\b|^{name}\b", (ROOT / file).read_text(), re.MULTILINE
        )


def test_the_readme_has_no_blanks():
    assert "@" not in (ROOT / "README.md").read_text().replace("image=@", "").replace(" @", "")
