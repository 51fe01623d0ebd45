"""The README's way into a Dagster project of one's own, walked in a fresh one with the programs that users have."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import dagster
import pytest

from tests.packaging.conftest import UV, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("dagster_home")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "PYSPARK_PYTHON")}
    return kept | {
        "DAGSTER_HOME": str(home),
        "DG_CLI_CONFIG": str(home / "none"),
        "UV_PYTHON": sys.executable,
    }


@pytest.fixture(scope="module")
def project(published, environment, tmp_path_factory):
    """A project that `create-dagster` made, with the wheel and the extra `ui` installed in its environment."""
    folder = tmp_path_factory.mktemp("fresh")
    path = f"{UV.parent}{os.pathsep}{environment['PATH']}"
    run(
        UV.with_name("uvx"), f"create-dagster@{dagster.__version__}", "project", "shop", "--uv-sync",
        cwd=folder, env=environment | {"PATH": path}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    root = folder / "shop"
    run(
        UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", root / ".venv" / "bin" / "python",
        f"{published[1]}[ui]", env=environment,
    )  # fmt: skip
    (root / "data").mkdir()
    rows = [f"{i % 17},{i % 5},{'yes' if (i % 17) > 8 else 'no'}\n" for i in range(600)]
    (root / "data" / "t.csv").write_text("a,b,bought\n" + "".join(rows))
    return root


@pytest.fixture(scope="module")
def dg(project, environment):
    binaries = project / ".venv" / "bin"

    def call(*arguments, check=True):
        done = subprocess.run(
            [str(binaries / "dg"), *arguments],
            cwd=project,
            env=environment
            | {
                "VIRTUAL_ENV": str(binaries.parent),
                "PATH": f"{binaries}{os.pathsep}{environment['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    return call


def test_from_an_empty_folder_to_a_champion(dg, project):
    scaffolded = dg("scaffold", "defs", "synml_dagster.MLPipelineComponent", "shop_visits")
    assert "Fill in source and label" in scaffolded.stdout

    refused = dg("check", "defs", check=False)
    assert refused.returncode != 0
    told = refused.stdout + refused.stderr
    assert "`source` is still 'path/to/table.csv'" in told
    assert "`label` is still 'the_column_to_predict'" in told

    file = project / "src" / "shop" / "defs" / "shop_visits" / "defs.yaml"
    text = file.read_text().replace("path/to/table.csv", "data/t.csv")
    file.write_text(text.replace("the_column_to_predict", "bought") + "  sweep: {trials: 2}\n")
    dg("check", "defs")

    listed = json.loads(dg("list", "defs", "--json").stdout)
    assert "shop_visits/champion" in {a["asset_key"] for a in listed["assets"]}
    assert {"shop_visits_train", "shop_visits_score"} <= {j["name"] for j in listed["jobs"]}

    launched = dg("launch", "--assets", "*")
    assert "version 1 promoted" in launched.stdout + launched.stderr
    assert "STEP_WORKER" not in launched.stdout + launched.stderr, (
        "a step had a process, and a Spark, of its own"
    )

    again = dg("launch", "--job", "shop_visits_score")
    assert "RUN_SUCCESS" in again.stdout + again.stderr
