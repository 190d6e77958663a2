"""The documentation is complete: every setting, every route and every error appears in it."""

import ast
import re
from pathlib import Path

import pytest
from support.fakes import FakeEncoder
from support.tree import all_errors

from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(name):
    page = (DOCS / "reference" / "settings.md").read_text()
    field = Settings.model_fields[name]
    row = next(line for line in page.splitlines() if f"`CROP_PLANNER_{name.upper()}`" in line)
    assert field.description in row
    if field.default_factory is None:
        default = field.default
        shown = (
            "" if default is None else str(default).lower() if default in (True, False) else default
        )
        assert f"| {f'`{shown}`' if shown != '' else ''} |" in row


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
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (DOCS / "decisions" / "dependencies.md").read_text()
    for pinned in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name, version = pinned.partition(";")[0].split("==")
        assert version
        assert name in page, name


PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


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
    """The names of a page's headings in a link, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(r"`((?:app|benchmarks|docs|tests|docker)/[^` ]*)`", page.read_text())
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_the_index_leads_to_the_code_of_each_rule():
    """A row of its first table names a file, and what to look for in it."""
    rows = re.findall(r"`(app/[^`]+\.py)`, `(\w+)`", (DOCS / "README.md").read_text())
    assert len(rows) >= 5
    for file, name in rows:
        assert re.search(
            rf"^(def|class) {name}\b|^{name}\b", (ROOT / file).read_text(), re.MULTILINE
        )


def test_the_readme_has_no_blanks():
    assert "@" not in (ROOT / "README.md").read_text().replace("image=@", "").replace(" @", "")


def imported(file: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module
    ]


ALLOWED = {
    "core": set(),
    "imaging": {"core"},
    "encoder": {"core", "cores"},
    "prefill": {"core"},
    "serving": {"core", "imaging", "encoder"},
    "schemas": {"core"},
    "report": {"core", "files", "imaging", "schemas", "encoder"},
    "http": {"core", "imaging", "notation", "serving", "schemas"},
    "routes": {"core", "imaging", "notation", "serving", "schemas", "http", "web"},
    "web": set(),
}


@pytest.mark.parametrize("package", list(ALLOWED))
def test_imports_point_one_way(package):
    """A package imports itself and what the design allows, and core only the standard library."""
    import sys

    outside = {
        "core": set(),
        # skimage: SSIM, matplotlib: pictures of plans; both imported at their first use
        "imaging": {"PIL", "numpy", "cykooz_resizer", "skimage", "matplotlib"},
        # PIL: reads the photo that runtimes are checked on, when an encoder is loaded
        "encoder": {
            "torch",
            "numpy",
            "safetensors",
            "openvino",
            "triton",
            "PIL",
            "psutil",
            "pynvml",
        },
        "prefill": {"httpx"},
    }
    for file in (ROOT / "app" / package).rglob("*.py"):
        for module in imported(file):
            top, _, rest = module.partition(".")
            if top == "app":
                inner = rest.partition(".")[0]
                assert inner in ALLOWED[package] | {package, ""}, f"{file.name}: {module}"
            elif package in outside:
                assert top in outside[package] | sys.stdlib_module_names, f"{file.name}: {module}"
