"""Python workers of local sessions are talked to over sockets of the file system, where one can be made."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ASKED = "from synml_dagster.spark.worker_sockets import worker_sockets; print(*worker_sockets())"


@pytest.mark.parametrize(("name", "settings"), [("t", 2), ("ä" * 18, 0)])
def test_a_folder_whose_path_has_too_many_bytes_for_a_socket_is_not_taken(name, settings):
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        place = Path(made, name)
        place.mkdir()
        ended = subprocess.run(
            [sys.executable, "-c", ASKED],
            env=os.environ | {"TMPDIR": str(place)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert len(ended.stdout.split()) == settings


def test_a_local_session_takes_them_in_a_folder_of_its_own(classic_spark):
    folder = classic_spark.conf.get("spark.python.unix.domain.socket.dir")
    assert os.stat(folder).st_mode & 0o077 == 0
    assert classic_spark.range(3).mapInArrow(lambda batches: batches, "id long").count() == 3
