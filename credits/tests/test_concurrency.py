"""Many at once, on real connections: nothing is spent twice, nothing is lost, a repeat is always the first answer."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from accounts.kit.problems import Problem
from accounts.models import User
from credits import ledger
from credits.ledger import operations, verify
from credits.ledger.batch import Step, perform_all
from credits.ledger.calls import Call, request_bytes
from credits.models import CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(jobs, *, workers=16):
    """Run the jobs in threads, each closing its connection; a refusal comes back as its code."""

    def run(job):
        try:
            return job()
        except Problem as problem:
            return problem.default_code
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as threads:
        return list(threads.map(run, jobs))


def keyed(key, operation="use"):
    return Call(service="shop", key=key, request=request_bytes(operation, fields=None))


@pytest.fixture
def user():
    user = User.objects.create_user("person@example.test")
    yield user
    assert not any(checked.findings for checked in verify.verify_all())


def test_200_spends_of_1_on_a_balance_of_100(user):
    ledger.add(user_id=user.pk, amount=100, call=keyed("add"))

    results = at_once(
        [lambda n=n: ledger.use(user_id=user.pk, amount=1, call=keyed(f"use-{n}")).amount for n in range(200)]
    )

    assert (results.count(-1), results.count("insufficient_credits")) == (100, 100)
    assert UserCredit.objects.get(pk=user.pk).balance == 0


def test_60_twins_of_one_key_spend_once_and_get_one_answer(user):
    ledger.add(user_id=user.pk, amount=30, call=keyed("add"))

    rows = at_once([lambda: ledger.use(user_id=user.pk, amount=30, call=keyed("twin"))] * 60)

    assert len({row.pk for row in rows}) == 1
    assert sum(not row.replayed for row in rows) == 1
    assert UserCredit.objects.get(pk=user.pk).balance == 0


def test_a_first_grant_from_20_sides_makes_one_balance_row(user):
    at_once([lambda n=n: ledger.add(user_id=user.pk, amount=1, call=keyed(f"add-{n}")) for n in range(20)])

    assert UserCredit.objects.get(pk=user.pk).balance == 20


def test_a_hold_captured_and_released_20_times_at_once_settles_once(user):
    ledger.add(user_id=user.pk, amount=100, call=keyed("add"))
    hold = ledger.hold(user_id=user.pk, amount=40, lifetime=timedelta(hours=1), call=keyed("hold")).pk

    captures = [
        lambda n=n: ledger.capture(hold_id=hold, amount=30, call=keyed(f"c{n}")).type for n in range(10)
    ]
    releases = [lambda n=n: ledger.release(hold_id=hold, call=keyed(f"r{n}")).type for n in range(10)]
    results = at_once(captures + releases)

    assert results.count("hold_not_open") == 19
    assert UserCredit.objects.get(pk=user.pk).held == 0


def test_refunds_of_one_use_from_12_clients_never_exceed_it(user):
    ledger.add(user_id=user.pk, amount=100, call=keyed("add"))
    use = ledger.use(user_id=user.pk, amount=100, call=keyed("use")).pk

    results = at_once(
        [
            lambda n=n: ledger.refund(transaction_id=use, amount=10, call=keyed(f"f{n}")).amount
            for n in range(12)
        ]
    )

    assert (results.count(10), results.count("refund_exceeds_use")) == (10, 2)
    assert UserCredit.objects.get(pk=user.pk).balance == 100


def test_a_random_crowd_on_few_users_leaves_what_their_answers_say():
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    users = [User.objects.create_user(f"crowd{n}@example.test").pk for n in range(5)]
    for user_id in users:
        ledger.add(user_id=user_id, amount=50, call=keyed("first"))
    jobs = [crowd_job(dice, users, number) for number in range(400)]

    results = at_once(jobs)

    tallies = dict.fromkeys(users, 50)
    seen = set()
    for row in results:
        if isinstance(row, CreditTransaction) and row.pk not in seen:
            seen.add(row.pk)
            tallies[row.holder_id] += row.amount
    balances = dict(UserCredit.objects.values_list("holder_id", "balance"))
    assert balances == tallies, f"seed {seed}"
    assert not any(checked.findings for checked in verify.verify_all()), f"seed {seed}"
    assert "service_unavailable" not in results, f"seed {seed}"


def crowd_job(dice, users, number):
    """An add or a use, one in three under a key that another job has too."""
    user_id, amount, giving = dice.choice(users), dice.randint(1, 9), dice.random() < 0.4
    key = f"{giving}-{amount}-{dice.randrange(10)}" if dice.random() < 0.33 else f"own-{number}"
    verb = ledger.add if giving else ledger.use
    return lambda: verb(user_id=user_id, amount=amount, call=keyed(key, operation=f"{giving}{amount}"))


def test_batches_beside_one_another_and_beside_single_calls_lose_nothing():
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    users = [User.objects.create_user(f"batched{n}@example.test").pk for n in range(6)]
    for user_id in users:
        ledger.add(user_id=user_id, amount=400, call=keyed("first"))
    jobs = [batch_job(dice, users, number) for number in range(24)]
    jobs += [single_job(dice, users, number) for number in range(150)]
    dice.shuffle(jobs)

    results = [row for rows in at_once(jobs) for row in rows]

    assert "service_unavailable" not in results, f"seed {seed}"
    posted = {row.pk: row for row in results if isinstance(row, CreditTransaction)}
    tallies = dict.fromkeys(users, (400, 0))
    for row in posted.values():
        balance, held = tallies[row.holder_id]
        tallies[row.holder_id] = balance + row.amount, held + (3 if row.type == "hold" else 0)
    found = {
        user_id: tuple(rest)
        for user_id, *rest in UserCredit.objects.values_list("holder_id", "balance", "held")
    }
    assert found == tallies, f"seed {seed}"
    assert CreditTransaction.objects.exclude(key="first").count() == len(posted), f"seed {seed}"
    assert not any(checked.findings for checked in verify.verify_all()), f"seed {seed}"


def batch_job(dice, users, number):
    """Use credits of all users in any order; one in ten has a key that other batches have, and some are too large."""
    steps = []
    for place in range(40):
        amount = dice.choice([1, 1, 1, 2, 5, 300])
        key = f"shared {amount} {dice.randrange(9)}" if dice.random() < 0.1 else f"{number} {place}"
        call = keyed(key, operation=f"use {amount}")
        steps.append(Step(dice.choice(users), operations.use(amount=amount, call=call)))
    return lambda: [
        result.default_code if isinstance(result, Problem) else result for result in perform_all(steps)
    ]


def single_job(dice, users, number):
    user_id, call = dice.choice(users), keyed(f"single {number}")
    if dice.random() < 0.3:
        return lambda: [
            attempt(ledger.hold, user_id=user_id, amount=3, lifetime=timedelta(hours=1), call=call)
        ]
    return lambda: [attempt(ledger.use, user_id=user_id, amount=1, call=call)]


def attempt(verb, **fields):
    try:
        return verb(**fields)
    except Problem as problem:
        return problem.default_code
