"""Publishes and reads tables in an S3 service of this process, whose address Spark's tasks have from the environment."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Print as JSON what was found."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    boto3.client("s3").create_bucket(Bucket="bucket")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(found(Path(folder))), file=sys.stdout)
    server.stop()


def found(folder: Path) -> dict[str, Any]:
    """Return what publishing, reading and failing gave."""
    import boto3
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synml_dagster.errors import SynmlError
    from synml_dagster.files import ParquetFiles
    from synml_dagster.files.file_splits import plan_file_splits, read_file_split
    from synml_dagster.spark import SparkSettings, open_session
    from synml_dagster.tables import open_table, publish_files
    from synml_dagster.tables.task_writes import MadeRows, _part

    store = boto3.client("s3")

    def kept(prefix: str) -> list[str]:
        return [
            one["Key"] for one in store.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
        ]

    def ids(files: ParquetFiles) -> list[int]:
        [share] = plan_file_splits(files, 1)
        return sorted(x for batch in read_file_split(share, ["id"]) for x in batch.column(0).to_pylist())

    spark = open_session(SparkSettings(master="local[2]"))
    for i in range(3):
        pq.write_table(pa.table({"id": pa.array(range(10 * i, 10 * i + 10))}), folder / f"{i}.parquet")
    schema = spark.createDataFrame([(1,)], "id long").schema.json()
    files = ParquetFiles(tuple(str(folder / f"{i}.parquet") for i in range(3)), schema_json=schema)
    told: dict[str, Any] = {}
    for name, rows in (("copied", files), ("made", MadeRows(files, ("id",), {}, _same, schema))):
        # A partition's key with a colon, a slash and a letter beyond ASCII is quoted in its folder's name.
        root = f"s3a://bucket/{name}/eu%3Awest%2F%C3%A9#1"
        publish_files(spark, rows, root)
        again = publish_files(spark, rows, root)
        there = open_table(root).files()
        told[name] = {
            "rows": again.rows,
            "ids": ids(there),
            "as spark calls them": all(path.startswith(f"{root}/versions/") for path in there.paths),
            "elsewhere": [key for key in kept(name) if not key.startswith(f"{name}/eu%3Awest%2F%C3%A9#1/")],
        }
    # From one place in the store to another, as `raw` of an S3 source is made.
    told["within the store"] = ids(publish_files(spark, there, "s3a://bucket/moved").files())

    batch = pa.RecordBatch.from_pydict({"id": pa.array(range(100))})
    with _part("s3://bucket/attempts", "part-00000.parquet", batch.schema) as part:
        part.add(batch)
    try:
        with _part("s3://bucket/attempts", "part-00000.parquet", batch.schema) as part:
            part.add(batch.slice(0, 10))
            part.flush()
            raise OSError("another attempt of the task fails")
    except OSError:
        pass
    told["after a failing attempt"] = len(ids(ParquetFiles(("s3://bucket/attempts/part-00000.parquet",))))

    try:
        publish_files(
            spark, ParquetFiles(("s3://bucket/none.parquet",), schema_json=schema), "s3://bucket/gone"
        )
    except SynmlError as problem:
        told["gone"] = [type(problem).__name__, str(problem)]
    told["left of it"] = kept("gone")
    return told


def _same(batch: Any) -> Any:
    return batch


if __name__ == "__main__":
    main()
