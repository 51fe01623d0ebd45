"""Three times what the server can answer, sent whether or not answers come back.

    python -m bench.serving.overload --keep FOLDER

In each round `wrk` says what the server answers over 32 connections in a closed loop; then requests come at three times that rate over
400. Beside each round stands how much of a core the server had, and how long it was ready to run and had none.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.serving.latency import commands, running, wrk
from bench.serving.made import body, make_bundle
from bench.serving.open_loop import flood, waited
from tests.servers import free_port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", default=None)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--connections", type=int, default=400)
    given = parser.parse_args()
    folder = Path(given.keep or tempfile.mkdtemp(prefix="synml-bench-"))
    if not (folder / "rows.json").exists():
        make_bundle(folder)
    asked, port = body(folder, given.rows), free_port()
    with running(commands(folder, port)["synml serve"], port, folder) as server:
        for _ in range(given.rounds):
            can = wrk(port, asked, 32, 3)
            ran, ready = waited(server.pid)
            found = flood(
                port, asked, given.times * can["a_second"], given.seconds, given.connections, server.pid
            )
            now = waited(server.pid)
            cores = {
                "server_cores": round((now[0] - ran) / given.seconds, 2),
                "server_waited_for_one": round((now[1] - ready) / given.seconds, 2),
            }
            print(
                json.dumps({"rows": given.rows, "can_a_second": can["a_second"]} | found | cores), flush=True
            )


if __name__ == "__main__":
    sys.exit(main())
