"""What is published, built once from the files that git knows, and an environment of its own that holds it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def copy_checkout(target: Path) -> Path:
    """Copy what git tracks or would track: a checkout without what lies about in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (source := CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)
    return target


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed, and return what it printed."""
    done = subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        text=True,
        check=False,
        **({"timeout": 580} | options),
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done


def build(checkout: Path, out: Path, *what: str, epoch: int = 1_700_000_000) -> list[Path]:
    """Build as `make build` does, and return the files."""
    run(
        UV, "build", "--quiet", "--python", sys.executable, *what, "--require-hashes",
        "--build-constraints", checkout / "requirements-build.lock", "--out-dir", out, checkout,
        env=_environment() | {"SOURCE_DATE_EPOCH": str(epoch)},
    )  # fmt: skip
    return sorted(p for p in out.iterdir() if p.suffix in (".whl", ".gz"))


def _environment() -> dict[str, str]:
    import os

    return {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> tuple[Path, Path]:
    """The sdist and the wheel."""
    folder = tmp_path_factory.mktemp("published")
    wheel, sdist = build(copy_checkout(folder / "checkout"), folder / "dist")
    if wheel.suffix != ".whl":
        wheel, sdist = sdist, wheel
    return sdist, wheel


@pytest.fixture(scope="session")
def installed(published, tmp_path_factory) -> Path:
    """The folder of programs of a fresh environment into which the wheel was installed with the extras `ui` and `postgres`."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, home)
    run(
        UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", home / "bin" / "python",
        f"{published[1]}[ui,postgres]",
    )  # fmt: skip
    return home / "bin"
