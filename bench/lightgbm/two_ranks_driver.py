"""The driver process of `two_ranks`: one Spark context a process."""

from __future__ import annotations

import sys

from bench.lightgbm.two_ranks import drive

if __name__ == "__main__":
    drive(*sys.argv[1:])
