"""The pages on extending are followed to the letter: their files, put into a copy of the package, hold their contracts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT, Block, blocks

PAGES = ROOT / "docs" / "extending"


def of_page(name: str) -> list[Block]:
    return [block for block in blocks("python") if block.page == PAGES / f"{name}.md"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A copy of the package with all files that the pages give, and the changes to files that they tell."""
    root = tmp_path_factory.mktemp("followed")
    shutil.copytree(
        ROOT / "synml_dagster", root / "synml_dagster", ignore=shutil.ignore_patterns("__pycache__")
    )
    for page in PAGES.glob("*.md"):
        for block in of_page(page.stem):
            if block.mark.startswith("file "):
                path = root / block.mark.removeprefix("file ")
                assert not path.exists(), f"{block}: {path.name} is there already"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text + "\n", encoding="utf-8")
    said = (PAGES / "table-format.md").read_text(encoding="utf-8")
    (suffix,) = re.findall(r'The suffix `("\.\w+": "\w+")` goes into `_FORMATS_BY_SUFFIX`', said)
    put(
        root / "synml_dagster/sources/format.py",
        "_FORMATS_BY_SUFFIX = {\n",
        f"_FORMATS_BY_SUFFIX = {{\n    {suffix},\n",
    )
    (branch,) = [block.text for block in of_page("table-format") if block.text.startswith("elif ")]
    ours = "".join(f"{' ' * 12}{line}\n" if line else "\n" for line in branch.splitlines())
    asks_spark = f"{' ' * 12}else:\n{' ' * 16}frame = spark.read.format(name)"
    put(root / "synml_dagster/sources/source.py", asks_spark, ours + asks_spark)
    return root


def put(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file.name}: {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def hold(root: Path, *tests: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(root), *tests],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_explainer_holds_its_contract(followed):
    assert "10 passed" in hold(followed, "tests/explain")


@pytest.mark.slow
def test_the_learner_the_reader_and_the_mapping_hold_theirs(followed):
    """Scenarios on one session: they share its start."""
    told = hold(
        followed,
        "tests/test_one_column.py",
        "tests/sources",
        "tests/files",
        "tests/tables",
        "-vv",
    )
    for contract in ("TestOneColumn", "test_feather_files", "TestAges", "TestParquet"):
        assert re.search(rf"{contract}.* PASSED", told), contract
