"""A refusal under the lock leaves every table as it was, and the connection its prepared statements."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.kit.problems import Problem
from accounts.models import User
from credits import ledger
from credits.errors import AccountFrozen, AccountSuspended, InsufficientCredits
from credits.ledger import states
from credits.ledger.calls import Call, request_bytes
from credits.models import BALANCE_LIMIT, CreditLot, CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db(transaction=True)

FOR_AN_HOUR = timedelta(hours=1)
NEVER_HAD = "a use by someone who never had credits"


def call(key: str | None = None, asked: str = "test") -> Call:
    return Call(service="shop", key=key or str(uuid4()), request=request_bytes(asked, fields=None))


class Scene:
    """A user with 100 credits, a grant that ran out and was not swept, a use of 10, an open hold and a settled one."""

    def __init__(self) -> None:
        self.user = self.someone()
        self.granted = self.add(100)
        self.used = ledger.use(user_id=self.user, amount=10, call=call("used"))
        self.open, self.settled = self.hold(20), self.hold(5)
        ledger.release(hold_id=self.settled, call=call())
        self.run_out()
        self.newcomer = self.someone()

    def someone(self) -> UUID:
        user: User = User.objects.create_user(f"{uuid4().hex}@example.test")
        return UUID(str(user.pk))

    def add(self, amount: int, **limits: Any) -> CreditTransaction:
        return ledger.add(user_id=self.user, amount=amount, call=call(), **limits)

    def hold(self, amount: int) -> UUID:
        placed = ledger.hold(user_id=self.user, amount=amount, lifetime=FOR_AN_HOUR, call=call())
        return UUID(str(placed.pk))

    def run_out(self) -> None:
        """Give 7 credits whose time has come though nothing has posted it yet."""
        lot = CreditLot.objects.get(transaction_id=self.add(7, expires_at=timezone.now() + FOR_AN_HOUR).pk)
        past = lot.created_at + timedelta(microseconds=1)
        CreditLot.objects.filter(pk=lot.pk).update(expires_at=past)
        UserCredit.objects.filter(pk=self.user).update(due_at=past)

    def use(self, amount: int | None, user: UUID | None = None, key: str | None = None) -> None:
        ledger.use(user_id=user or self.user, amount=amount, call=call(key, "another request"))


Refused = Callable[[Scene], object]
REFUSALS: dict[str, tuple[str, Refused]] = {
    "a use of more than there is": ("insufficient_credits", lambda scene: scene.use(1000)),
    "a use of a feature without a price": ("feature_not_found", lambda scene: scene.use(None)),
    "a use by someone unknown": ("user_not_found", lambda scene: scene.use(1, uuid4())),
    NEVER_HAD: ("insufficient_credits", lambda scene: scene.use(1, scene.newcomer)),
    "a key of another request": ("idempotency_key_reused", lambda scene: scene.use(1, key="used")),
    "a hold of more than there is": ("insufficient_credits", lambda scene: scene.hold(1000)),
    "a capture of more than is held": (
        "capture_exceeds_hold", lambda scene: ledger.capture(hold_id=scene.open, amount=21, call=call())),
    "a capture of a settled hold": (
        "hold_not_open", lambda scene: ledger.capture(hold_id=scene.settled, amount=1, call=call())),
    "a release of a settled hold": (
        "hold_not_open", lambda scene: ledger.release(hold_id=scene.settled, call=call())),
    "a refund of more than was used": (
        "refund_exceeds_use",
        lambda scene: ledger.refund(transaction_id=scene.used.pk, amount=11, call=call())),
    "a refund of a grant": (
        "transaction_not_refundable",
        lambda scene: ledger.refund(transaction_id=scene.granted.pk, amount=1, call=call())),
    "a chargeback of a grant that there is not": (
        "transaction_not_found",
        lambda scene: ledger.charge_back(
            user_id=scene.user, granted_by=uuid4(), amount=1, call=call())),
    "a grant beyond the largest balance": ("balance_limit", lambda scene: scene.add(BALANCE_LIMIT)),
    "a grant that has run out": ("validation_error", lambda scene: scene.add(1, expires_at=timezone.now())),
    "an adjustment below nothing": (
        "insufficient_credits", lambda scene: ledger.adjust(user_id=scene.user, amount=-1000, call=call())),
}  # fmt: skip


def tables() -> dict[str, list[str]]:
    """Return every row of every table of accounts and credits."""
    names = [
        name for name in connection.introspection.table_names() if name.startswith(("accounts_", "credits_"))
    ]
    with connection.cursor() as cursor:
        found = {}
        for name in names:
            cursor.execute(f'SELECT "row"::text FROM "{name}" AS "row" ORDER BY 1')
            found[name] = [text for (text,) in cursor.fetchall()]
    return found


def prepared() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements")
        return {name for (name,) in cursor.fetchall()}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_refusal_changes_no_row_of_any_table(scene: Scene) -> None:
    before = tables()
    for name, (code, refused) in REFUSALS.items():
        with pytest.raises(Problem) as refusal:
            refused(scene)
        assert refusal.value.default_code == code, name
        assert tables() == before, name


@pytest.mark.parametrize(("reason", "problem"), [("suspended", AccountSuspended), ("dispute", AccountFrozen)])
def test_so_does_one_because_of_a_block(scene: Scene, reason: str, problem: type[Problem]) -> None:
    states.block(user_id=scene.user, reason=reason)
    before = tables()
    for refused in (scene.use, scene.hold):
        with pytest.raises(problem):
            refused(1)
    assert tables() == before


@pytest.mark.own_session
def test_prepared_statements_survive_a_refusal(scene: Scene) -> None:
    """But for the refusal of someone who never had credits: the row that its lock makes is rolled back."""
    for _ in range(8):
        scene.use(1)
    for name in REFUSALS.keys() - {NEVER_HAD}:
        before = prepared()
        with pytest.raises(Problem):
            REFUSALS[name][1](scene)
        assert before, name
        assert before <= prepared(), name


def test_a_user_who_was_refused_spends_as_before(scene: Scene) -> None:
    with pytest.raises(Problem):
        scene.use(1000)
    scene.use(70)
    assert UserCredit.objects.get(pk=scene.user).available == 0


def test_a_refusal_under_the_lock_looks_at_no_grant_while_nothing_is_due() -> None:
    user = somebody_with(10)
    with CaptureQueriesContext(connection) as captured, pytest.raises(InsufficientCredits):
        ledger.adjust(user_id=user, amount=-11, call=call())
    assert [one["sql"] for one in captured if "credits_creditlot" in one["sql"]] == []


def test_a_use_of_more_than_there_is_takes_no_lock() -> None:
    user = somebody_with(10)
    with CaptureQueriesContext(connection) as captured, pytest.raises(InsufficientCredits) as refusal:
        ledger.use(user_id=user, amount=11, call=call())
    assert len(captured) == 2
    assert refusal.value.extra == {"available": 10, "required": 11}


def test_a_repeat_is_answered_though_there_is_too_little_by_now() -> None:
    user = somebody_with(10)
    first = ledger.use(user_id=user, amount=7, call=call("once"))
    again = ledger.use(user_id=user, amount=7, call=call("once"))
    assert (again.pk, again.replayed) == (first.pk, True)


def test_what_a_hold_gives_back_by_itself_can_be_used_at_once() -> None:
    user = somebody_with(10)
    placed = ledger.hold(user_id=user, amount=5, lifetime=FOR_AN_HOUR, call=call())
    past = placed.at + timedelta(microseconds=1)
    CreditLot.objects.filter(transaction_id=placed.pk).update(expires_at=past)
    UserCredit.objects.filter(pk=user).update(due_at=past)
    assert ledger.use(user_id=user, amount=9, call=call()).balance == 1


def somebody_with(amount: int) -> UUID:
    """Return a user with one grant of credits, which will run out."""
    user = UUID(str(User.objects.create_user("frugal@example.test").pk))
    ledger.add(user_id=user, amount=amount, call=call(), expires_at=timezone.now() + FOR_AN_HOUR)
    return user
