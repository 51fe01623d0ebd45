"""The estimator: checks what is asked, decides how many ranks train on what, starts the barrier group and returns the model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError
from synml_dagster.learners.lightgbm.arguments import take_functions, take_schedule, text_of, whole
from synml_dagster.learners.lightgbm.data.row_sources import Layout
from synml_dagster.learners.lightgbm.data.sampling import DEFAULT_SAMPLE, sample_size
from synml_dagster.learners.lightgbm.data.training_data import MULTICLASS, TrainingData, training_data
from synml_dagster.learners.lightgbm.model import LightGBMModel, averages
from synml_dagster.learners.lightgbm.objectives import TAKES_OFFSET, objective_of, root_of_labels
from synml_dagster.learners.lightgbm.params import check_params
from synml_dagster.learners.lightgbm.presets import check_preset, preset_params
from synml_dagster.learners.lightgbm.worker.checkpoint import clear_checkpoint
from synml_dagster.learners.lightgbm.worker.job import RankJob
from synml_dagster.learners.lightgbm.worker.outcome import model_of, raise_errors
from synml_dagster.learners.lightgbm.worker.rank import run_rank
from synml_dagster.learners.lightgbm.worker.reporting import Listener, driver_hosts
from synml_dagster.spark.barrier_group import (
    BarrierGroupLostError,
    Message,
    check_slots,
    executor_slots,
    run_barrier_group,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.progress import Progress

_known_slots: dict[int, tuple[float, list[int]]] = {}
_FILE_PARAMS = ("forcedbins_filename", "forcedsplits_filename")
# Beyond so many features LightGBM's histograms are faster column by column.
_WIDE = 512


class LightGBM:
    """LightGBM trained where the rows are: on the executors of a Spark session, classic or Connect.

    A missing value is NaN or null and is learned from as LightGBM does. Bins are found from one sample of all rows and
    do not depend on how the table is partitioned. On the same bins, one rank trains what one process of LightGBM trains. Several ranks are
    LightGBM's own data-parallel learner: it estimates the rows of a leaf from hessians, adds up in another order and draws
    some bags by rank, so that its model is another one, about as good. Single predictions were seen to move by up to
    0.76 with several classes, categories or bags; `bench/lightgbm/README.md` says when the two are equal.

    Parameters
    ----------
    params : mapping, optional
        LightGBM's own parameters, by name or alias; see `check_params` for what is refused. `objective` and the entries
        of `metric` may be functions as LightGBM's Python package takes them, `learning_rate` a function of the round
        (from 0) or a list.
    rounds : int
        Boosting rounds at most.
    early_stopping : int, optional
        Stop when no validation metric improved for so many rounds, and keep the best round's trees.
    ranks : int, optional
        How many tasks train together. By default one per executor; 1 on a local session.
    threads : int, optional
        Threads of each rank. By default all the cores that its executor gives to tasks.
    seed : int
        Of everything random. The same seed gives the same model text on the same rows in the same order, with the same
        number of ranks and of threads on each.
    checkpoint : str, optional
        A directory (or fsspec URI) that outlives the executors, where the trees so far are kept; a training that was
        killed goes on from there. What is drawn (bags, features of a tree) is drawn by new generators from there on, so
        only a training without draws ends with the very trees of one that was not killed. A dart starts over: the
        weights by which it chooses the trees to drop are not in its model text.
    checkpoint_seconds : float
        How often, at least, the checkpoint is written.
    timeout : float, optional
        Seconds after which the training is stopped with an error.
    silence : float
        Seconds after which a rank that gives no sign of life counts as lost.
    retries : int
        How often a barrier group that Spark gave up is started again, on the executors that are left.
    callbacks : sequence
        LightGBM's callbacks. Those that run before a round run on every rank, the others on rank 0.
    label_offset : float
        What is taken off every label before LightGBM rounds it to float32, and added to every prediction again: for
        labels far from zero, such as epoch seconds. For the objectives of differences alone (`TAKES_OFFSET`).
    preset : str, optional
        "fast": quantized gradients and bins from 50,000 rows on one rank, 63 bins on several; costs about 0.001 AUC. `params` win over it.

    Examples
    --------
    >>> model = LightGBM({"objective": "binary", "num_leaves": 31}, rounds=200, early_stopping=20).fit(
    ...     df, label="income", features=["age", "hours"], validation="is_validation"
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        rounds: int = 100,
        early_stopping: int | None = None,
        ranks: int | None = None,
        threads: int | None = None,
        seed: int = 0,
        checkpoint: str | None = None,
        checkpoint_seconds: float = 60.0,
        timeout: float | None = None,
        silence: float = 30.0,
        retries: int = 2,
        callbacks: Sequence[Callable[..., Any]] = (),
        preset: str | None = None,
        label_offset: float = 0.0,
    ):
        check_preset(preset)
        self.preset = preset
        given = dict(params or {})
        self.objective_function = given.pop("objective") if callable(given.get("objective")) else None
        self.metric_functions, given = take_functions(given)
        self.learning_rates, given = take_schedule(given)
        self.params = check_params(given, ranks=ranks)
        self.rounds = whole("rounds", self.params.pop("num_iterations", rounds))
        patience = self.params.pop("early_stopping_round", early_stopping)
        self.early_stopping = None if patience is None or int(patience) <= 0 else int(patience)
        self.min_delta = float(self.params.pop("early_stopping_min_delta", 0.0))
        self.first_metric_only = str(self.params.pop("first_metric_only", False)).casefold() in ("true", "1")
        self.seed = int(self.params.pop("seed", seed))
        threads = self.params.pop("num_threads", None) or threads
        self.threads = None if threads is None else whole("threads", threads)
        self.ranks = None if ranks is None else whole("ranks", ranks)
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self.timeout, self.silence, self.retries = timeout, silence, retries
        self.callbacks = tuple(callbacks)
        self.label_offset = float(label_offset)
        self._check_offset()
        if (
            self.learning_rates is not None
            and not callable(self.learning_rates)
            and len(self.learning_rates) < self.rounds
        ):
            raise ConfigError(
                f"learning_rate lists {len(self.learning_rates)} values for {self.rounds} rounds. Give one a round, or a function."
            )
        if self.early_stopping and self.boosting == "dart":
            raise ConfigError(
                "early stopping does not go with boosting='dart': later rounds change earlier trees, so the best round cannot be cut out. Leave early_stopping out, or use another boosting."
            )

    @property
    def boosting(self) -> str:
        """The kind of boosting: gbdt, dart, rf, or gbdt with goss sampling."""
        return {"gbrt": "gbdt", "random_forest": "rf"}.get(
            str(self.params.get("boosting", "gbdt")), str(self.params.get("boosting", "gbdt"))
        )

    def fit(
        self,
        data: DataFrame | ParquetFiles,
        *,
        spark: SparkSession | None = None,
        label: str,
        features: Sequence[str] | str,
        weight: str | None = None,
        init_score: str | Sequence[str] | None = None,
        group: str | None = None,
        validation: DataFrame | ParquetFiles | str | None = None,
        categorical: Sequence[str] = (),
        init_model: LightGBMModel | str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> LightGBMModel:
        """Train a model.

        Parameters
        ----------
        data : DataFrame or ParquetFiles
            The training rows. Ranks read Parquet files by themselves where they can reach them.
        spark : SparkSession, optional
            Needed with ParquetFiles where no session is active.
        label, weight, group : str
            Columns. A group (query) is kept whole on one rank; its rows need not lie together.
        features : sequence of str or str
            Numeric or boolean columns, rounded to float32; or one column that holds all of them in each row, a vector
            (as `VectorAssembler` and `HashingTF` make; sparse ones stay sparse up to LightGBM's bins) or an array of
            numbers. Its places are called `<column>_0`, `<column>_1` ...
        init_score : str or sequence of str, optional
            Column of initial raw scores; one column a class for multiclass.
        validation : DataFrame, ParquetFiles or str, optional
            Rows to follow the metrics on (rank 0 evaluates them whole), or a boolean column that marks them.
        categorical : sequence of str
            Those of the features that hold whole numbers >= 0 naming a category.
        init_model : LightGBMModel or str, optional
            A model (or its text) to go on from; with boosting='rf' another forest, which gets further trees.
        on_progress : callable, optional
            Called with a `Progress` about once a second, from another thread. What it raises stops the training and is
            raised here.

        Raises
        ------
        ConfigError, DataError, SetupError, TrainingError
        """
        if self.early_stopping and validation is None:
            raise ConfigError("early_stopping needs validation: rows that are not trained on.")
        source = training_data(
            data,
            spark=spark,
            label=label,
            features=features,
            weight=weight,
            init_score=init_score,
            group=group,
            validation=validation,
            categorical=categorical,
            objective=str(self.params.get("objective", "regression")),
        )
        source = replace(source, offset=self.label_offset)
        if self.boosting == "rf" and init_score is not None:
            raise ConfigError(
                "boosting='rf' grows its trees from no other model's scores: LightGBM refuses init_score with it. Leave it out, or use another boosting."
            )
        session = source.spark
        before = init_model.text if isinstance(init_model, LightGBMModel) else init_model
        if before is not None and averages(before) != (self.boosting == "rf"):
            raise ConfigError(
                f"init_model {'averages' if averages(before) else 'sums'} its trees, and boosting={self.boosting!r} does not. Go on with the boosting that it was trained with."
            )
        earlier = init_model.label_offset if isinstance(init_model, LightGBMModel) else 0.0
        if before is not None and earlier != self.label_offset:
            raise ConfigError(
                f"init_model was trained on labels less {earlier!r}, and label_offset is {self.label_offset!r}. Go on with its own."
            )
        listener = Listener(on_progress, _driver_hosts(session)) if on_progress else None
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        try:
            for attempt in range(self.retries + 1):
                try:
                    messages, params = self._try(source, before, listener, deadline, fresh=attempt > 0)
                    break
                except BarrierGroupLostError:
                    if attempt == self.retries:
                        raise
        finally:
            if listener is not None:
                listener.close()
            if listener is not None and listener.problem is not None:
                raise listener.problem
        model = model_of(messages, source, params, self)
        if self.checkpoint:
            clear_checkpoint(self.checkpoint)
        return model

    def _try(
        self,
        source: TrainingData,
        before: str | None,
        listener: Listener | None,
        deadline: float | None,
        fresh: bool,
    ) -> tuple[list[Message], dict[str, Any]]:
        """Train once, on the executors that there are now."""
        slots = _slots_of(source.spark, fresh) if self.ranks is None or self.threads is None else [1]
        ranks = self.ranks or len(slots)
        cores = max(1, sum(slots) // ranks if len(slots) < ranks else slots[-1])
        params = self._native_params(source, ranks)
        check_params(self.params, ranks=ranks)
        if ranks > 1:
            check_slots(source.spark, ranks, _what(ranks))
        with source.prepared(ranks, params) as ready:
            job = self._job(source, params, ranks, cores, before, listener)
            if ready.find_bins is not None:
                bins = ready.find_bins(job.sample)
                job = replace(
                    job, bins=bins, total_rows=ready.total_rows, start=None if before else ready.start
                )
            job = replace(job, shares=ready.shares, valid_share=ready.valid_share, columns=ready.columns)
            messages = run_barrier_group(
                source.spark,
                ranks,
                partial(run_rank, job),
                frame=ready.frame,
                cpus=min(cores, self.threads or cores) if len(slots) >= ranks else 1,
                timeout=None if deadline is None else max(0.0, deadline - time.monotonic()),
                what=_what(ranks),
                interrupt=listener.stop if listener else None,
            )
        raise_errors(messages)
        return messages, params

    def _check_offset(self) -> None:
        if not self.label_offset:
            return
        name = "a function" if self.objective_function is not None else objective_of(self.params)
        if name not in TAKES_OFFSET or root_of_labels(self.params):
            raise ConfigError(
                f"label_offset goes with the objectives {', '.join(TAKES_OFFSET)}, without reg_sqrt; got {name}"
            )

    def _native_params(self, source: TrainingData, ranks: int) -> dict[str, Any]:
        params: dict[str, Any] = {
            "verbosity": -1,
            "deterministic": True,
            "seed": self.seed,
            **preset_params(self.preset, ranks),
            **self.params,
        }
        for name in _FILE_PARAMS:
            params.pop(name, None)
        if self.objective_function is not None:
            params["objective"] = "none"
        if self.metric_functions and "metric" not in params:
            params["metric"] = "none"
        if "force_row_wise" not in params and "force_col_wise" not in params:
            # Left alone LightGBM times both and takes the faster, which is not the same one every time.
            by_column = len(source.features) > _WIDE and not source.sparse
            params["force_col_wise" if by_column else "force_row_wise"] = True
        if params.get("objective") in MULTICLASS and "num_class" not in params:
            params["num_class"] = source.class_count()
        if source.categorical:
            params["categorical_feature"] = [source.features.index(name) for name in source.categorical]
        return params

    def _job(
        self,
        source: TrainingData,
        params: dict[str, Any],
        ranks: int,
        cores: int,
        before: str | None,
        listener: Listener | None,
    ) -> RankJob:
        layout = Layout(
            tuple(source.features), source.extras, source.classes if source.label_is_text else None
        )
        keeps = self.checkpoint if self.boosting != "dart" else None
        files = {name: text_of(name, self.params[name]) for name in _FILE_PARAMS if self.params.get(name)}
        told = [
            params,
            layout,
            self.rounds,
            self.early_stopping,
            hashlib.sha256((before or "").encode()).hexdigest(),
            files,
            *([self.label_offset] if self.label_offset else []),
        ]
        return RankJob(
            training=hashlib.sha256(repr(told).encode()).hexdigest()[:24],
            layout=layout,
            params=params,
            rounds=self.rounds,
            sample=sample_size(
                int(params.get("bin_construct_sample_cnt", DEFAULT_SAMPLE)), source.values_a_row
            ),
            validated=source.validated,
            patience=self.early_stopping,
            first_metric_only=self.first_metric_only,
            min_delta=self.min_delta,
            threads=self.threads or cores,
            shared_threads=self.threads is None,
            init_text=before,
            label_offset=self.label_offset,
            objective=self.objective_function,
            metrics=self.metric_functions,
            learning_rates=self.learning_rates,
            callbacks=self.callbacks,
            checkpoint=keeps,
            checkpoint_seconds=self.checkpoint_seconds,
            silence=self.silence,
            files=files,
            report_to=tuple(listener.addresses) if listener else (),
            report_token=listener.token if listener else "",
        )


def _what(ranks: int) -> str:
    return f"the training on {ranks} rank{'s' if ranks > 1 else ''}"


def _slots_of(spark: SparkSession, fresh: bool) -> list[int]:
    """Ask which executors there are at most once a minute: a sweep trains many times in a row."""
    key = id(spark)
    asked, slots = _known_slots.get(key, (0.0, []))
    if fresh or not slots or time.monotonic() - asked > 60:
        _known_slots.clear()
        slots = executor_slots(spark)
        _known_slots[key] = (time.monotonic(), slots)
    return slots


def _driver_hosts(spark: SparkSession) -> list[str]:
    from synml_dagster.spark import is_local

    return driver_hosts(spark.conf.get("spark.driver.host", None), is_local(spark))
