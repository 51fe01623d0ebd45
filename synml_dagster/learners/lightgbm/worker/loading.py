"""A rank's rows on their way into LightGBM's own datasets, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.learners.lightgbm.data.row_sources import (
    FileSplitRows,
    SpooledRows,
    read_extras,
    respool,
    spool,
    whole_groups,
)
from synml_dagster.learners.lightgbm.data.sampling import sample_here
from synml_dagster.learners.lightgbm.metrics import label_gains
from synml_dagster.learners.lightgbm.model import averages
from synml_dagster.learners.lightgbm.worker.bagging_seeds import draws_by_class
from synml_dagster.learners.lightgbm.worker.checkpoint import Checkpoint, read_checkpoint
from synml_dagster.learners.lightgbm.worker.job import RankJob
from synml_dagster.learners.lightgbm.worker.memory import release_freed

if TYPE_CHECKING:
    import lightgbm as lgb
    import pyarrow as pa

    from synml_dagster.spark.barrier_group import Member


def rows_of(
    job: RankJob, member: Member, batches: Iterator[pa.RecordBatch], folder: Path
) -> tuple[FileSplitRows | SpooledRows, FileSplitRows | SpooledRows | None]:
    """Return the rank's training rows and, on rank 0, the validation rows; what Spark brings is spooled to disk."""
    width = len(job.layout.features)
    if job.shares is not None:
        for _ in batches:
            pass
        share = FileSplitRows(job.shares[member.rank], job.columns, width)
        held_back = job.valid_share if member.rank == 0 else None
        valid = FileSplitRows(held_back, job.columns, width) if held_back else None
        if "group" in job.layout.extras:  # the rows of a group have to be brought together
            return respool(share, folder), respool(valid, folder) if valid else None
        return share, valid
    train, held_out = spool(batches, folder, width)
    return train, held_out if job.validated and member.rank == 0 else None


@dataclass(frozen=True)
class First:
    """What training begins from: trees that are there already, and how many of this training's rounds they hold."""

    text: str | None
    rounds: int
    checkpoint: Checkpoint | None

    @property
    def forest(self) -> bool:
        """Whether the trees are those of a forest, which do not learn from each other's scores."""
        return self.text is not None and averages(self.text)


def datasets(
    job: RankJob,
    member: Member,
    rows: FileSplitRows | SpooledRows,
    valid_rows: FileSplitRows | SpooledRows | None,
    params: Mapping[str, Any],
) -> tuple[lgb.Dataset, lgb.Dataset | None, First]:
    """Return the filled training and validation datasets, and what the training begins from."""
    from synml_dagster.learners.lightgbm.worker import native

    found = read_checkpoint(job.checkpoint, job.training) if job.checkpoint else None
    first = First(found.text, found.rounds, found) if found else First(job.init_text, 0, None)
    before = open_booster(first.text) if first.text else None
    width = len(job.layout.features)
    if before is not None and before.num_feature() != width:
        raise ConfigError(f"init_model was trained on {before.num_feature()} features and {width} are given.")
    extras, sizes = _extras(job, member, rows)
    if job.bins is not None:
        train = native.dataset_from_bins(job.bins, rows.rows, int(params.get("num_class", 1)), params)
    else:
        if rows.rows == 0:
            raise DataError("there are no training rows.")
        sample = sample_here(rows.features, rows.rows, job.sample, width)
        train = native.dataset_from_sample(sample, rows.rows, rows.rows, params)
        del sample
        release_freed()
    _fill(train, rows, extras, sizes, None if first.forest else before, job)
    valid = None
    if valid_rows is not None:
        if valid_rows.rows == 0:
            raise DataError(
                "there are no validation rows. Leave validation out, or check the column or table it names."
            )
        valid_extras, valid_sizes = _extras(job, member, valid_rows, trains=False)
        if job.bins is not None:
            valid = native.dataset_from_bins(
                job.bins, valid_rows.rows, int(params.get("num_class", 1)), params
            )
        else:
            valid = native.dataset_like(train, valid_rows.rows, params)
        _fill(valid, valid_rows, valid_extras, valid_sizes, before, job)
    return train, valid, first


def _extras(
    job: RankJob, member: Member, rows: FileSplitRows | SpooledRows, trains: bool = True
) -> tuple[dict[str, Any], Any]:
    extras = read_extras(rows.extras(), job.layout)
    _check_label(extras["label"], job)
    # One of several ranks may hold rows without weight; validation rows are all on one.
    if "weight" in extras and (member.size == 1 or not trains) and not (extras["weight"] != 0).any():
        raise DataError(
            f"the weight is 0 in all {'training' if trains else 'validation'} rows; nothing can be learned by it."
        )
    if trains and member.size > 1 and draws_by_class(job.params) and not (extras["label"] > 0).any():
        raise DataError(
            f"rank {member.rank} of {member.size} holds no row of the positive class, and LightGBM then leaves pos_bagging_fraction and neg_bagging_fraction out of account there. Shuffle the table, or train with ranks=1."
        )
    if "group" not in extras:
        return extras, None
    order, sizes = whole_groups(extras.pop("group"))
    if order is not None:
        assert isinstance(rows, SpooledRows)
        rows.order = order
        extras = {name: values[order] for name, values in extras.items()}
    return extras, sizes


def _check_label(label: Any, job: RankJob) -> None:
    kind = str(job.params.get("objective", "regression"))
    if kind in ("lambdarank", "rank_xendcg") and len(label):
        most = len(label_gains(job.params) or range(31)) - 1
        bad = (label < 0) | (label != np.floor(label)) | (label > most)
        bad &= ~np.isnan(label)  # said by those who count missing labels
        if bad.any():
            raise DataError(
                f"objective {kind!r} wants grades, whole numbers from 0 to {most}, and got {label[bad][0]:g}. For higher ones give label_gain, a list of the gain of each grade from 0."
            )
    if kind in ("binary", "cross_entropy") and len(label):
        bad = (label < 0) | (label > 1) if kind == "cross_entropy" else (label != 0) & (label != 1)
        if bad.any():
            raise DataError(
                f"objective {kind!r} wants labels {'between 0 and 1' if kind == 'cross_entropy' else '0 and 1'} and got {label[bad][0]:g}."
            )
    elif kind.startswith("multiclass") and len(label):
        k = int(job.params.get("num_class", 1))
        bad = (label < 0) | (label >= k) | (label != np.floor(label))
        if bad.any():
            raise DataError(
                f"objective {kind!r} with num_class={k} wants labels 0 to {k - 1} and got {label[bad][0]:g}."
            )


def _fill(
    dataset: lgb.Dataset,
    rows: FileSplitRows | SpooledRows,
    extras: dict[str, Any],
    sizes: Any,
    before: lgb.Booster | None,
    job: RankJob,
) -> None:
    """Push the rows into `dataset` block by block and set what belongs to them."""
    from synml_dagster.learners.lightgbm.worker.native import push_rows

    start, scores = 0, []
    for block in rows.features():
        if start + block.shape[0] > rows.rows:
            raise DataError(f"more rows came than the {rows.rows} that were counted; does the table change?")
        push_rows(dataset, block, start)
        if before is not None:
            scores.append(before.predict(block, raw_score=True, num_threads=job.threads))
        start += block.shape[0]
    if start != rows.rows:
        raise DataError(f"{start} rows came where {rows.rows} were counted; does the table change?")
    dataset.set_field("label", (extras["label"] - job.label_offset).astype(np.float32))
    if "weight" in extras:
        dataset.set_field("weight", extras["weight"].astype(np.float32))
    if sizes is not None:
        dataset.set_field("group", sizes)
    init = [extras[name] for name in job.layout.init_columns]
    score = np.column_stack(init) if init else None
    if before is not None:
        earlier = np.concatenate(scores) if scores else np.empty(0)
        earlier = earlier.reshape(rows.rows, -1)
        score = earlier if score is None else earlier + score
    if score is None and job.start is not None:
        score = np.full((rows.rows, 1), job.start)
    if score is not None and len(score):
        dataset.set_field("init_score", np.ascontiguousarray(score.ravel(order="F"), dtype=np.float64))


def open_booster(text: str) -> lgb.Booster:
    """Return LightGBM's model of a text."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)
