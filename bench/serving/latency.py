"""One model behind three servers, one after the other in one go: this package, `mlflow models serve`, and FastAPI by hand.

    python -m bench.serving.latency --keep FOLDER

Each is started as a process and asked by `wrk` (Debian: apt install wrk) with one row of 14 raw columns: over 1 connection and over 32.
Rounds alternate between the servers, so that all meet the same neighbours; the best round of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.serving.made import body, make_bundle
from tests.servers import free_port

ROOT = Path(__file__).parents[2]


def commands(folder: Path, port: int) -> dict[str, list[str]]:
    python = sys.executable
    return {
        "synml serve": [python, "-m", "synml_dagster.cli", "serve", str(folder), "--port", str(port)],
        "mlflow models serve": [
            python, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local",
            "--port", str(port), "--host", "127.0.0.1",
        ],
        "FastAPI by hand": [
            python, "-m", "uvicorn", "bench.serving.by_hand:app", "--port", str(port), "--log-level", "warning",
        ],
    }  # fmt: skip


@contextmanager
def running(command: list[str], port: int, folder: Path):
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "MODEL": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(port, body(folder, 1).encode(), process)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait(port: int, asked: bytes, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            post(port, asked)
            return
        except OSError:
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.3)


def post(port: int, asked: bytes) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", asked, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def wrk(port: int, asked: str, connections: int, seconds: int) -> dict[str, float]:
    """Ask over so many connections; milliseconds and requests a second."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = [==[{asked}]==]\n'
            "done = function(summary, latency)\n"
            '  io.write(string.format("FOUND %f %f %d %d %d\\n", latency:percentile(50) / 1000, latency:percentile(99) / 1000,'
            " summary.requests, summary.duration, summary.errors.status + summary.errors.read + summary.errors.timeout))\n"
            "end\n"
        )
        told = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/invocations"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    p50, p99, requests, micros, errors = map(float, re.search(r"FOUND (.+)", told)[1].split())
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "a_second": round(requests / micros * 1e6), "errors": int(errors)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", default=None, help="a folder that holds the bundle, or gets it")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (Debian: apt install wrk)")
    folder = Path(given.keep or tempfile.mkdtemp(prefix="synml-bench-"))
    if not (folder / "rows.json").exists():
        make_bundle(folder)
    asked = body(folder, 1)
    with ExitStack() as stack:
        ports = {}
        for name in commands(folder, 0):
            port = free_port()
            stack.enter_context(running(commands(folder, port)[name], port, folder))
            ports[name] = port
        answers = {
            name: json.loads(post(port, asked.encode()))["predictions"] for name, port in ports.items()
        }
        assert len({json.dumps(answer) for answer in answers.values()}) == 1, answers
        best: dict[tuple[int, str], dict[str, float]] = {}
        for _ in range(given.rounds):
            for connections in (1, 32):
                for name, port in ports.items():
                    found = wrk(port, asked, connections, given.seconds)
                    held = best.setdefault((connections, name), found)
                    for key in ("p50_ms", "p99_ms"):
                        held[key] = min(held[key], found[key])
                    held["a_second"] = max(held["a_second"], found["a_second"])
                    held["errors"] = max(held["errors"], found["errors"])
    for (connections, name), found in best.items():
        base = best[connections, "mlflow models serve"]
        ratio = {
            "times_as_fast_as_mlflow": round(base["p50_ms"] / found["p50_ms"], 1),
            "times_the_requests_of_mlflow": round(found["a_second"] / base["a_second"], 1),
        }
        print(json.dumps({"connections": connections, "server": name} | found | ratio), flush=True)


if __name__ == "__main__":
    main()
