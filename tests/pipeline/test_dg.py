"""The YAML component through `dg`, in a project of its own and in this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).parents[2]


def dg_command(*arguments, cwd, home, check=True):
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": f"{cwd}{os.pathsep}{CHECKOUT}",
        "DG_CLI_CONFIG": str(home / "none"),
    }
    done = subprocess.run(
        [str(BIN / "dg"), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def project(tmp_path):
    """A dg project as its users have them: a package with a `defs` folder."""
    root = tmp_path / "shop"
    (root / "shop" / "defs").mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        "[project]\nname = 'shop'\nversion = '0.1.0'\n[tool.dg]\ndirectory_type = 'project'\n[tool.dg.project]\nroot_module = 'shop'\n"
    )
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "defs" / "__init__.py").write_text("")
    (root / "shop" / "definitions.py").write_text(
        "from pathlib import Path\nimport dagster as dg\n\n@dg.definitions\ndef defs():\n"
        "    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
    )
    (root / "data").mkdir()
    (root / "data" / "t.csv").write_text("a,b\n1,x\n2,y\n")
    return root


def test_a_scaffolded_pipeline_is_loaded_by_dg(project, tmp_path):
    dg_command("scaffold", "defs", "synml_dagster.MLPipelineComponent", "adult", cwd=project, home=tmp_path)
    file = project / "shop" / "defs" / "adult" / "defs.yaml"
    written = file.read_text()
    assert "name: adult" in written
    file.write_text(written.replace("path/to/table.csv", "data/t.csv").replace("the_column_to_predict", "b"))
    dg_command("check", "yaml", cwd=project, home=tmp_path)
    dg_command("check", "defs", cwd=project, home=tmp_path)
    listed = json.loads(dg_command("list", "defs", "--json", cwd=project, home=tmp_path).stdout)
    keys = {a["asset_key"] for a in listed["assets"]}
    assert {"adult/raw", "adult/model", "adult/report"} <= keys


def test_the_scaffolder_fills_in_what_it_is_told(project, tmp_path):
    dg_command(
        "scaffold", "defs", "synml_dagster.MLPipelineComponent", "adult", "--source", "data/t.csv", "--label", "b",
        cwd=project, home=tmp_path,
    )  # fmt: skip
    dg_command("check", "defs", cwd=project, home=tmp_path)


def test_what_was_never_filled_in_is_refused_by_name(project, tmp_path):
    told = dg_command(
        "scaffold", "defs", "synml_dagster.MLPipelineComponent", "adult", "--label", "b",
        cwd=project, home=tmp_path,
    ).stdout  # fmt: skip
    assert "Fill in source in" in told
    refused = dg_command("check", "defs", cwd=project, home=tmp_path, check=False)
    assert refused.returncode != 0
    assert "`source` is still 'path/to/table.csv'" in refused.stdout + refused.stderr
    assert "`label`" not in refused.stdout + refused.stderr


@pytest.mark.slow
def test_a_scaffold_brings_an_executor_once_and_only_where_there_is_none(project, tmp_path):
    def scaffold(path):
        dg_command(
            "scaffold", "defs", "synml_dagster.MLPipelineComponent", path, "--source", "data/t.csv", "--label", "b",
            cwd=project, home=tmp_path,
        )  # fmt: skip

    scaffold("adult")
    scaffold("more/adults")
    assert [p.relative_to(project).as_posix() for p in project.rglob("executor.py")] == [
        "shop/defs/executor.py"
    ]
    dg_command("check", "defs", cwd=project, home=tmp_path)
    (project / "shop" / "defs" / "executor.py").unlink()
    (project / "shop" / "own.py").write_text("executor = None\n")
    scaffold("third")
    assert not list(project.rglob("executor.py"))


def test_an_unknown_key_is_refused_with_its_line(project, tmp_path):
    folder = project / "shop" / "defs" / "adult"
    folder.mkdir()
    (folder / "defs.yaml").write_text(
        "type: synml_dagster.MLPipelineComponent\n\nattributes:\n  name: adult\n  source: data/t.csv\n  label: b\n  sweeep: {trials: 3}\n"
    )
    told = dg_command("check", "yaml", cwd=project, home=tmp_path, check=False)
    assert told.returncode != 0
    assert "sweeep" in told.stdout + told.stderr
    assert "defs.yaml:7" in told.stdout + told.stderr


def test_environment_variables_fill_in_and_paths_are_taken_from_the_project(project, monkeypatch):
    from dagster.components.testing import create_defs_folder_sandbox

    from synml_dagster import MLPipelineComponent

    monkeypatch.setenv("LABEL", "b")
    with create_defs_folder_sandbox(project_name="sandbox_project") as sandbox:
        path = sandbox.scaffold_component(
            component_cls=MLPipelineComponent,
            defs_path="adult",
            defs_yaml_contents={
                "type": "synml_dagster.MLPipelineComponent",
                "attributes": {"name": "adult", "source": "data/t.csv", "label": "{{ env.LABEL }}"},
            },
        )
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, defs):
            assert component.pipeline.label == "b"
            assert Path(component.pipeline.source.path) == (sandbox.project_root / "data" / "t.csv").resolve()
            assert len(list(defs.resolve_asset_graph().get_all_asset_keys())) == 12


def test_the_checkout_is_a_dg_project(tmp_path):
    dg_command("check", "defs", cwd=CHECKOUT, home=tmp_path)
    listed = json.loads(dg_command("list", "defs", "--json", cwd=CHECKOUT, home=tmp_path).stdout)
    assert "demo/champion" in {a["asset_key"] for a in listed["assets"]}
