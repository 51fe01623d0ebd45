"""How the ranks of a training meet: one gather tells who is where and whether they fit together."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import DataError, SetupError
from synml_dagster.learners.lightgbm.worker.heartbeat import Line, hold_port, own_address
from synml_dagster.learners.lightgbm.worker.job import RankJob

if TYPE_CHECKING:
    from synml_dagster.spark.barrier_group import Member


@dataclass(frozen=True)
class Meeting:
    """What a rank knows after the meeting: its line, its held port, all addresses and numbers of rows in the order of ranks,
    its threads."""

    line: Line
    holder: socket.socket
    port: int
    machines: list[tuple[str, int]]
    rows: list[int]
    threads: int


def meet(job: RankJob, member: Member, rows: int, params: Mapping[str, Any]) -> Meeting:
    """Tell all ranks who is where, with the one gather that a training needs, and check that they fit together."""
    address = own_address(member.hosts[member.rank])
    holder = hold_port(address)
    listener = socket.create_server((address, 0)) if member.rank == 0 else None
    told = {
        "address": address,
        "port": holder.getsockname()[1],
        "line": listener.getsockname()[1] if listener else 0,
        "token": secrets.token_hex(16) if member.rank == 0 else "",
        "rows": rows,
        "executor": f"{socket.gethostname()}/{os.getppid()}",
        "threads": params["num_threads"],
        "versions": _versions(),
    }
    ranks = [json.loads(text) for text in member.gather(json.dumps(told))]
    _check_versions([r["versions"] for r in ranks], [r["address"] for r in ranks])
    empty = [i for i, r in enumerate(ranks) if r["rows"] == 0]
    if empty:
        raise DataError(
            f"ranks {empty} of {member.size} have no rows: there are too few rows or groups for so many ranks. Train with fewer ranks."
        )
    together = sum(r["executor"] == told["executor"] for r in ranks)
    threads = max(1, int(params["num_threads"]) // (together if job.shared_threads else 1))
    line = Line(
        member.rank,
        member.size,
        listener,
        (ranks[0]["address"], ranks[0]["line"]),
        ranks[0]["token"],
        {r["port"] for r in ranks},
        job.silence,
    )
    machines = [(r["address"], r["port"]) for r in ranks]
    return Meeting(line, holder, told["port"], machines, [r["rows"] for r in ranks], threads)


def _versions() -> dict[str, str]:
    import lightgbm
    import pyarrow

    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "lightgbm": lightgbm.__version__,
        "numpy": np.__version__,
        "pyarrow": pyarrow.__version__,
    }


def _check_versions(all_versions: list[dict[str, str]], addresses: list[str]) -> None:
    for name, version in all_versions[0].items():
        for other, address in zip(all_versions, addresses, strict=True):
            if other[name] != version:
                raise SetupError(
                    f"the executors differ: {name} is {version} on {addresses[0]} and {other[name]} on {address}. Install the locked wheels on every executor."
                )
