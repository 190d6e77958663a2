"""The documentation is complete: every setting, every route and every error appears in it."""

import ast
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


def test_every_page_is_in_the_index_and_every_link_leads_somewhere():
    index = (DOCS / "README.md").read_text()
    for page in DOCS.glob("*/*.md"):
        assert f"]({page.relative_to(DOCS)})" in index, page.name
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        for part in page.read_text().split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            if target and "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


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
        "encoder": {"torch", "numpy", "safetensors", "openvino", "triton", "PIL"},
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
