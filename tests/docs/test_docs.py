"""The documentation says what the code does: its links lead somewhere, its examples hold, its reference is current."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from synml_dagster import MLPipeline, ServiceColumn
from synml_dagster.learners import learner_names

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "bench").rglob("*.md")])
SITE = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
LEAST = {"name": "adult", "source": "data/adult.csv", "label": "income"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the mark in the comment above it, and where it begins."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str) -> list[Block]:
    found = []
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        fence: str | None = None
        for i, line in enumerate(lines):
            bare = line.strip()
            if fence is None and (opened := re.fullmatch(r"(```+)(\w*).*", bare)):
                fence, begin, kind = opened[1], i + 1, opened[2]
                above = next((one.strip() for one in reversed(lines[:i]) if one.strip()), "")
                mark = (re.fullmatch(r"<!-- (.+) -->", above) or [None, ""])[1]
            elif bare == fence:
                fence = None
                if kind == language:
                    indent = len(line) - len(line.lstrip())
                    body = "\n".join(one[indent:] for one in lines[begin:i])
                    found.append(Block(page, begin, kind, mark, body))
    return found


def prose(page: Path) -> str:
    """A page without its blocks and its code, in which brackets are no links."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return text


def anchors(page: Path) -> set[str]:
    """The ids of a page's headings, as Python-Markdown makes them."""
    found: set[str] = set()
    for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        if own := re.search(r"\{ ?#([\w-]+) ?\}$", title):
            found.add(own[1])
            continue
        plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", title)
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        while slug in found:
            slug += "_1"
        found.add(slug)
    return found


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_lead_somewhere(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no {target}"
        if page in SITE:
            assert target in SITE, f"{link} leaves the site"
        if anchor:
            assert anchor in anchors(target), f"{link}: {target.name} has {sorted(anchors(target))}"


@pytest.mark.parametrize(
    "page", [*(ROOT / "docs/extending").glob("*.md"), ROOT / "docs/design.md"], ids=lambda p: p.name
)
def test_files_of_the_house_that_a_page_names_are_there(page):
    # A name in angle brackets is the reader's to choose.
    named = re.findall(r"`((?:synml_dagster|tests|docs)/[\w./-]+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_stands_in_the_site_once():
    def named(part):
        if isinstance(part, str):
            return [part]
        return [one for below in (part.values() if isinstance(part, dict) else part) for one in named(below)]

    told = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(told) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in SITE)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_descriptions_are_ones(block):
    document = yaml.safe_load(block.text)
    if block.mark == "not a description":
        return
    attributes = document.get("attributes", document)
    if document.get("type") == "synml_dagster.ServiceComponent":
        ServiceColumn.model_validate(attributes).definitions()
        return
    assert document.get("type", "synml_dagster.MLPipelineComponent") == "synml_dagster.MLPipelineComponent"
    whole = "type" in document
    MLPipeline.model_validate(attributes if whole else LEAST | attributes)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_snippets_compile(block):
    text = "if 0:\n    pass\n" + block.text if block.mark == "fragment" else block.text
    compile(text, str(block), "exec")


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_what_snippets_import_is_there(block):
    for module, names in re.findall(r"^from (synml_dagster[\w.]*) import (.+)$", block.text, re.MULTILINE):
        if ".one_column" in module or module.endswith((".sampled", ".feather")):
            continue  # what a page tells how to add
        home = importlib.import_module(module)
        for name in re.findall(r"\w+", names):
            assert hasattr(home, name), f"{module} has no {name}"


def test_marked_snippets_run(tmp_path):
    marked = [block for block in blocks("python") if block.mark == "run"]
    assert len(marked) >= 5
    script = "".join(
        f"exec(compile({block.text!r}, {str(block)!r}, 'exec'), {{'__name__': 'page'}})\n" for block in marked
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SYNML_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_page_about_the_libraries_runs_from_top_to_bottom(tmp_path):
    told = [block for block in blocks("python") if block.page.name == "library.md"]
    script = "\n".join(block.text for block in told[:-1])  # the last one reads a table of the reader's own
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx").is_file()
    assert (tmp_path / "report.html").is_file()


def test_commands_of_make_are_targets():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    targets |= {"demo", "ui"}
    for block in blocks("bash") + blocks(""):
        for target in re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE):
            assert target in targets, f"{block}: make {target}"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_current(reference):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make docs-reference`"


def test_every_option_has_a_row_and_a_description(reference):
    text = reference.PAGE.read_text(encoding="utf-8")
    for path in reference.options():
        section, _, name = path.rpartition(".")
        begin = text.index(f"## `{section}` " if section else "## The pipeline")
        part = text[begin : text.find("\n## ", begin + 1)]
        row = re.search(rf"^\| `{name}` \|(.*)\|$", part, re.MULTILINE)
        assert row, f"{path} has no row"
        assert len(row[1].rsplit("|", 1)[1].strip()) > 5, f"{path} has no description"


def test_every_part_of_a_description_is_among_the_options(reference):
    """Whatever is a model somewhere below a description has its options listed."""
    listed = {path.rpartition(".")[0] for path in reference.options()} - {""}
    parts = set(MLPipeline.model_json_schema()["$defs"])
    assert len(listed) == len(parts)


def test_the_page_about_services_names_every_option_reason_and_service():
    from synml_dagster.services import azure
    from synml_dagster.services.engine.outcome import REASONS

    text = (ROOT / "docs" / "how-to" / "services.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([\w.]+)`", text))
    assert set(ServiceColumn.model_fields) <= words
    assert set(REASONS) - {"not_sent"} <= words  # that one is of tables that change while they are read
    for name in azure.names():
        family, _, short = name.rpartition(".")
        assert name in words or (f"{family}." in words and short in words), name


def test_the_page_about_assets_names_all_of_them_their_checks_and_jobs():
    every = LEAST | {
        "balance": {"columns": ["sex"], "checks": {"demographic_parity_difference": {"limit": 0.2}}},
        "drift": {},
        "live": {"key": ["id"], "labels": "labels.csv", "labelled": 0.5},
        "promote": {"minimum": 0.8},
        "explain": {"contributions": True},
        "automation": {
            "score": "0 6 * * *", "retrain": "0 3 * * 1", "on_new_data": "score", "on_new_labels": True,
            "follow": {"champion": True}, "retrain_on": {"drift": {}, "decay": {}, "age": {"days": 30}},
        },
    }  # fmt: skip
    defs = MLPipeline.model_validate(every).definitions()
    text = (ROOT / "docs" / "reference" / "assets.md").read_text(encoding="utf-8")
    assets = defs.resolve_asset_graph().get_all_asset_keys()
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    jobs = {job.name for job in defs.jobs} | {s.name for s in (*defs.sensors, *defs.schedules)}
    of_description = {"demographic_parity_difference"}
    for word in {key.path[-1] for key in assets} | (checks - of_description):
        assert f"| `{word}`" in text, word
    for name in jobs:
        assert f"`{name.replace('adult', '<name>', 1)}`" in text, name


def test_every_extra_is_named_where_the_package_is_installed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    first, readme = (ROOT / "docs/how-to/first-model.md").read_text(), (ROOT / "README.md").read_text()
    for extra in extras:
        assert f"| `{extra}` |" in first, extra
        assert f"`{extra}`" in readme, extra


def test_every_learner_has_its_words():
    text = (ROOT / "docs" / "how-to" / "learners.md").read_text(encoding="utf-8")
    for name in learner_names():
        assert f"`{name}`" in text
