"""Under a quota that another project's server keeps: how much of it is used, and how many requests are refused.

    python -m bench.services.quota http://127.0.0.1:8123/v1 --rows 400 --rpm 1200 --senders 2

`llmock serve --port 8123 --rpm 1200 --tpm 120000` is the server, in an environment of its own; it judges its clients:
`/_llmock/verdict`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from urllib.request import urlopen

from synml_dagster.services import Limits, call_service, openai
from synml_dagster.spark import SparkSettings, open_session


def main() -> None:
    told = argparse.ArgumentParser()
    told.add_argument("url")
    told.add_argument("--rows", type=int, default=400)
    told.add_argument("--rpm", type=float, default=1200)
    told.add_argument("--tpm", type=float, default=120_000)
    told.add_argument("--senders", type=int, default=2)
    told = told.parse_args()
    spark = open_session(SparkSettings(master="local[2]"))
    frame = spark.range(told.rows).selectExpr("concat('review ', id) AS text")
    asked = openai.chat(
        model="m", prompt="Is it positive? {text}", base_url=told.url, key=None, max_tokens=16
    )
    limits = Limits(requests_per_minute=told.rpm, tokens_per_minute=told.tpm, in_flight=32)
    with tempfile.TemporaryDirectory() as journal:
        got = call_service(frame, asked, output="x", journal=journal, limits=limits, senders=told.senders)
        lost = got.frame.where("x IS NULL").count()
    report = got.report
    print(
        json.dumps(
            {
                "rows": report.rows, "lost": lost, "calls": report.calls, "429s": report.throttled, "part of 429s": report.throttled / report.calls,
                "of quota": round(report.of_quota or 0, 4), "seconds": round(report.sending_seconds, 2),
            }
        )
    )  # fmt: skip
    root = told.url.removesuffix("/v1")
    with urlopen(f"{root}/_llmock/verdict") as said:
        verdict = json.loads(said.read())
    print(json.dumps({key: verdict[key] for key in verdict if key not in ("calls", "requests")})[:600])


if __name__ == "__main__":
    main()
