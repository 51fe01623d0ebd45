"""Studies in databases by their address: a real PostgreSQL and MariaDB, several processes, kills, and what cannot be reached."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import quote

import optuna
import pytest
import sqlalchemy

from synml_dagster.errors import SetupError
from synml_dagster.learners import ParameterRange
from synml_dagster.tuning import Candidate, Family, TrialOutcome, run_sweep
from synml_dagster.tuning.ledger import Ledger, check_database
from synml_dagster.tuning.ledger.database import at_once, open_database
from synml_dagster.tuning.ledger.turn import Turns
from tests.servers import free_port, mariadb_server, postgres_server

PASSWORD = "s3cret@/:% of ours"
FAMILY = Family("f", {"x": ParameterRange(low=0.0, high=10.0)}, [Candidate("default", {"x": 5.0})])

SWEEP = """
import sys, time
from tests.tuning.test_databases import sweep
from synml_dagster.tuning import TrialOutcome
storage, trials, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
def train(question):
    print("begun", question.order, flush=True)
    time.sleep(seconds)
    return TrialOutcome(question.params["x"])
print("ready", flush=True)
sys.stdin.readline()
found = sweep(storage, trials, train, parallel=2)
print("ended", len(found.trials), flush=True)
"""


def near(question):
    return TrialOutcome(abs(question.params["x"] - 3))


def sweep(storage, trials, train=near, **more):
    given = {"key": {"rows": 1}, "metric": "m", "maximize": False, "minutes": 2} | more
    return run_sweep(train, families=[FAMILY], storage=storage, trials=trials, **given)


def started(storage, trials, seconds):
    """A process that sweeps once it is told to."""
    command = [sys.executable, "-c", SWEEP, str(storage), str(trials), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    port = free_port()
    with postgres_server(port, "ann", PASSWORD) as psql:
        yield port, psql


@pytest.fixture
def postgres(server, request):
    """The address of an empty database."""
    port, psql = server
    name = f"studies{abs(hash(request.node.name))}"
    psql("--dbname=postgres", f"--command=CREATE DATABASE {name}")
    return f"postgresql+psycopg2://ann:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/{name}"


@pytest.fixture(scope="module")
def mariadb_at():
    port = free_port()
    with mariadb_server(port, "ann", PASSWORD) as execute:
        yield port, execute


@pytest.fixture
def mariadb(mariadb_at, request):
    """The address of an empty database."""
    port, execute = mariadb_at
    name = f"studies{abs(hash(request.node.name))}"
    execute(f"CREATE DATABASE {name}")
    return f"mysql+pymysql://ann:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/{name}"


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def storage(request, tmp_path):
    return tmp_path / "s.db" if request.param == "sqlite" else request.getfixturevalue(request.param)


def test_a_sweep_in_a_database_goes_on_with_what_a_kill_has_left(storage):
    process = started(storage, 5, 60)
    go(process)
    assert process.stdout.readline() == "begun 0\n"
    process.kill()
    process.wait(10)
    found = sweep(storage, 5)
    assert [t.number for t in found.trials if t.value is not None] == [0, 1, 2, 3, 4]
    assert found.trials[0].params == {"x": 5.0}
    again = sweep(storage, 7)
    assert again.resumed == 5
    assert len([t for t in again.trials if t.value is not None]) == 7


def test_the_same_questions_are_asked_whatever_the_database(storage, tmp_path):
    first, second = sweep(tmp_path / "other.db", 6), sweep(storage, 6)
    assert [t.params for t in first.trials] == [t.params for t in second.trials]


def test_processes_at_one_study_share_its_trials_and_its_numbers(storage):
    processes = [started(storage, 8, 0.05) for _ in range(2)]
    for process in processes:
        go(process)
    said = [process.communicate(timeout=400)[0].splitlines() for process in processes]
    assert [lines[-1] for lines in said] == ["ended 8", "ended 8"]
    begun = Counter(line for lines in said for line in lines[:-1])
    assert begun == {f"begun {i}": 1 for i in range(8)}
    assert all(len(lines) > 1 for lines in said)


def test_processes_that_widen_ranges_at_the_same_time_give_no_number_twice(storage):
    ranges = [Family("f", {"x": ParameterRange(low=0.0, high=high)}) for high in (10.0, 12.0)]
    one, two = (Ledger(storage, [r], {"rows": 1}, maximize=False, seed=0) for r in ranges)
    numbers = []
    for ledger in (one, two, one, two):
        with ledger.turn():
            numbers.append(ledger.ask_search(ledger.next_order(), "f").order)
    assert numbers == [0, 1, 2, 3]


def test_what_a_killed_process_of_another_host_ran_is_asked_again_once_nothing_is_heard_of_it(
    storage, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "elsewhere")
        Ledger(storage, [FAMILY], {"rows": 1}, maximize=False, seed=0).ask_candidate(
            0, "f", FAMILY.portfolio[0]
        )
    ledger = Ledger(storage, [FAMILY], {"rows": 1}, maximize=False, seed=0)
    ledger.take_over()
    assert (ledger.elsewhere(), ledger.waits()) == (1, False)  # it may still run
    time.sleep(1.5)  # clocks of databases may have whole seconds
    Ledger(storage, [FAMILY], {"rows": 1}, maximize=False, seed=0, unheard=0.5)
    found = sweep(storage, 2)
    assert next((t.number, t.params["x"]) for t in found.trials if t.value is not None) == (0, 5.0)


@pytest.fixture(params=["postgres", "mariadb"])
def closing(request):
    """The address of a database, and what closes it to all, ends their connections, and opens it again."""
    storage = request.getfixturevalue(request.param)
    if request.param == "mariadb":
        _, execute = request.getfixturevalue("mariadb_at")

        def close():
            execute("ALTER USER 'ann'@'127.0.0.1' ACCOUNT LOCK")
            execute("KILL USER 'ann'@'127.0.0.1'")

        return storage, close, lambda: execute("ALTER USER 'ann'@'127.0.0.1' ACCOUNT UNLOCK")
    name = storage.rpartition("/")[2]
    _, psql = request.getfixturevalue("server")

    def let_in(word):
        psql("--dbname=postgres", f"--command=ALTER DATABASE {name} ALLOW_CONNECTIONS {word}")

    def close_postgres():
        let_in("false")
        psql(
            "--dbname=postgres",
            f"--command=SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )

    return storage, close_postgres, lambda: let_in("true")


def test_a_database_that_goes_away_is_said_without_the_password(closing):
    storage, close, reopen = closing

    def train(question):
        close()
        return near(question)

    try:
        with pytest.raises(SetupError, match="no study can be kept in") as caught:
            sweep(storage, 3, train, patience=1)
    finally:
        reopen()
    hides_the_password(caught.value)


def test_a_database_that_is_away_for_a_while_costs_no_trial(closing):
    storage, close, reopen = closing
    back = []

    def train(question):
        if question.order in (1, 3):
            close()
            back.append(threading.Timer(2.0, reopen))
            back[-1].start()
        return near(question)

    found = sweep(storage, 6, train)
    assert [(t.number, t.state) for t in found.trials] == [(n, "complete") for n in range(6)]
    assert len(back) == 2


@pytest.mark.parametrize(
    ("kind", "ask", "told"),
    [
        (
            "postgres",
            "SELECT concat_ws(' ', current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'), current_setting('tcp_keepalives_count'))",
            "30 10 3",
        ),
        ("mariadb", "SELECT @@session.wait_timeout", 300),
    ],
)
def test_a_lock_does_not_outlast_a_host_that_is_lost(request, kind, ask, told):
    """The server notices it by what the connection of a turn has set, also once a rollback has ended the turn."""
    turns = Turns(request.getfixturevalue(kind))
    for _ in range(2):
        with turns.turn():
            pass
        with turns._connected() as connection:
            assert connection.scalar(sqlalchemy.text(ask)) == told


@pytest.mark.parametrize("kind", ["INSERT", "UPDATE", "SELECT"])
def test_a_statement_that_fails_once_costs_no_trial_wherever_it_is(tmp_path, kind):
    """A deadlock, or a connection that was lost, at any statement of a sweep; each place in a sweep of its own."""
    seen, fails = 0, 0

    def fail(connection, cursor, statement, *told):
        nonlocal seen
        seen += statement.lstrip().startswith(kind)
        if seen == fails:
            seen += 1
            raise sqlalchemy.exc.OperationalError(statement, {}, Exception("deadlock detected"))

    steps = {"INSERT": (3, 9, 16, 30), "UPDATE": (1, 4, 7), "SELECT": (25, 60, 90)}[kind]
    for fails in steps:  # of a sweep of four trials there are about 40, 10 and 100
        file, seen = tmp_path / f"{kind}{fails}.db", 0
        Ledger(file, [FAMILY], {"rows": 1}, maximize=False, seed=0)  # opening is not done again
        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", fail)
        try:
            found = sweep(file, 4)
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", fail)
        assert [(t.number, t.state) for t in found.trials if t.value is not None] == [
            (n, "complete") for n in range(4)
        ], fails
        study = optuna.load_study(study_name=None, storage=f"sqlite:///{file}")
        assert not [t for t in study.trials if t.state == optuna.trial.TrialState.RUNNING], fails
        assert next(t.params for t in found.trials if t.value is not None) == {"x": 5.0}
        assert seen > fails  # the sweep has come to that statement


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("postgresql+psycopg2://ann:{}@127.0.0.1:{free}/studies", "refused"),
        ("postgresql+psycopg2://ann:{}@127.0.0.1:{silent}/studies?connect_timeout=2", "timeout expired"),
        ("mysql+pymysql://ann:{}@127.0.0.1:{free}/studies", "refused|synml-dagster.mysql."),
        ("postgrsql://ann:{}@127.0.0.1:{free}/studies", "Did you mean 'postgresql'"),
        ("postgresql+nodriver://ann:{}@127.0.0.1/studies", "no kind of database 'postgresql.nodriver'"),
        ("mysql+mysqldb://ann:{}@127.0.0.1/studies", "pip install mysqlclient"),
        ("://ann:{}@127.0.0.1/studies", "it is no address"),
    ],
)
def test_a_database_that_cannot_be_reached_is_said_soon_and_without_the_password(address, says):
    if "psycopg2" in address:
        pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with socket.socket() as silent:  # takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        ports = {"free": free_port(), "silent": silent.getsockname()[1]}
        storage = address.replace("{}", quote(PASSWORD, safe="")).format(**ports)
        began = time.monotonic()
        for ask in (check_database, lambda s: sweep(s, 3, pytest.fail)):
            with pytest.raises(SetupError, match=says) as caught:
                ask(storage)
            hides_the_password(caught.value)
        assert time.monotonic() - began < 15


def test_a_wrong_password_is_not_shown(postgres):
    wrong = postgres.replace("s3cret", "guessed")
    with pytest.raises(SetupError, match="password authentication failed") as caught:
        sweep(wrong, 2)
    hides_the_password(caught.value, "guessed")


def test_a_driver_without_a_deadline_is_not_waited_for(monkeypatch):
    from synml_dagster.tuning.ledger import database

    monkeypatch.setattr(database, "connect_options", lambda _: {})
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        port = silent.getsockname()[1]
        with pytest.raises(SetupError, match=r"no answer within 0 s"):
            check_database(f"postgresql+psycopg2://ann@127.0.0.1:{port}/studies", seconds=0.2)


def hides_the_password(problem, word="s3cret"):
    shown = str(problem)
    link = problem
    while link is not None:
        shown += repr(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    assert word not in shown
    assert quote(PASSWORD, safe="") not in shown


def test_what_is_written_at_once_is_there_as_a_whole_or_not_at_all(storage):
    database = open_database(str(storage))
    study = optuna.create_study(storage=database, study_name="s")

    def begin():
        trial = study.ask()
        trial.set_user_attr("order", 1)
        trial.suggest_float("x", 0, 1)
        assert study.trials[-1].user_attrs == {"order": 1}  # what was written is read within
        return trial

    def ended():
        with at_once(database):
            begin()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ended()
    assert database.get_all_trials(study._study_id) == []
    with at_once(database):
        trial = begin()
    study.tell(trial, 1.0)
    found = database.get_all_trials(study._study_id)
    assert [(t.number, t.user_attrs, list(t.params)) for t in found] == [(0, {"order": 1}, ["x"])]
    late = suppress(optuna.exceptions.UpdateFinishedTrialError)
    with pytest.raises(optuna.exceptions.StorageInternalError, match="refused"), at_once(database), late:
        trial.set_user_attr("late", True)
    assert "late" not in database.get_all_trials(study._study_id)[0].user_attrs
