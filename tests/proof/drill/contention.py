"""F10, F11: everyone wants the same rows at once."""

from collections import Counter

from book import Book
from instance import Instance
from mail_sink import MailSink
from reckoning import Verdict, reckon
from traffic import Traffic, at_once, use

ROUNDS, USES, BALANCE, TWINS = 10, 200, 100, 60
PEOPLE, CALLS = 50, 2000


def one_balance(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Make 200 uses of 1 at once on a balance of 100: exactly half succeed. Then 60 calls with one key: one charge."""
    traffic = Traffic(instance)
    people = instance.people(ROUNDS + 1)
    traffic.give(people, BALANCE)
    for person in people[:ROUNDS]:
        uses = [use(person.id) for _ in range(USES)]
        traffic.at_once(uses)
        seen = Counter(one.answers[0].status for one in uses)
        verdict.require(seen == {201: BALANCE, 402: USES - BALANCE}, f"a round was answered {dict(seen)}")
        left = traffic.caller().get(f"/v1/credits/balance?user_id={person.id}").body["balance"]
        verdict.require(left == 0, f"{left} credits are left")
    _twins(traffic, people[-1].id, verdict)
    reckon(verdict, traffic)


def _twins(traffic: Traffic, user_id: str, verdict: Verdict) -> None:
    twin = use(user_id, 7)
    traffic.operations.append(twin)
    answers = at_once([twin.send] * TWINS, traffic.caller)
    fresh = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
    verdict.require({answer.status for answer in answers} == {201}, "a twin was not answered 201")
    verdict.require(len(fresh) == 1, f"{len(fresh)} of {TWINS} twins were answered as the first")
    verdict.require(len({answer.body["id"] for answer in answers}) == 1, "twins got different answers")
    left = traffic.caller().get(f"/v1/credits/balance?user_id={user_id}").body["balance"]
    verdict.require(left == BALANCE - 7, "twins were charged more than once")


def everything_at_once(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Make 2,000 random calls of every kind with 16 clients on 50 users: no client sees a deadlock."""
    traffic = Traffic(instance)
    people = instance.people(PEOPLE)
    traffic.give(people, 1000)
    book = Book(traffic, [person.id for person in people])
    at_once([book.something] * CALLS, traffic.caller, clients=16)
    answers = [answer for operation in traffic.operations for answer in operation.answers]
    refused = Counter(answer.code for answer in answers if not answer.done)
    verdict.require(not any((answer.status or 500) >= 500 for answer in answers), "calls were not answered")
    verdict.notes.append(f"refused: {dict(refused)}")
    reckon(verdict, traffic)
