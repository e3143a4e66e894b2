"""The admin's server time with a million users and five million transactions.

Measured in process, on the admin's own application: this file is also the program that does it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import many_users  # noqa: E402
from figures import Figure  # noqa: E402
from runs import Size  # noqa: E402

ROUNDS = 5
MUST_MS = 300
LISTS = "/admin/accounts"
BILLING = "/admin/billing"
# Narrowed lists beside the plain ones of every model: what filters and searches cost.
NARROWED = (
    f"{LISTS}/user/?status__exact=suspended",
    f"{LISTS}/user/?email_verified_at__isempty=1",
    f"{LISTS}/user/?is_staff__exact=1",
    f"{LISTS}/user/?q=example.com",
    f"{LISTS}/user/?q=5f2a8b",
    f"{LISTS}/user/?q=nobody.has.this@",
    f"{LISTS}/user/?q=Person",
    f"{LISTS}/user/?q=ab",
    f"{LISTS}/user/?q=00000000-0000-4000-8001-00000000a",
    f"{LISTS}/user/?p=100",
    f"{LISTS}/session/?end_reason=refresh_reuse",
    f"{LISTS}/session/?ended_at__isempty=1",
    f"{LISTS}/session/?q=5f2a8b",
    f"{LISTS}/outboxmessage/?ended=dead",
    f"{LISTS}/outboxmessage/?ended=waiting",
    f"{LISTS}/outboxmessage/?kind=password_changed",
    f"{LISTS}/auditevent/?type=suspended",
    f"{LISTS}/auditevent/?type=sign_in_failed",
    f"{LISTS}/auditevent/?q=5f2a8b",
    f"{LISTS}/mailtoken/?purpose__exact=password_reset",
    "/admin/credits/usercredit/?debt=1",
    "/admin/credits/usercredit/?q=5f2a8b",
    "/admin/credits/grant/?source__exact=subscription",
    "/admin/credits/grant/?source__exact=purchase",
    "/admin/credits/hold/?status__exact=open",
    "/admin/credits/credittransaction/?type__exact=bonus",
    "/admin/credits/credittransaction/?service=shop",
    "/admin/credits/credittransaction/?q=5f2a8b",
    "/admin/credits/credittransaction/?q=example.com",
    f"{BILLING}/payment/?kind__exact=trial",
    f"{BILLING}/payment/?kind__exact=proration",
    f"{BILLING}/payment/?currency=jpy",
    f"{BILLING}/payment/?currency=eur",
    f"{BILLING}/payment/?plan__id__exact=1",
    f"{BILLING}/payment/?p=100",
    f"{BILLING}/payment/?q=5f2a8b",
    f"{BILLING}/payment/?q=example.com",
    f"{BILLING}/payment/?q=pi_1010",
    f"{BILLING}/payment/?q=sub_1010",
    f"{BILLING}/billingaccount/?status__exact=frozen",
    f"{BILLING}/billingaccount/?status__exact=active",
    f"{BILLING}/billingaccount/?cancel_at_period_end__exact=1",
    f"{BILLING}/billingaccount/?plan__id__exact=1",
    f"{BILLING}/billingaccount/?q=5f2a8b",
    f"{BILLING}/billingaccount/?q=sub_1010",
    f"{BILLING}/inboxevent/?dead_at__isempty=0",
    f"{BILLING}/inboxevent/?done_at__isempty=1",
    f"{BILLING}/inboxevent/?type=charge.dispute.created",
    f"{BILLING}/inboxevent/?type=invoice.paid",
    f"{BILLING}/inboxevent/?q=cus_1010",
    f"{BILLING}/inboxevent/?q=evt_1010",
    f"{BILLING}/customerchange/?dead_at__isempty=0",
    f"{BILLING}/customerchange/?kind__exact=email",
    f"{BILLING}/customerchange/?q=5f2a8b",
)


def admin(size: Size) -> Iterator[Figure]:
    """Every list, page, filter and search of the admin with users and transactions by the million."""
    many_users.make(size.rows)
    environment = {**os.environ, "DATABASE_URL": many_users.url(), "LISTENER": "admin"}
    answer = subprocess.run(
        [sys.executable, __file__], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    for page, milliseconds in json.loads(answer.stdout.splitlines()[-1]).items():
        yield Figure(name=page, unit="ms", samples=milliseconds, must=MUST_MS, aim=100, less_is_better=True)


def main() -> None:
    import django

    django.setup()
    from accounts.upkeep import days
    from credits import days as credit_days

    days.summarize()
    credit_days.summarize()
    credit_days.rank_users()
    client = _signed_in()
    print(json.dumps({page: _milliseconds(client, page) for page in _pages()}))


def _signed_in() -> Any:
    from accounts.models import User
    from tests.fixtures import staff_session

    boss = User.objects.filter(is_superuser=True).first() or User.objects.create_superuser(
        "boss@bench.example"
    )
    return staff_session(boss)


def _pages() -> list[str]:
    from django.contrib import admin as pages

    from accounts.admin.site import load_pages
    from accounts.models import Session

    session = Session.objects.select_related("user").order_by("-created_at")[1000]
    user = session.user
    load_pages()
    lists = [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in pages.site._registry]
    own = [
        f"/admin/accounts/user/{user.pk}/change/",
        f"/admin/accounts/user/{user.pk}/suspend",
        f"/admin/accounts/session/{session.pk}/change/",
        f"/admin/credits/usercredit/{user.pk}/change/",
        f"/admin/credits/credittransaction/?user={user.pk}",
        f"/admin/billing/billingaccount/{user.pk}/change/",
    ]
    return ["/admin/", *own, *sorted(lists), *NARROWED]


def _milliseconds(client: Any, page: str) -> list[float]:
    """Return those of the answers after a first one that warms the caches."""
    taken = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        answer = client.get(page, HTTP_HOST="localhost")
        taken.append(round((time.perf_counter() - started) * 1000, 1))
        if answer.status_code != 200:
            raise SystemExit(f"{page}: {answer.status_code}")
    return taken[1:]


if __name__ == "__main__":
    main()
