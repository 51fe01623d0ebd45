"""Rows against a server of constant latency: one request at a time, 64 in flight, the OpenAI SDK, and a Spark Arrow UDF.

    python -m bench.services.concurrency [rows] [in flight] [milliseconds]

Ratios are to the ideal, rows * latency / in flight. `sending` is from the first request to the last answer; `whole` has Spark's jobs in it,
too: distinct inputs, the journal, the report.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.request import urlopen

from synml_dagster.services import Limits, call_service, openai
from synml_dagster.spark import SparkSettings, open_session
from tests.servers import free_port


def main() -> None:
    rows, in_flight, milliseconds = (
        int(n) for n in (sys.argv[1:] + ["5000", "64", "50"][len(sys.argv) - 1 :])
    )
    latency = milliseconds / 1000
    port = free_port()
    command = [sys.executable, "-m", "bench.services.server", str(port), str(milliseconds)]
    with subprocess.Popen(command) as server:
        try:
            wait(port)
            compare(rows, in_flight, latency, f"http://127.0.0.1:{port}/v1")
            with urlopen(f"http://127.0.0.1:{port}/seen") as told:
                print(json.loads(told.read()))
        finally:
            server.terminate()


def compare(rows: int, in_flight: int, latency: float, url: str) -> None:
    spark = open_session(SparkSettings(master="local[2]"))
    frame = spark.range(rows).selectExpr("concat('review ', id) AS text").repartition(2).cache()
    frame.count()
    ideal = rows * latency / in_flight
    print(f"{rows} rows, {latency * 1000:g} ms, {in_flight} in flight: the ideal is {ideal:.2f} s")
    asked = openai.chat(model="m", prompt="Is it positive? {text}", base_url=url, key=None)

    def ours(limit: int, table: Any, senders: int = 1) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as journal:
            began = time.perf_counter()
            got = call_service(
                table, asked, output="x", journal=journal, limits=Limits(in_flight=limit), senders=senders
            )
            whole = time.perf_counter() - began
            assert got.report.failed == 0
            assert got.frame.where("x = 'positive'").count() == table.count()
            return got.report.sending_seconds, whole

    ours(in_flight, frame.limit(200))  # warm
    few = max(100, rows // 50)
    one, _ = ours(1, frame.limit(few))
    alone = one / few * rows
    print(f"one at a time: {alone:.1f} s (of {few} rows)")
    for _ in range(3):
        sending, whole = ours(in_flight, frame)
        print(
            f"in flight {in_flight}: sending {sending:.2f} s, {ideal / sending:.2f} of the ideal, {alone / sending:.1f} times one; whole {whole:.2f} s"
        )
        theirs = asyncio.run(sdk(rows, in_flight, url))
        print(f"AsyncOpenAI and a semaphore: {theirs:.2f} s, {ideal / theirs:.2f} of the ideal")
        arrow = udf(frame, in_flight, url, rows)
        print(
            f"Spark Arrow UDF and requests, {in_flight} threads: {arrow:.2f} s, {ideal / arrow:.2f} of the ideal"
        )


async def sdk(rows: int, in_flight: int, url: str) -> float:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="x") as client:
        gate = asyncio.Semaphore(in_flight)

        async def one(i: int) -> None:
            async with gate:
                await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": f"Is it positive? review {i}"}]
                )

        began = time.perf_counter()
        await asyncio.gather(*(one(i) for i in range(rows)))
        return time.perf_counter() - began


def udf(frame: Any, in_flight: int, url: str, rows: int) -> float:
    from pyspark.sql.functions import udf as spark_udf

    spark = frame.sparkSession
    spark.conf.set("spark.sql.execution.pythonUDF.arrow.concurrency.level", str(in_flight // 2))  # two tasks

    @spark_udf("string", useArrow=True)
    def ask(text: str) -> str:
        import requests

        body = {"model": "m", "messages": [{"role": "user", "content": f"Is it positive? {text}"}]}
        told = requests.post(f"{url}/chat/completions", json=body, timeout=60).json()
        return str(told["choices"][0]["message"]["content"])

    began = time.perf_counter()
    found = frame.select(ask("text").alias("x")).toArrow().column("x").to_pylist()
    seconds = time.perf_counter() - began
    assert found == ["positive"] * rows
    return seconds


def wait(port: int) -> None:
    for _ in range(200):
        try:
            urlopen(f"http://127.0.0.1:{port}/seen").close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server did not start")


if __name__ == "__main__":
    main()
