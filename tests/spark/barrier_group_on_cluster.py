"""A barrier group on a cluster, in a driver of its own: prints what each member was given and which executor it ran on."""

from __future__ import annotations

import json
import os
import sys

from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.spark.barrier_group import run_barrier_group
from tests.cluster import CONF


def tells(member, batches):
    from pyspark import TaskContext

    list(batches)
    yield "told", json.dumps({"cpus": TaskContext.get().cpus(), "executor": os.getppid()}).encode()


def main(address: str, size: str, cpus: str) -> None:
    connect = address.startswith("sc://")
    settings = SparkSettings(remote=address) if connect else SparkSettings(master=address, conf=CONF)
    spark = open_session(settings)
    messages = run_barrier_group(spark, int(size), tells, cpus=int(cpus), timeout=120)
    print(json.dumps([json.loads(m.payload) for m in messages]))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
