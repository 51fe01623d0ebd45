"""Three times what the server can answer, sent whether or not answers come back.

    go install github.com/tsenart/vegeta/v12@latest
    python -m bench.serving.overload --keep /tmp/serving-bench --vegeta ~/go/bin/vegeta

First `wrk` says what the server answers over 32 connections in a closed loop; then `vegeta` sends at a fixed rate over 400.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.serving.latency import commands, running, wrk
from bench.serving.made import body, make_bundle
from tests.servers import free_port


def flood(vegeta: str, port: int, asked: str, rate: int, seconds: int, connections: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "body.json"
        request.write_text(asked)
        target = (
            f"POST http://127.0.0.1:{port}/invocations\nContent-Type: application/json\n@{request}\n"
        ).encode()
        attack = subprocess.run(
            [vegeta, "attack", f"-rate={rate}", f"-duration={seconds}s", "-timeout=10s", f"-max-connections={connections}", f"-connections={connections}"],
            input=target, capture_output=True, check=True,
        )  # fmt: skip
        told = subprocess.run(
            [vegeta, "encode", "-to", "csv"], input=attack.stdout, capture_output=True, check=True
        ).stdout.decode()
    times: dict[int, list[float]] = {}
    for row in csv.reader(told.splitlines()):
        times.setdefault(int(row[1]), []).append(int(row[2]) / 1e6)
    sent = sum(map(len, times.values()))
    good, refused = (np.array(times.get(status, [0.0])) for status in (200, 503))
    return {
        "sent_a_second": round(sent / seconds),
        "accepted_a_second": round(len(times.get(200, [])) / seconds),
        "accepted_p50_ms": round(float(np.percentile(good, 50)), 1),
        "accepted_p99_ms": round(float(np.percentile(good, 99)), 1),
        "refused": round(len(times.get(503, [])) / sent, 3),
        "refused_p99_ms": round(float(np.percentile(refused, 99)), 1),
        "other": {status: len(found) for status, found in times.items() if status not in (200, 503)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", default=None)
    parser.add_argument("--vegeta", default="vegeta")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--connections", type=int, default=400)
    given = parser.parse_args()
    folder = Path(given.keep or tempfile.mkdtemp(prefix="synml-bench-"))
    if not (folder / "rows.json").exists():
        make_bundle(folder)
    asked, port = body(folder, given.rows), free_port()
    with running(commands(folder, port)["synml serve"], port, folder):
        can = wrk(port, asked, 32, 5)
        print(json.dumps({"closed loop of 32": can}), flush=True)
        rate = int(given.times * can["a_second"])
        found = flood(given.vegeta, port, asked, rate, given.seconds, given.connections)
    print(
        json.dumps({"rows": given.rows, "of_capacity": given.times, "connections": given.connections} | found)
    )


if __name__ == "__main__":
    sys.exit(main())
