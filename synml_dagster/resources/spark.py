"""Spark as a Dagster resource: classic or Connect by configuration, and no job outlives its step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from synml_dagster.resources.run_tags import SPARK_TAG, tag_run
from synml_dagster.spark import SparkSettings, is_connect, open_session
from synml_dagster.spark.session import context_of, leave_call, ui_address

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

_INTERRUPT_SECONDS = 20


class SparkResource(dg.ConfigurableResource):
    """A Spark session that is opened when it is first asked for, and shared by all steps of the process.

    It is not a subclass of dagster-pyspark's resource, whose import loads pyspark and with it half a second into each
    drawing of the asset graph; it has that resource's `spark_session` and `spark_context`, and `pyspark_resource` is
    a real one around the same session for code that insists.

    Beyond dagster-pyspark: it checks Java, sets this interpreter for the workers, refuses static settings that differ
    from those of the session that the process already holds, tags the Spark jobs of each step
    (`dagster-<run id>-<step>`), and interrupts what is still running under those tags when the step is cancelled or
    fails. On Connect, jobs would otherwise go on without anybody to read their result.

    Examples
    --------
    Embedded, or whatever `SPARK_REMOTE` and `SPARK_MASTER` say:

    >>> SparkResource()  # doctest: +SKIP

    A Connect server, with a setting from the environment:

    >>> SparkResource(remote="sc://spark:15002", conf={"spark.sql.shuffle.partitions": dg.EnvVar("N")})  # doctest: +SKIP
    """

    master: str | None = Field(
        default=None,
        description="Classic Spark's master: `local[*]`, `spark://host:7077`, `yarn`, `k8s://...`. Default: the environment's SPARK_MASTER, else `local[*]`.",
    )
    remote: str | None = Field(
        default=None,
        description="Spark Connect's address: `sc://host:15002`, or `local[n]`. Default: the environment's SPARK_REMOTE.",
    )
    app_name: str = Field(default="synml_dagster", description="The application's name in Spark's own UI.")
    conf: dict[str, str] = Field(
        default_factory=dict,
        description="Spark configuration, key by key; values may be dg.EnvVar.",
    )

    _run_id: str | None = PrivateAttr(default=None)
    _log: Any = PrivateAttr(default=None)
    _instance: Any = PrivateAttr(default=None)
    _tags: list[str] = PrivateAttr(default_factory=list)
    _opened: Any = PrivateAttr(default=None)

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[SparkResource]:
        """Lend the resource to a run or a step, and leave no job of it behind."""
        self._run_id, self._log = context.run.run_id if context.run else None, context.log
        self._instance = context.instance
        try:
            yield self
        finally:
            self.interrupt()

    @property
    def session(self) -> SparkSession:
        """The session, with the running step's tag on the jobs that this thread starts.

        Raises
        ------
        SetupError
            Java is missing or too old, or the remote cannot be reached.
        ConfigError
            The process holds a session of another kind or with other static settings.
        """
        return self.session_for(_step_in_scope())

    def session_for(self, step_key: str | None) -> SparkSession:
        """Return the session with the tag of a step; IO managers, which run beside the step's function, name it."""
        session = self._open()
        if self._run_id is not None:
            self._stop_jobs_when_cancelled()
            if self._instance is not None and (address := ui_address(session)):
                tag_run(self._instance, self._run_id, SPARK_TAG, address)
            # A thread that the step has started is not in Dagster's scope and belongs to the step all the same.
            tag = self._tags[-1] if step_key is None and self._tags else _tag(self._run_id, step_key)
            if self._tags and self._tags[-1] != tag:
                # Another step has begun in this process, and steps of one process follow each other.
                self.interrupt()
            if tag not in self._tags:
                self._tags.append(tag)
            present = session.getTags()
            for old in [t for t in present if t.startswith("dagster-") and t != tag]:
                session.removeTag(old)
            if tag not in present:
                session.addTag(tag)
        return session

    @property
    def spark_session(self) -> SparkSession:
        """The session, by dagster-pyspark's name."""
        return self.session

    @property
    def spark_context(self) -> SparkContext:
        """The classic context, by dagster-pyspark's name; Spark Connect has none and says so."""
        return context_of(self.session)

    @property
    def pyspark_resource(self) -> LazyPySparkResource:
        """A dagster-pyspark resource that holds this session."""
        from dagster_pyspark import LazyPySparkResource

        resource = LazyPySparkResource(spark_config=dict(self.conf))
        resource._spark_session = self.session
        return resource

    def interrupt(self) -> None:
        """Stop the Spark jobs that steps of this run have started in this process and that still run."""
        tags, self._tags = self._tags, []
        if not tags or self._opened is None:
            return
        session = self._opened

        def stop() -> None:
            with contextlib.suppress(Exception):
                if is_connect(session):
                    for tag in tags:
                        session.interruptTag(tag)
                else:
                    # Classic Spark makes tags private to the JVM thread that set them (`interruptTag` from here finds
                    # no job); the session is this process's own, and its steps follow each other.
                    session.interruptAll()

        # A thread of its own: after an interrupt this one's connection to the JVM is still waiting for the old answer.
        stopper = threading.Thread(target=stop, name="interrupt-spark", daemon=True)
        stopper.start()
        stopper.join(_INTERRUPT_SECONDS)
        if stopper.is_alive() and self._log is not None:
            self._log.warning(
                f"spark: no answer to the request to stop the jobs tagged {', '.join(tags)} within {_INTERRUPT_SECONDS} s"
            )

    def _stop_jobs_when_cancelled(self) -> None:
        """Put a handler before Dagster's, which raises out of whatever this thread waits for: the jobs stop first.

        Dagster takes its handler away, and with it this one, whenever the step's code ends or yields.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        dagsters = signal.getsignal(signal.SIGINT)
        if not callable(dagsters) or isinstance(dagsters, _Cancel):
            return
        cancel = _Cancel(self, dagsters)
        for number in (signal.SIGINT, signal.SIGTERM):  # Dagster treats both alike
            if signal.getsignal(number) is dagsters:
                signal.signal(number, cancel)

    def _open(self) -> SparkSession:
        settings = SparkSettings(
            master=self.master or None,
            remote=self.remote or None,
            app_name=self.app_name,
            conf=dict(self.conf),
        )
        main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGINT) if main else None
        try:
            self._opened = open_session(settings)
        finally:
            # pyspark takes SIGINT for itself, and Dagster would then see a failure where somebody cancelled.
            if main and before is not None and signal.getsignal(signal.SIGINT) is not before:
                signal.signal(signal.SIGINT, before)
        return self._opened


class _Cancel:
    """A signal handler that stops the Spark jobs of a resource and then does what Dagster does."""

    def __init__(self, resource: SparkResource, then: Callable[[int, FrameType | None], Any]):
        self.resource, self.then = resource, then

    def __call__(self, number: int, frame: FrameType | None) -> None:
        session = self.resource._opened
        self.resource.interrupt()
        leave_call(session)
        self.then(number, frame)


def _step_in_scope() -> str | None:
    """The key of the step whose function is running, or None outside of one: in a sensor, a notebook, an IO manager."""
    try:
        return dg.OpExecutionContext.get().get_step_execution_context().step.key
    except Exception:
        return None


def _tag(run_id: str, step_key: str | None) -> str:
    # Spark refuses commas in tags.
    return f"dagster-{run_id}-{step_key or 'run'}".replace(",", "_")
