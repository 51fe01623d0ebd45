"""The engine on real sockets: what is tried again, how long is waited, and that each row ends with a value or an error."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from synml_dagster.services import Budget, Limits, Policy, Prices, Service
from synml_dagster.services.engine.pace import CoolDown, Pace
from synml_dagster.services.engine.retry_after import retry_after
from tests.services.driving import drive
from tests.services.server import Server, fault, hanging, reset, truncated

QUICK = Policy(first_wait=0.02, longest_wait=0.1, deadline=20, timeout=2)


def echo(url, policy=QUICK, **more):
    told = {"name": "echo", "body": {"t": "{text}"}, "answer": {"path": "answer"}, "policy": policy}
    return Service(url=f"{url}/v1", **(told | more))


def rows(n):
    return [{"text": f"t{i}"} for i in range(n)]


def good(seen):
    return {"answer": seen.json["t"].upper()}


def date_in(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


# What a service answers the first time, and how long it asks to wait at least.
WAITS = {
    "seconds": (lambda: fault(429, retry_after="0.3"), 0.3),
    "milliseconds": (lambda: fault(429, retry_after_ms="300"), 0.3),
    "microsoft's milliseconds": (lambda: fault(429, x_ms_retry_after_ms="300"), 0.3),
    # The clocks differ by an hour; the answer's own date tells.
    "date": (lambda: fault(429, retry_after=date_in(3601), date=date_in(3600)), 0.9),
    "body": (lambda: fault(429, {"error": {"details": [{"retryDelay": "0.3s"}]}}), 0.3),
    "words": (lambda: fault(429, {"error": {"message": "Please try again in 300ms."}}), 0.3),
    "503 with seconds": (lambda: fault(503, retry_after="0.3"), 0.3),
    "nothing": (lambda: fault(429), 0.0),
}


@pytest.mark.parametrize("form", WAITS)
def test_a_service_that_says_how_long_is_waited_for(form, tmp_path):
    make, least = WAITS[form]
    times = []

    def answer(seen, nth):
        times.append(time.monotonic())
        return make() if nth == 1 else good(seen)

    with Server(answer) as server:
        got = drive(echo(server.url), rows(1), tmp_path)
    assert got.values == {"0": "T0"}
    assert got.reasons == [None]
    assert least <= times[1] - times[0] < least + 1
    assert got.total("throttled") == (not form.startswith("503"))


def test_one_429_lets_every_request_of_the_key_wait(tmp_path):
    times = []

    async def answer(seen, nth):
        times.append(time.monotonic())
        if len(times) == 1:
            return fault(429, retry_after="0.6")
        await asyncio.sleep(0.05)
        return good(seen)

    with Server(answer) as server:
        got = drive(echo(server.url), rows(30), tmp_path, limits=Limits(in_flight=2))
    assert len(got.values) == 30
    began = times[0]
    # The one that was on its way beside the first came through; nobody else did until the time was over.
    assert sum(0.1 < t - began < 0.55 for t in times) == 0
    assert got.total("calls") == 31


FAULTS = {
    "503": lambda: fault(503), "500": lambda: fault(500), "408": lambda: fault(408), "reset": lambda: reset, "truncated": lambda: truncated,
    "broken JSON": lambda: fault(200, '{"answer": "half'), "429": lambda: fault(429, retry_after="0.05"),
}  # fmt: skip


def test_faults_that_pass_are_survived_and_counted(tmp_path):
    names = list(FAULTS)

    def answer(seen, nth):
        fails = FAULTS[names[int(seen.json["t"][1:]) % len(names)]]
        return fails() if nth == 1 else good(seen)

    with Server(answer) as server:
        got = drive(echo(server.url), rows(70), tmp_path)
        assert got.reasons == [None] * 70
        assert [got.values[str(i)] for i in range(70)] == [f"T{i}" for i in range(70)]
        assert got.total("calls") == server.calls == 140
    assert [line["key"] for line in got.lines] == [str(i) for i in range(70)]  # in the rows' order
    assert got.total("throttled") == 10


LASTING = {
    "unavailable": (lambda: fault(503), 503), "connection": (lambda: reset, None), "malformed": (lambda: fault(200, '{"answer": "half'), 200),
    "invalid": (lambda: fault(400), 400), "timeout": (lambda: hanging, None), "too_large": (lambda: fault(200, '"' + "x" * 3000 + '"'), 200),
}  # fmt: skip


def test_faults_that_last_are_errors_of_their_row_alone(tmp_path):
    names = [*LASTING, None]

    def answer(seen, nth):
        name = names[int(seen.json["t"][1:]) % len(names)]
        return LASTING[name][0]() if name else good(seen)

    policy = Policy(first_wait=0.01, longest_wait=0.02, deadline=20, timeout=0.4, attempts=3, most_bytes=2048)
    with Server(answer) as server:
        got = drive(echo(server.url, policy), rows(28), tmp_path)
    for i, line in enumerate(got.lines):
        name = names[i % len(names)]
        assert line["reason"] == name
        assert (str(i) in got.values) == (name is None)  # value xor error
        if name:
            assert line["status"] == LASTING[name][1]
            assert line["attempts"] == (1 if name in ("invalid", "too_large") else 3)
    assert got.seconds < 8


def test_an_endless_429_ends_at_the_deadline(tmp_path):
    policy = Policy(deadline=2, first_wait=0.05, longest_wait=0.2)
    with Server(lambda seen, nth: fault(429, retry_after="0.2")) as server:
        got = drive(echo(server.url, policy), rows(200), tmp_path, limits=Limits(in_flight=8))
        assert got.seconds < 3
        assert set(got.reasons) <= {"deadline", "rate_limited"}
        assert len(got.lines) == 200
        assert server.calls < 200  # those that the time did not reach were not sent


def test_a_wait_beyond_the_deadline_is_an_answer(tmp_path):
    with Server(lambda seen, nth: fault(429, retry_after="86400")) as server:
        got = drive(echo(server.url), rows(50), tmp_path)
        assert got.seconds < 2
        assert set(got.reasons) == {"rate_limited"}
        assert "beyond the deadline" in got.lines[0]["message"]
        assert server.calls <= 32


def test_a_refused_key_or_an_empty_account_ends_the_sending(tmp_path):
    for status, code, reason in ((401, None, "key"), (429, "insufficient_quota", "quota")):
        with Server(
            lambda seen, nth, s=status, c=code: fault(s, {"error": {"message": "no", "code": c}})
        ) as server:
            got = drive(echo(server.url), rows(100), tmp_path, limits=Limits(in_flight=4))
            assert set(got.reasons) == {reason}
            assert server.calls <= 4


def test_a_row_that_takes_long_holds_up_no_other(tmp_path):
    async def answer(seen, nth):
        await asyncio.sleep(2.0 if seen.json["t"] == "t0" else 0.005)
        return good(seen)

    with Server(answer) as server:
        got = drive(echo(server.url), rows(200), tmp_path, limits=Limits(in_flight=4))
        assert server.most_in_flight == 4
    assert got.lines[0]["key"] == "0"
    assert sum(line["finished"] < got.lines[0]["finished"] for line in got.lines[1:]) > 100


def test_requests_go_at_the_granted_rate(tmp_path):
    times = []

    def answer(seen, nth):
        times.append(time.monotonic())
        return good(seen)

    with Server(answer) as server:
        drive(echo(server.url), rows(40), tmp_path, limits=Limits(requests_per_minute=1200))
    assert 1.7 < times[-1] - times[0] < 3.0  # 40 at 20 a second


def test_a_request_larger_than_the_quota_is_refused_at_once(tmp_path):
    def answer(seen, nth):
        return good(seen) | {"usage": {"n": 5}}

    with Server(answer) as server:
        service = echo(server.url, usage={"input": "usage.n"})
        told = [{"text": "short"}, {"text": "x" * 9000}]
        got = drive(service, told, tmp_path, limits=Limits(tokens_per_minute=1000))
        assert got.reasons == [None, "never_fits"]
        assert "1000 a minute" in got.lines[1]["message"]
        assert server.calls == 1


def test_a_budget_stops_cleanly_and_the_next_run_goes_on(tmp_path):
    def answer(seen, nth):
        return good(seen) | {"usage": {"in": 10, "out": 5}}

    with Server(answer) as server:
        service = echo(
            server.url,
            usage={"input": "usage.in", "output": "usage.out"},
            prices=Prices(input=1e6, output=2e6),
        )
        first = drive(service, rows(30), tmp_path, limits=Limits(in_flight=3), budget=Budget(tokens=160))
        assert first.reasons.count("budget") == 30 - len(first.values)
        assert (
            140 <= first.total("input_tokens") + first.total("output_tokens") <= 195
        )  # what is in flight when it is spent is paid
        assert first.total("cost") == pytest.approx(20 * len(first.values))
        before = server.calls
        second = drive(service, rows(30), tmp_path)
        assert server.calls == before + 30 - len(first.values)
        assert second.reasons == [None] * (30 - len(first.values))
        assert len(second.values) == 30
        money = drive(service, rows(30), tmp_path / "m", limits=Limits(in_flight=3), budget=Budget(money=100))
        assert 5 <= len(money.values) <= 7  # what is in flight when it is spent is paid
        calls = drive(service, rows(30), tmp_path / "c", budget=Budget(requests=7))
        assert len(calls.values) == 7


def test_what_cannot_be_sent_is_an_error_and_no_request(tmp_path):
    with Server(lambda seen, nth: good(seen)) as server:
        got = drive(echo(server.url), [{"text": None}, {"text": "fine"}], tmp_path)
        assert got.reasons == ["input", None]
        assert "'text' holds nothing" in got.lines[0]["message"]
        number = echo(server.url, body={"t": "a", "n": "{n}"})
        got = drive(number, [{"n": float("nan")}, {"n": 1.5}], tmp_path)
        assert got.reasons == ["input", None]
        assert server.calls == 2
        assert server.seen[-1].json == {"t": "a", "n": 1.5}


def test_redirects_are_not_followed(tmp_path):
    with Server(lambda seen, nth: fault(307, location="http://127.0.0.1:1/elsewhere")) as server:
        got = drive(echo(server.url), rows(1), tmp_path)
        assert got.reasons == ["invalid"]
        assert server.calls == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9/x", "private network"), ("http://2130706433/x", "private network"), ("http://[::1]/x", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"), ("file:///etc/passwd", "scheme"), ("http://u:p@example.org/", "password"),
        ("gopher://example.org", "scheme"), ("http://localhost:9/x", "private network"), ("http:///x", "no host"),
    ],
)  # fmt: skip
def test_addresses_of_rows_reach_no_private_network(url, said, tmp_path):
    service = Service(name="fetch", url="{url}", method="GET", policy=QUICK)
    got = drive(service, [{"url": url}], tmp_path)
    assert got.reasons == ["address"]
    assert said in got.lines[0]["message"]


def test_values_cannot_leave_their_place_in_an_address(tmp_path):
    with Server(lambda seen, nth: {"answer": seen.path}) as server:
        service = Service(
            name="x",
            url=f"{server.url}/items/{{id}}",
            method="GET",
            query={"q": "{id}"},
            answer={"path": "answer"},
        )
        got = drive(service, [{"id": "a/../b?c#d"}, {"id": ".."}, {"id": "é &="}], tmp_path)
        assert got.reasons == [None, "input", None]
        assert got.values["0"] == "/items/a/../b?c#d"  # as the server decodes it: one segment
        assert server.seen[0].query == {"q": "a/../b?c#d"}


def test_retry_after_reads_what_services_write():
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    cases = {
        ("retry-after", "120"): 120, ("retry-after", "0"): 0, ("retry-after", "1.5"): 1.5, ("retry-after-ms", "250"): 0.25,
        ("retry-after", "Wed, 25 Nov 2026 12:01:00 GMT"): 60, ("retry-after", "Wed, 25 Nov 2026 11:00:00 GMT"): 0,
        ("retry-after", "-1"): None, ("retry-after", "nan"): None, ("retry-after", "soon"): None, ("x-other", "1"): None,
    }  # fmt: skip
    for (name, value), seconds in cases.items():
        assert retry_after({name: value}, b"", now) == seconds, value
    bodies = {
        b"Please retry after 52 seconds.": 52, b"try again in 6m0s": 360, b"Try again in 1h2m3s.": 3723, b"retry after 86400 seconds": 86400,
        b'{"retry_after": 3}': 3, b'{"error": {"retryAfterMs": 1500}}': 1.5, b"nothing of the kind": None, b'{"retryDelay": "soon"}': None,
        b"try again in 20ms": 0.02, b"\xff\xfe": None,
    }  # fmt: skip
    for body, seconds in bodies.items():
        assert retry_after({}, body) == (pytest.approx(seconds) if seconds is not None else None), body


def test_back_off_is_spread_over_all_of_its_bound():
    policy, dice = Policy(first_wait=1, longest_wait=8), random.Random(0)
    waits = [policy.wait(3, dice) for _ in range(2000)]
    assert min(waits) < 0.1
    assert 3.9 < max(waits) <= 4
    assert max(policy.wait(50, dice) for _ in range(500)) <= 8


def test_the_shares_of_senders_add_up():
    limits = Limits(requests_per_minute=100, tokens_per_minute=1000, in_flight=7)
    shares = [limits.share(i, 3) for i in range(3)]
    assert sum(s.in_flight for s in shares) == 7
    assert sum(s.requests_per_minute for s in shares) == pytest.approx(100)
    assert sum(Budget(tokens=10).share(i, 3).tokens for i in range(3)) == 10


def test_a_pace_keeps_its_rate_and_takes_what_is_larger_than_a_moment():
    pace = Pace(600, burst=0)
    assert [round(pace.take(0.0, 1), 6) for _ in range(3)] == [0, 0.1, 0.2]
    assert pace.take(10.0, 100) == 10
    assert pace.take(10.0, 1) == pytest.approx(20)


def test_senders_tell_each_other_to_wait(tmp_path):
    one, other = CoolDown(str(tmp_path / "c")), CoolDown(str(tmp_path / "c"))
    assert other.left() == 0
    one.pause(5)
    other._looked = 0
    assert 4 < other.left() <= 5
