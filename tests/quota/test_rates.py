"""How fast subjects may ask: never more than the limit in any minute, whoever counts; a minute is short here."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dataelan_web.jobs.queue import connect, within
from dataelan_web.models import Pace, Scope
from dataelan_web.quota import Rate, RateExceeded, Rates, RatesUnknown
from dataelan_web.quota.rates import PREFIX

from ..conftest import wait_until

MINUTE, LEASE = 0.6, 1.0


def rate(requests: int | None = None, tokens: int | None = None, parallel: int | None = None) -> Rate:
    return Rate(uuid.uuid4(), uuid.uuid4(), Scope.PROJECT, requests, tokens, parallel)


@pytest.fixture
def valkey(environment: dict[str, str]) -> Iterator[redis.Redis]:
    with connect(environment["REDIS_URL"]) as valkey:
        yield valkey


@pytest.fixture
def rates(valkey: redis.Redis) -> Rates:
    return Rates(valkey, MINUTE, LEASE)


@pytest.fixture
def patient(valkey: redis.Redis) -> Rates:
    """With the minute that others have: nothing passes while a test runs."""
    return Rates(valkey)


def refusal(rates: Rates, limits: list[Rate], tokens: int = 0) -> RateExceeded:
    with pytest.raises(RateExceeded) as refused:
        rates.take(limits, uuid.uuid4(), tokens)
    return refused.value


def counted(valkey: redis.Redis, limit: Rate) -> dict[str, int]:
    """Requests and tokens of the minute, and prompts that run."""
    found: dict[str, int] = {"r": 0, "t": 0, "running": valkey.zcard(f"{PREFIX}{limit.id.hex}:leases")}  # type: ignore[dict-item]
    for name, value in valkey.hgetall(f"{PREFIX}{limit.id.hex}:minute").items():  # type: ignore[union-attr]
        found[name[:1].decode()] += int(value)
    return found


# -- requests ------------------------------------------------------------------------------------


def test_so_many_requests_a_minute_and_no_more(patient: Rates) -> None:
    limit = rate(requests=3)
    for _ in range(3):
        patient.take([limit], uuid.uuid4(), 100)
    refused = refusal(patient, [limit])
    assert (refused.pace, refused.limit, refused.scope) == (Pace.REQUESTS, 3, Scope.PROJECT)
    assert refused.retry_after
    assert 0 < refused.retry_after <= 61
    assert "The project's limit of 3 requests per minute is reached. Try again in" in refused.message


def test_in_no_minute_more_is_let_through_than_the_limit_and_not_much_less(rates: Rates) -> None:
    """Complaint 1 (li#18730), with sliding windows: not even over the turn of a minute, by any number at once."""
    limit, let_through, until = rate(requests=10), list[tuple[float, float]](), time.monotonic() + 3 * MINUTE

    def hammer() -> None:
        while (before := time.monotonic()) < until:
            try:
                rates.take([limit], uuid.uuid4(), 1)
                let_through.append((before, time.monotonic()))
            except RateExceeded as refused:
                time.sleep((refused.retry_after or MINUTE) / 2)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    let_through.sort()
    for (before, _), (_, after) in zip(let_through, let_through[10:], strict=False):
        assert after - before >= MINUTE  # it was let through between the two
    assert len(let_through) >= 20


def test_it_is_let_through_when_it_was_told_to_come_again(rates: Rates) -> None:
    limit = rate(requests=2, tokens=100)
    for _ in range(2):
        rates.take([limit], uuid.uuid4(), 50)
    waited = refusal(rates, [limit], 10).retry_after
    assert waited
    time.sleep(waited + 0.005)
    rates.take([limit], uuid.uuid4(), 50)


# -- tokens --------------------------------------------------------------------------------------


def test_tokens_are_counted_by_the_bound_and_then_by_what_was_used(patient: Rates, valkey: redis.Redis) -> None:
    """Complaint 1 (li#18730: a limit of 100 tokens a minute lets 663 pass)."""
    limit = rate(tokens=100)
    first = patient.take([limit], uuid.uuid4(), 80)
    refused = refusal(patient, [limit], 21)
    assert (refused.pace, refused.limit) == (Pace.TOKENS, 100)
    patient.end(first, 30)
    second = patient.take([limit], uuid.uuid4(), 70)
    assert counted(valkey, limit)["t"] == 100
    patient.end(second, 90)  # more than it could: counted in full
    assert counted(valkey, limit)["t"] == 120
    assert refusal(patient, [limit], 0).pace is Pace.TOKENS


def test_what_alone_is_more_than_a_minute_allows_is_told_so(patient: Rates) -> None:
    refused = refusal(patient, [rate(tokens=100)], 101)
    assert refused.retry_after is None
    assert "less than this prompt may use. Shorten it" in refused.message


def test_a_call_that_was_not_sent_counts_as_nothing(patient: Rates, valkey: redis.Redis) -> None:
    limit = rate(requests=1, tokens=100, parallel=1)
    patient.end(patient.take([limit], uuid.uuid4(), 100), None)
    assert counted(valkey, limit) == {"r": 0, "t": 0, "running": 0}
    patient.end(patient.take([limit], uuid.uuid4(), 100), 0)
    assert counted(valkey, limit) == {"r": 1, "t": 0, "running": 0}


def test_a_correction_that_comes_after_its_minute_changes_nothing(rates: Rates, valkey: redis.Redis) -> None:
    limit = rate(tokens=100)
    late = rates.take([limit], uuid.uuid4(), 80)
    time.sleep(MINUTE + 0.05)
    rates.take([limit], uuid.uuid4(), 90)
    rates.end(late, 10)
    assert counted(valkey, limit)["t"] == 90


# -- at the same moment --------------------------------------------------------------------------


def test_so_many_at_once_and_a_place_is_free_when_one_has_ended(patient: Rates) -> None:
    limit = rate(parallel=2)
    first, _ = (patient.take([limit], uuid.uuid4(), 5) for _ in range(2))
    refused = refusal(patient, [limit])
    assert (refused.pace, refused.retry_after) == (Pace.PARALLEL, 1.0)
    assert refused.message == "The project's limit of 2 prompts at once is reached. Try again when one has ended."
    patient.end(first, 5)
    patient.end(first, 5)
    patient.take([limit], uuid.uuid4(), 5)
    refusal(patient, [limit])


def test_a_process_that_is_killed_frees_its_places(
    rates: Rates, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complaint 3: what a crash leaves behind frees itself."""
    limit, killed = rate(parallel=1), Rates(valkey, MINUTE, LEASE)
    monkeypatch.setattr(killed, "renew", lambda: None)
    killed.take([limit], uuid.uuid4(), 0)
    assert refusal(rates, [limit]).pace is Pace.PARALLEL
    time.sleep(LEASE)
    rates.take([limit], uuid.uuid4(), 0)


def test_a_prompt_that_runs_long_keeps_its_place(rates: Rates, valkey: redis.Redis) -> None:
    limit, other = rate(parallel=1), Rates(valkey, MINUTE, 5)
    slow = Rates(valkey, MINUTE, 2.0)
    running = slow.take([limit], uuid.uuid4(), 0)
    time.sleep(2.3)
    assert refusal(other, [limit]).pace is Pace.PARALLEL
    slow.end(running, 0)
    other.take([limit], uuid.uuid4(), 0)


def test_what_another_process_began_keeps_its_place_with_the_one_that_goes_on(
    patient: Rates, valkey: redis.Redis
) -> None:
    limit, call = rate(requests=1, parallel=1), uuid.uuid4()
    patient.take([limit], call, 100)
    other = Rates(valkey)
    gone_on = other.go_on([limit], call)
    assert counted(valkey, limit) == {"r": 1, "t": 100, "running": 1}
    other.end(gone_on, 40)
    assert counted(valkey, limit)["running"] == 0
    assert other.go_on([], call) is None


# -- all or nothing ------------------------------------------------------------------------------


def test_when_one_limit_refuses_nothing_is_counted_in_any(patient: Rates, valkey: redis.Redis) -> None:
    free, full = rate(requests=10, tokens=1_000, parallel=5), rate(parallel=1)
    patient.take([full], uuid.uuid4(), 0)
    assert refusal(patient, [free, full], 100).rate == full
    assert refusal(patient, [full, free], 100).rate == full
    assert counted(valkey, free) == {"r": 0, "t": 0, "running": 0}
    assert counted(valkey, full)["running"] == 1


def test_of_several_that_refuse_the_one_to_wait_for_longest_is_told(patient: Rates) -> None:
    parallel, requests, hopeless = rate(parallel=1), rate(requests=1), rate(tokens=10)
    patient.take([parallel, requests], uuid.uuid4(), 20)
    assert refusal(patient, [parallel, requests], 20).rate == requests
    assert refusal(patient, [requests, hopeless, parallel], 20).rate == hopeless


def test_many_at_once_never_pass_the_limit(patient: Rates) -> None:
    limit, passed, gate = rate(tokens=1_000), list[int](), threading.Barrier(20)

    def ask() -> None:
        gate.wait()
        for _ in range(10):
            try:
                patient.take([limit], uuid.uuid4(), 30)
                passed.append(1)
            except RateExceeded:
                pass

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 33


# -- Valkey is away, or empty --------------------------------------------------------------------


def test_without_an_answer_nothing_is_let_through_and_without_a_rate_nobody_asks() -> None:
    away = Rates(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
    with pytest.raises(RatesUnknown, match="Valkey does not answer"):
        away.take([rate(requests=100)], uuid.uuid4(), 0)
    began = time.monotonic()
    for _ in range(50):  # for a moment it is not asked again
        with pytest.raises(RatesUnknown):
            away.take([rate(requests=100)], uuid.uuid4(), 0)
    assert time.monotonic() - began < 0.2
    assert away.take([], uuid.uuid4(), 0) is None
    assert away.go_on([], uuid.uuid4()) is None
    away.end(None, 10)


def test_a_valkey_that_hangs_is_not_waited_for(valkey: redis.Redis) -> None:
    hasty = Rates(within(0.1, valkey))
    limit = rate(requests=5)
    running = hasty.take([limit], uuid.uuid4(), 0)
    valkey.client_pause(400)
    with pytest.raises(RatesUnknown):
        hasty.take([limit], uuid.uuid4(), 0)
    hasty.end(running, 10)  # an end is never refused
    wait_until(lambda: valkey.ping())


def test_an_empty_valkey_begins_anew_and_an_end_of_before_takes_nothing_off(
    patient: Rates, valkey: redis.Redis
) -> None:
    """Complaint 2: counters that are sown anew are not inflated, and never below nothing."""
    limit = rate(requests=2, tokens=100, parallel=2)
    before = patient.take([limit], uuid.uuid4(), 80)
    valkey.delete(f"{PREFIX}{limit.id.hex}:minute", f"{PREFIX}{limit.id.hex}:leases")
    patient.end(before, 10)
    patient.renew()
    assert counted(valkey, limit) == {"r": 0, "t": 0, "running": 0}


def test_what_runs_keeps_its_place_when_valkey_was_emptied(patient: Rates, valkey: redis.Redis) -> None:
    limit, other = rate(parallel=1), rate(requests=5)
    running = patient.take([limit, other], uuid.uuid4(), 0)
    valkey.delete(f"{PREFIX}{limit.id.hex}:leases")
    patient.renew()
    refusal(patient, [limit])
    assert counted(valkey, other)["running"] == 0, "it says nothing of how many run at once"
    patient.end(running, 0)
    patient.renew()
    assert counted(valkey, limit)["running"] == 0


def test_one_that_ends_while_it_is_renewed_leaves_no_place_taken(
    patient: Rates, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = rate(parallel=1)
    running = patient.take([limit], uuid.uuid4(), 0)
    renew = patient._renew

    def late(*arguments: object) -> None:
        patient.end(running, 0)
        renew(*arguments)

    monkeypatch.setattr(patient, "_renew", late)
    patient.renew()
    assert counted(valkey, limit)["running"] == 0


def test_a_call_that_was_counted_without_an_answer_frees_its_place(
    patient: Rates, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Valkey hangs, and does what it was asked once it wakes."""
    limit, take = rate(requests=5, parallel=1), patient._take

    def unheard(*arguments: object) -> None:
        take(*arguments)
        raise redis.TimeoutError

    monkeypatch.setattr(patient, "_take", unheard)
    with pytest.raises(RatesUnknown):
        patient.take([limit], uuid.uuid4(), 0)
    assert counted(valkey, limit) == {"r": 1, "t": 0, "running": 1}
    patient._asked_again_at = 0
    patient.renew()
    assert counted(valkey, limit) == {"r": 1, "t": 0, "running": 0}, "of the minute nobody knows whether it was counted"


def test_what_is_kept_goes_by_itself(rates: Rates, valkey: redis.Redis) -> None:
    limit = rate(requests=5, tokens=5, parallel=5)
    rates.end(rates.take([limit], uuid.uuid4(), 1), 1)
    assert counted(valkey, limit)["r"] == 1
    wait_until(lambda: not valkey.exists(f"{PREFIX}{limit.id.hex}:minute"))
