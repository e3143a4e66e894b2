"""The trojan account: moved to a victim's address by its owner, who takes it back when there is something in it."""

import re

import pytest

from accounts.identity import contests, erasure
from accounts.identity.status import StatusRefused
from accounts.models import AuditEvent, Session, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, link_in, outcome, post
from tests.fixtures import issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
MALLORY, VICTIM = "mallory@evil.example", "ada@example.com"


@pytest.fixture
def account(make_user):
    return make_user(MALLORY, password=PASSWORD, display_name="Your bank")


@pytest.fixture
def mails(public, account):
    """The two mails about the change: to the victim's address, and to Mallory's."""
    client = public.with_token(issue_access_token(account))
    assert post(client, "change-email", new_email=VICTIM).status_code == 202
    return {message.to[0]: message for _ in range(2) for message in deliver_mails()}


@pytest.fixture
def shop(internal, service_key):
    return internal.with_key(service_key("shop"))


def keyed(shop, path, user, **body):
    body = {"user_id": str(user.pk), **body}
    return shop.post(path, body, headers={"Idempotency-Key": path + str(body)})


def reset_link(public):
    post(public, "password-reset-request", email=VICTIM)
    return next(link_in(one) for one in deliver_mails() if "password-reset?token=" in one.body)


def take_over(public, mails, *, resets=True):
    """The victim confirms and, as one does who knows no password, chooses one."""
    assert post(public, "confirm-email-change", token=link_in(mails[VICTIM])).status_code == 200
    deliver_mails()
    if resets:
        answer = post(public, "password-reset", token=reset_link(public), new_password=OTHER_PASSWORD)
        assert answer.status_code == 204
        deliver_mails()


def undo(public, mails):
    answer = post(public, "undo-email-change", token=link_in(mails[MALLORY]))
    assert answer.status_code == 200, answer.content
    return deliver_mails()


def test_the_undo_wins_at_once_and_nothing_is_spent(public, shop, account, mails):
    take_over(public, mails)
    assert (
        keyed(
            shop, "/v1/credits/add", account, amount=100, type="purchase", reference="app-store-1"
        ).status_code
        == 201
    )
    assert post(public, "login", email=VICTIM, password=OTHER_PASSWORD).status_code == 200
    (message,) = undo(public, mails)
    assert message.to == [MALLORY]
    assert "nothing can be spent or bought" in " ".join(str(message.body).split())
    account.refresh_from_db()
    assert (account.email, account.has_usable_password()) == (MALLORY, False)
    assert not Session.objects.unended().exists()
    spend = {"amount": 1, "description": "x"}
    assert outcome(keyed(shop, "/v1/credits/use", account, **spend)) == (403, "account_contested")
    hold = keyed(shop, "/v1/credits/holds", account, amount=1, expires_in=60)
    assert outcome(hold) == (403, "account_contested")
    balance = shop.get("/v1/credits/balance", {"user_id": str(account.pk)}).json()
    assert (balance["balance"], balance["blocked"]) == (100, ["contested"])
    bought = keyed(shop, "/v1/billing/setup-intents", account)
    assert outcome(bought) == (403, "account_contested")
    assert AuditEvent.objects.filter(type="account_contested", user=account).count() == 1


def test_until_staff_have_decided(public, shop, account, mails):
    take_over(public, mails)
    keyed(shop, "/v1/credits/add", account, amount=100, type="purchase", reference="app-store-1")
    undo(public, mails)
    for reason in ("", " ", "x" * 501):
        with pytest.raises(StatusRefused):
            contests.settle(user_id=account.pk, reason=reason, actor="staff 1")
    contests.settle(user_id=account.pk, reason="refunded", actor="staff 1")
    assert keyed(shop, "/v1/credits/use", account, amount=1).status_code == 201
    account.refresh_from_db()
    assert account.contested_at is None
    with pytest.raises(StatusRefused):
        contests.settle(user_id=account.pk, reason="again", actor="staff 1")


def test_without_a_reset_nobody_contests(public, shop, account, mails):
    """The owner whose session a thief had: the undo is all there is to it."""
    take_over(public, mails, resets=False)
    keyed(shop, "/v1/credits/add", account, amount=100, type="purchase", reference="app-store-1")
    (message,) = undo(public, mails)
    assert "nothing can be spent" not in " ".join(str(message.body).split())
    assert keyed(shop, "/v1/credits/use", account, amount=1).status_code == 201


def test_a_reset_before_the_change_is_the_owners(public, account, shop):
    post(public, "password-reset-request", email=MALLORY)
    (message,) = deliver_mails()
    post(public, "password-reset", token=link_in(message), new_password=PASSWORD)
    deliver_mails()
    account.refresh_from_db()
    client = public.with_token(issue_access_token(account))
    post(client, "change-email", new_email=VICTIM)
    sent = {one.to[0]: one for _ in range(2) for one in deliver_mails()}
    post(public, "confirm-email-change", token=link_in(sent[VICTIM]))
    deliver_mails()
    undo(public, sent)
    assert User.objects.get(pk=account.pk).contested_at is None


def test_other_reasons_stay_when_it_is_settled(public, shop, account, mails):
    take_over(public, mails)
    undo(public, mails)
    User.objects.filter(pk=account.pk).update(status="pending_deletion")
    contests.settle(user_id=account.pk, reason="decided", actor="staff 1")
    assert outcome(keyed(shop, "/v1/billing/setup-intents", account))[0] in {403, 404}


def test_an_erased_account_is_not_contested(public, account, mails):
    take_over(public, mails)
    undo(public, mails)
    User.objects.filter(pk=account.pk).update(status="pending_deletion", deletes_at="2026-01-01T00:00:00Z")
    assert erasure.erase_due() == 1
    assert User.objects.get(pk=account.pk).contested_at is None


class TestWords:
    """Show whose account a link is about: its address, masked, and nothing that anybody typed as a name."""

    def test_the_mail_that_asks_to_confirm(self, mails):
        body = " ".join(str(mails[VICTIM].body).split())
        assert "Someone with the account m***@e***.example" in body
        assert "For 7 days the address m***@e***.example can take the account back" in body
        assert "Wasn't you?" in body
        assert "bank" not in body

    def test_its_page(self, public, mails):
        token = link_in(mails[VICTIM])
        shown = public.get(f"/v1/auth/confirm-email-change?token={token}").content.decode()
        assert re.search("m\\*{3}@e\\*{3}.example</strong>. For 7 days", shown)
        assert "bank" not in shown
        undo_token = link_in(mails[MALLORY])
        for other in ("", "x", undo_token):
            page = ListenerClient("public").get(f"/v1/auth/confirm-email-change?token={other}")
            assert (page.status_code, "***" in page.content.decode()) == (200, False)

    def test_the_page_of_a_reset(self, public, mails):
        take_over(public, mails, resets=False)
        token = reset_link(public)
        shown = public.get(f"/v1/auth/password-reset?token={token}").content.decode()
        assert "a***@e***.com" in shown
        assert "its previous address, <strong>m***@e***.example</strong>, can take it back" in shown
        assert "Not your account?" in shown
        assert "bank" not in shown
        assert post(public, "password-reset", token=token, new_password=OTHER_PASSWORD).status_code == 204

    def test_the_page_of_a_reset_of_an_account_that_was_never_moved(self, public, account):
        post(public, "password-reset-request", email=MALLORY)
        (message,) = deliver_mails()
        shown = public.get(f"/v1/auth/password-reset?token={link_in(message)}").content.decode()
        assert "m***@e***.example" in shown
        assert "take it back" not in shown
