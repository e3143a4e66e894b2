"""Shows each member of staff, at the top of the admin's first page, what is theirs to see to and nothing else."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import OutboxMessage, User
from accounts.upkeep import staff_roles
from billing.models import InboxEvent, StrangerPayment
from credits.models import AdjustmentRequest, UserCredit
from tests.fixtures import staff_session
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
ROW = re.compile(
    r'<td data-label="Task"[^>]*><a href="([^"]+)">([^<]+)</a></td>'
    r'<td data-label="How many"[^>]*>([^<]+)</td><td data-label="Oldest"[^>]*>([^<]+)</td>'
)


@pytest.fixture
def staff(db: None, make_user: Callable[..., User]) -> Callable[[str], User]:
    staff_roles.sync()

    def make(role: str) -> User:
        person = make_user(f"{role}@staff.example", is_staff=True, is_superuser=role == "superuser")
        person.groups.set(Group.objects.filter(name=role))
        return person

    return make


@pytest.fixture
def trouble(make_user: Callable[..., User]) -> dict[str, str]:
    """Make one of each kind. Returns the words of each, with the roles that see to it."""
    long_ago = timezone.now() - timedelta(hours=3, minutes=12)
    ada = make_user("ada@example.com", contested_at=long_ago)
    UserCredit.objects.filter(pk=ada.pk).update(due_at=long_ago)
    asked = {
        "user": ada,
        "requested_by": make_user("bob@staff.example", is_staff=True),
        "requested_at": long_ago,
    }
    AdjustmentRequest.objects.create(
        id=uuid4(), amount=9, reason="x", decision=AdjustmentRequest.Decision.PENDING, **asked
    )
    OutboxMessage.objects.create(kind="new_device", user=ada, dead_at=long_ago)
    event = {"event_id": "evt_1", "type": "x", "created": long_ago, "livemode": False}
    InboxEvent.objects.create(**event, dead_at=long_ago)
    StrangerPayment.objects.create(id="pi_1", amount=1, currency="eur", paid_at=long_ago, seen_at=long_ago)
    return {
        "Contested accounts to settle": "support",
        "Emails that could not be sent": "support operator",
        "Adjustments to approve": "finance",
        "Balances with an overdue grant or hold": "finance",
        "Payments by unknown customers": "finance",
        "Stripe events that were given up": "operator",
    }


def rows(client: ListenerClient) -> dict[str, tuple[str, str, str]]:
    page = client.get("/admin/").content.decode()
    return {
        words: (link.replace("&amp;", "&"), number, age) for link, words, number, age in ROW.findall(page)
    }


@pytest.mark.parametrize("role", ["support", "finance", "operator"])
def test_each_sees_what_is_theirs_to_see_to(staff, trouble, role) -> None:
    client = staff_session(staff(role))
    shown = rows(client)
    assert set(shown) == {words for words, roles in trouble.items() if role in roles.split()}
    for words, (page, number, age) in shown.items():
        assert (number, age) == ("1", "3 h 12 min"), words
        answer = client.get(page)
        assert answer.status_code == 200, words
        assert answer.context["cl"].result_count == 1, page


def test_a_superuser_sees_all(staff, trouble) -> None:
    assert set(rows(staff_session(staff("superuser")))) == set(trouble)


def test_nobody_is_told_of_their_own_request(staff, trouble) -> None:
    person = staff("finance")
    AdjustmentRequest.objects.update(requested_by=person)
    assert "Adjustments to approve" not in rows(staff_session(person))


def test_a_quiet_day_says_so_and_who_can_do_nothing_has_no_such_list(staff, db) -> None:
    assert "Nothing is waiting for you." in staff_session(staff("support")).get("/admin/").content.decode()
    assert "Waiting for you" not in staff_session(staff("auditor")).get("/admin/").content.decode()


def test_it_stands_first(staff, trouble) -> None:
    page = staff_session(staff("superuser")).get("/admin/").content.decode()
    assert re.findall(r"<h2>([^<]+)</h2>", page)[0] == "Waiting for you"


@pytest.mark.parametrize("path", settings.ADMIN_WAITING)
def test_each_costs_a_few_statements_however_much_there_is(
    staff, trouble, path, django_assert_max_num_queries, rf
) -> None:
    from django.utils.module_loading import import_string

    request = rf.get("/admin/")
    request.user = staff("superuser")
    with django_assert_max_num_queries(3):
        assert list(import_string(path)(request))


BUTTON = re.compile(r'<a class="button" href="([^"]+)">([^<]+)…</a>')


@pytest.mark.parametrize(("role", "may"), [("operator", True), ("finance", False)])
def test_an_event_that_was_given_up_can_be_replayed_from_its_own_page(staff, trouble, role, may) -> None:
    client, event = staff_session(staff(role)), InboxEvent.objects.get()
    page = f"/admin/billing/inboxevent/{event.pk}/"
    offered = BUTTON.findall(client.get(f"{page}change/").content.decode())
    assert offered == ([(f"{page}order/replay/", "Retry")] if may else [])
    InboxEvent.objects.update(dead_at=None)
    assert not BUTTON.findall(client.get(f"{page}change/").content.decode())


@pytest.mark.parametrize(("role", "may"), [("operator", True), ("auditor", False)])
def test_a_mail_that_was_given_up_can_be_sent_again_from_its_own_page(staff, trouble, role, may) -> None:
    client, mail = staff_session(staff(role)), OutboxMessage.objects.get(kind="new_device")
    page = client.get(f"/admin/accounts/outboxmessage/{mail.pk}/change/").content.decode()
    assert ('value="send_again"' in page) == may
    if may:
        action = re.search(r'<form class="buttons" method="post" action="([^"]+)">', page)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        assert action
        assert fields["_selected_action"] == str(mail.pk)
        client.post(action[1], fields, format="multipart")
        mail.refresh_from_db()
        assert mail.dead_at is None
