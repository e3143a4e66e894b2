"""Credits in the admin: what staff see, what they may do by permission, and that no form of it rewrites the ledger."""

import uuid
from datetime import timedelta

import pytest
from django.contrib import admin
from django.utils import timezone

from accounts.models import AuditEvent, User
from credits import adjustments, days, ledger
from credits.ledger import shards
from credits.models import (
    AdjustmentRequest,
    CreditLot,
    CreditTransaction,
    FeaturePrice,
    Grant,
    Hold,
    UserCredit,
)
from credits.tests.admin_pages import C, hidden, page, post, signed_in, staff
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def boss():
    return User.objects.create_user("boss@example.test", is_staff=True, is_superuser=True)


@pytest.fixture
def site(boss):
    return signed_in(boss)


@pytest.fixture
def rich(person, call):
    """Someone with two grants, a use and an open hold of `shop`."""
    ledger.add(user_id=person.pk, amount=100, call=call(), expires_at=timezone.now() + timedelta(days=3))
    ledger.add(user_id=person.pk, amount=500, call=call(), type="purchase")
    ledger.use(user_id=person.pk, amount=30, call=call(description=SCRIPT, reference="order-7"))
    ledger.hold(user_id=person.pk, amount=40, lifetime=timedelta(hours=1), call=call())
    return person


def listed(user):
    """Return what the lists call them: by the address, or by the id where they are on other servers than users are."""
    return str(user.pk) if shards.is_distributed() else user.email


def balance_page(user):
    return f"{C}/usercredit/{user.pk}/change/"


def ledger_rows():
    models = (UserCredit, CreditLot, CreditTransaction)
    return [list(model.objects.order_by("pk").values()) for model in models]


class TestLedger:
    def test_no_form_changes_it(self, site, rich):
        before = ledger_rows()
        for model in (UserCredit, Grant, Hold, CreditTransaction, AdjustmentRequest):
            base = f"{C}/{model._meta.model_name}"
            row = model.objects.first()
            pk = row.pk if row else uuid.uuid4()
            for path in (f"{base}/add/", f"{base}/{pk}/change/", f"{base}/{pk}/delete/"):
                answer = post(
                    site,
                    path,
                    {"balance": "1", "amount": "1", "remaining": "1", "issued": "1", "post": "yes"},
                )
                assert answer.status_code in {403, 404}, path
            answer = post(
                site, f"{base}/", {"action": "delete_selected", "_selected_action": str(pk), "post": "yes"}
            )
            assert answer.status_code in {200, 302, 403}, base
        assert post(site, f"{C}/creditday/", {"given": "1"}).status_code == 403
        assert ledger_rows() == before

    def test_every_one_of_its_models_is_read_only_for_a_superuser(self, boss, rf):
        request = rf.get("/")
        request.user = boss
        of_credits = [
            (model, site)
            for model, site in admin.site._registry.items()
            if model._meta.app_label == "credits"
        ]
        assert len(of_credits) == 7
        for model, model_admin in of_credits:
            allowed = {
                model_admin.has_add_permission(request),
                model_admin.has_change_permission(request),
                model_admin.has_delete_permission(request),
            }
            assert allowed == {model is FeaturePrice}, model

    def test_its_pages_are_closed_without_permission(self, rich):
        hold = Hold.objects.get(kind="hold")
        clerk = signed_in(staff("clerk@example.test"))
        for path in (
            balance_page(rich),
            f"{C}/usercredit/{rich.pk}/adjust/",
            f"{C}/hold/release/?hold={hold.pk}",
            f"{C}/creditday/",
            f"{C}/credittransaction/",
        ):
            assert clerk.get(path).status_code == 403, path
            assert ListenerClient("admin").get(path).status_code == 302, path

    def test_what_services_wrote_is_inert(self, site, rich):
        for path in (balance_page(rich), f"{C}/credittransaction/"):
            text = page(site, path)
            assert SCRIPT not in text, path
            assert "&lt;script&gt;" in text, path
        use = CreditTransaction.objects.get(type="use")
        assert SCRIPT not in page(site, f"{C}/credittransaction/{use.pk}/change/")

    def test_its_pages_show_no_digest_and_no_salt(self, site, rich):
        use = CreditTransaction.objects.get(type="use")
        text = page(site, f"{C}/credittransaction/{use.pk}/change/")
        assert "order-7" in text
        for name in ("field-salt", "field-hash", "field-digest", "field-text_digest"):
            assert name not in text


class TestSearch:
    @pytest.mark.parametrize("list_", ["usercredit", "credittransaction", "grant"])
    @pytest.mark.parametrize("part", ["person@", "EXAMPLE.TEST", "id"])
    def test_by_any_part_of_address_or_id(self, site, rich, call, list_, part):
        other = User.objects.create_user("elsewhere@other.example", id=uuid.UUID(int=1))
        ledger.add(user_id=other.pk, amount=1, call=call())

        text = page(site, f"{C}/{list_}/?q={str(rich.pk)[:13] if part == 'id' else part}")

        assert listed(rich) in text
        assert listed(other) not in text

    def test_transactions_by_id_and_by_reference(self, site, rich):
        use = CreditTransaction.objects.get(type="use")
        for term in (str(use.pk), "order-7"):
            text = page(site, f"{C}/credittransaction/?q={term}")
            assert "1 result" in text
            assert str(use.pk) in text
        assert "0 results" in page(site, f"{C}/credittransaction/?q=order-")

    @pytest.mark.parametrize(
        ("list_", "type_"), [("credittransaction", "use"), ("grant", "purchase"), ("hold", "hold")]
    )
    def test_by_the_beginning_of_a_transactions_id(self, site, rich, call, list_, type_):
        ledger.hold(user_id=rich.pk, amount=1, lifetime=timedelta(hours=1), call=call())
        made = CreditTransaction.objects.filter(type=type_).order_by("pk")[0]

        for digits in (23, 36):
            text = page(site, f"{C}/{list_}/?q={str(made.pk)[:digits]}")
            assert "1 result" in text
            assert listed(rich) in text

    def test_junk_finds_nothing(self, site, rich):
        for term in ("%25", "'; DROP TABLE x; --", "%F0%9F%92%B8", "0" * 36):
            assert "0 results" in page(site, f"{C}/usercredit/?q={term}"), term


class TestTransactions:
    def test_are_narrowed_by_type_service_and_user(self, site, rich, call):
        other = User.objects.create_user("elsewhere@other.example")
        ledger.add(user_id=other.pk, amount=1, call=call(service="mall"))

        assert "1 result" in page(site, f"{C}/credittransaction/?type__exact=use")
        assert "1 result" in page(site, f"{C}/credittransaction/?service=mall")
        assert "4 results" in page(site, f"{C}/credittransaction/?holder_id={rich.pk}")
        everything = page(site, f"{C}/credittransaction/")
        assert listed(other) in everything
        assert listed(rich) in everything
        assert "Show all" not in everything

    def test_by_day_month_and_year(self, site, rich):
        days.summarize()
        now = timezone.now()
        year, month, day = f"?at__year={now.year}", f"&at__month={now.month}", f"&at__day={now.day}"
        for query in (year, year + month, year + month + day):
            assert "4 results" in page(site, f"{C}/credittransaction/{query}"), query
        assert f"at__month={now.month}" in page(site, f"{C}/credittransaction/{year}")
        assert f"at__day={now.day}" in page(site, f"{C}/credittransaction/{year}{month}")
        assert "0 results" in page(site, f"{C}/credittransaction/?at__year={now.year - 1}")

    @pytest.mark.parametrize(
        "query",
        [
            "at__year=0",
            "at__year=1",
            "at__year=9999",
            "at__year=99999999999999",
            "at__year=2026&at__month=13",
            "at__year=x",
            "p=zz",
        ],
    )
    def test_junk_dates_are_no_server_error(self, site, rich, query):
        assert site.get(f"{C}/credittransaction/?{query}").status_code in {200, 302}


class TestPageOfAUser:
    def test_shows_balance_grants_in_burn_order_holds_and_history(self, site, rich):
        text = page(site, balance_page(rich))

        assert all(f"<dd>{number}</dd>" in text for number in ("570", "40", "530"))
        assert text.index(">Bonus</a>") < text.index(">Purchase</a>")
        assert '<td data-label="Left" class="number">30</td>' in text  # of the bonus: 100 - 30 - 40
        assert '<td data-label="Held" class="number">40</td>' in text
        assert "order-7" not in text
        assert '<path class="plot-line"' in text
        assert "<script" not in text.partition("<figure")[2].partition("</figure>")[0]

    def test_reckons_what_is_due_but_not_posted(self, site, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call(), expires_at=clock.now + timedelta(hours=1))
        clock.advance(hours=2)

        assert "<dd>0</dd>" in page(site, balance_page(person))
        assert CreditTransaction.objects.count() == 1

    def test_shows_debt(self, site, person, call):
        grant = ledger.add(user_id=person.pk, amount=100, call=call())
        ledger.use(user_id=person.pk, amount=70, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=grant.pk, amount=100, call=call())

        text = page(site, balance_page(person))

        assert '<dd class="bad">-70</dd>' in text
        assert '<dd class="bad">70</dd>' in text

    def test_exists_for_who_never_had_credits_and_for_nobody_else(self, site, person):
        assert "None yet." in page(site, balance_page(person))
        assert site.get(f"{C}/usercredit/{uuid.uuid4()}/change/").status_code == 404
        assert site.get(f"{C}/usercredit/junk/change/").status_code == 404

    def test_of_an_erased_user(self, site, rich):
        User.objects.filter(pk=rich.pk).update(status="deleted", email=None, email_verified_at=None)
        text = page(site, balance_page(rich))
        assert str(rich.pk) in text
        assert "Adjust…" not in text
        assert site.get(f"{C}/usercredit/{rich.pk}/adjust/").status_code == 404

    def test_is_linked_from_the_user_and_the_balances(self, site, rich):
        assert balance_page(rich) in page(site, f"/admin/accounts/user/{rich.pk}/change/")
        assert balance_page(rich) in page(site, f"{C}/usercredit/")

    def test_asks_no_more_of_a_longer_history(self, site, rich, call, django_assert_max_num_queries):
        with django_assert_max_num_queries(40) as short:
            page(site, balance_page(rich))
        for _ in range(30):
            ledger.use(user_id=rich.pk, amount=1, call=call())
        with django_assert_max_num_queries(len(short.captured_queries)):
            page(site, balance_page(rich))


class TestAdjusting:
    @pytest.fixture
    def clerk(self):
        return staff("clerk@example.test", "view_usercredit", "adjust_credits")

    def confirm(self, client, user, **fields):
        """The form, then the page that asks. What the second one would send."""
        path = f"{C}/usercredit/{user.pk}/adjust/"
        request_id = hidden(page(client, path), "request_id")
        answer = post(client, path, {"request_id": request_id, **fields})
        return path, answer, {"request_id": request_id, **fields, "confirmed": "yes"}

    def test_asks_before_it_changes_anything(self, rich, clerk):
        client = signed_in(clerk)

        path, asked, confirmed = self.confirm(client, rich, amount="-20", reason=SCRIPT)

        text = asked.content.decode()
        assert "-20 credits?" in text
        assert "<strong>550</strong>" in text
        assert SCRIPT not in text
        assert UserCredit.objects.get(pk=rich.pk).balance == 570
        assert post(client, path, confirmed).headers["Location"] == balance_page(rich)
        row = CreditTransaction.objects.get(type="adjustment")
        assert (row.amount, row.service, row.metadata) == (-20, "admin", {"staff": str(clerk.pk)})
        assert SCRIPT not in page(client, balance_page(rich))

    def test_a_double_click_adjusts_once(self, rich, clerk):
        client = signed_in(clerk)
        path, _, confirmed = self.confirm(client, rich, amount="20", reason="late delivery")

        assert [post(client, path, confirmed).status_code for _ in range(2)] == [302, 302]

        assert UserCredit.objects.get(pk=rich.pk).balance == 590
        assert AdjustmentRequest.objects.count() == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"amount": "0", "reason": "why"},
            {"amount": "5", "reason": "  "},
            {"amount": "5", "reason": "x" * 501},
            {"amount": "1.5", "reason": "why"},
            {"amount": str(10**12 + 1), "reason": "why"},
            {"amount": "5", "reason": "why", "request_id": "junk"},
            {"amount": "-531", "reason": "more than is available"},
        ],
    )
    def test_refuses(self, rich, clerk, fields):
        client = signed_in(clerk)
        before = ledger_rows()
        path, _, confirmed = self.confirm(client, rich, **fields)

        answer = post(client, path, {**confirmed, **fields})

        assert answer.status_code == 200
        assert 'role="alert"' in answer.content.decode() or "request_id" in fields
        assert ledger_rows() == before
        assert not AdjustmentRequest.objects.exists()

    def test_says_before_confirming_that_there_is_not_enough(self, rich, clerk):
        _, asked, _ = self.confirm(signed_in(clerk), rich, amount="-531", reason="why")
        assert "Only 530 are available" in asked.content.decode()

    def test_needs_the_permission(self, rich):
        client = signed_in(staff("reader@example.test", "view_usercredit", "approve_adjustment"))
        path = f"{C}/usercredit/{rich.pk}/adjust/"
        assert "Adjust…" not in page(client, balance_page(rich))
        fields = {"amount": "5", "reason": "why", "request_id": str(uuid.uuid4()), "confirmed": "yes"}
        assert post(client, path, fields).status_code == 403
        assert not AdjustmentRequest.objects.exists()

    def test_needs_the_token_of_the_page(self, rich, clerk):
        fields = {"amount": "5", "reason": "why", "request_id": str(uuid.uuid4()), "confirmed": "yes"}
        answer = signed_in(clerk).post(f"{C}/usercredit/{rich.pk}/adjust/", fields, format="multipart")
        assert answer.status_code == 403
        assert not AdjustmentRequest.objects.exists()

    def test_above_the_limit_it_waits(self, rich, clerk, settings):
        settings.CREDITS_APPROVAL_LIMIT = 10
        client = signed_in(clerk)

        path, asked, confirmed = self.confirm(client, rich, amount="11", reason="why")

        assert "This needs a second approver" in asked.content.decode()
        post(client, path, confirmed)
        assert AdjustmentRequest.objects.get().decision == "pending"
        assert UserCredit.objects.get(pk=rich.pk).balance == 570
        assert "need a second approver" in page(client, balance_page(rich))


class TestDeciding:
    @pytest.fixture
    def clerk(self):
        return staff("clerk@example.test", "view_adjustmentrequest", "adjust_credits", "approve_adjustment")

    @pytest.fixture
    def second(self):
        return staff("second@example.test", "view_adjustmentrequest", "approve_adjustment")

    @pytest.fixture
    def asked(self, person, clerk, settings):
        settings.CREDITS_APPROVAL_LIMIT = 0
        return adjustments.request(
            request_id=uuid.uuid4(), user_id=person.pk, amount=77, reason=SCRIPT, staff_id=clerk.pk
        )

    def decide(self, user, asked, decision):
        return post(signed_in(user), f"{C}/adjustmentrequest/{asked.pk}/decide/", {"decision": decision})

    def test_a_second_person_approves(self, asked, second, person):
        text = page(signed_in(second), f"{C}/adjustmentrequest/{asked.pk}/change/")
        assert "Approve and post" in text
        assert SCRIPT not in text

        for _ in range(2):
            assert self.decide(second, asked, "approve").status_code == 302

        assert UserCredit.objects.get(pk=person.pk).balance == 77
        assert "The transaction" in page(signed_in(second), f"{C}/adjustmentrequest/{asked.pk}/change/")

    def test_a_second_person_refuses_and_that_stands(self, asked, second, person):
        self.decide(second, asked, "refuse")
        self.decide(second, asked, "approve")
        assert not CreditTransaction.objects.exists()

    def test_nobody_their_own(self, asked, clerk):
        text = page(signed_in(clerk), f"{C}/adjustmentrequest/{asked.pk}/change/")
        assert "Approve and post" not in text
        self.decide(clerk, asked, "approve")
        asked.refresh_from_db()
        assert asked.decision == "pending"
        assert not CreditTransaction.objects.exists()

    def test_needs_the_permission_and_a_form(self, asked, second):
        reader = staff("reader@example.test", "view_adjustmentrequest", "adjust_credits")
        assert "Approve and post" not in page(signed_in(reader), f"{C}/adjustmentrequest/{asked.pk}/change/")
        assert self.decide(reader, asked, "approve").status_code == 403
        assert signed_in(second).get(f"{C}/adjustmentrequest/{asked.pk}/decide/").status_code == 403
        asked.refresh_from_db()
        assert asked.decision == "pending"

    def test_of_nothing(self, second):
        path = f"{C}/adjustmentrequest/{uuid.uuid4()}/decide/"
        assert post(signed_in(second), path, {"decision": "approve"}).status_code == 404


class TestReleasing:
    def release(self, client, *holds_, reason="asked for by support", request_id=None):
        path = f"{C}/hold/release/?" + "&".join(f"hold={hold.pk}" for hold in holds_)
        return post(client, path, {"reason": reason, "request_id": request_id or str(uuid.uuid4())})

    def test_gives_back_a_hold_of_any_service_and_says_who_and_why(self, rich):
        clerk = staff("clerk@example.test", "view_hold", "release_hold")
        hold = Hold.objects.get(kind="hold")

        assert self.release(signed_in(clerk), hold).status_code == 302

        hold.refresh_from_db()
        row = CreditTransaction.objects.get(type="release")
        assert (hold.status, hold.remaining, UserCredit.objects.get(pk=rich.pk).held) == ("released", 0, 0)
        assert (row.service, row.description, row.hold) == (
            "admin",
            "asked for by support",
            hold.transaction_id,
        )
        assert row.metadata == {"staff": str(clerk.pk)}
        event = AuditEvent.objects.get(type="credit_hold_released")
        assert (event.type, event.user_id, event.actor) == (
            "credit_hold_released",
            rich.pk,
            f"staff {clerk.pk}",
        )

    def test_twice_is_once(self, site, rich):
        hold, request_id = Hold.objects.get(kind="hold"), str(uuid.uuid4())
        for _ in range(2):
            assert self.release(site, hold, request_id=request_id).status_code == 302
        self.release(site, hold)
        assert CreditTransaction.objects.filter(type="release").count() == 1
        assert AuditEvent.objects.filter(type="credit_hold_released").count() == 1

    def test_several_each_stand_alone(self, site, rich, call):
        second = ledger.hold(user_id=rich.pk, amount=5, lifetime=timedelta(hours=1), call=call())
        ledger.release(hold_id=second.pk, call=call())
        third = ledger.hold(user_id=rich.pk, amount=6, lifetime=timedelta(hours=1), call=call())

        self.release(site, *Hold.objects.filter(kind="hold"))

        assert UserCredit.objects.get(pk=rich.pk).held == 0
        assert Hold.objects.get(transaction_id=third.pk).status == "released"

    def test_needs_a_reason_and_the_permission(self, site, rich):
        hold = Hold.objects.get(kind="hold")
        assert self.release(site, hold, reason=" ").status_code == 200
        reader = signed_in(staff("reader@example.test", "view_hold"))
        assert self.release(reader, hold).status_code == 403
        hold.refresh_from_db()
        assert hold.status == "open"

    def test_is_an_action_of_the_list(self, site, rich):
        hold = Hold.objects.get(kind="hold")
        answer = post(site, f"{C}/hold/", {"action": "release", "_selected_action": str(hold.pk)})
        assert answer.headers["Location"] == f"{C}/hold/release/?hold={hold.pk}"
        assert listed(rich) in page(site, answer.headers["Location"])

    def test_of_nothing_a_grant_or_junk(self, site, rich):
        grant = Grant.objects.filter(kind="grant")[0]
        for query in ("", f"hold={grant.pk}", "hold=x", "hold=99999999999999999999", "hold=-1"):
            path = f"{C}/hold/release/?{query}"
            assert "No hold is selected" in page(site, path), query
            fields = {"reason": "why", "request_id": str(uuid.uuid4())}
            assert post(site, path, fields).status_code == 200


class TestPrices:
    FORM = {"feature": "image.1024", "credits": "12", "description": "", "reason": "new list"}

    def test_a_superuser_sets_changes_and_removes_one_on_the_record(self, site, boss):
        assert post(site, f"{C}/featureprice/add/", self.FORM).status_code == 302
        path = f"{C}/featureprice/image.1024/change/"
        assert post(site, path, {**self.FORM, "feature": "another", "credits": "15"}).status_code == 302
        assert list(FeaturePrice.objects.values_list("feature", "credits")) == [("image.1024", 15)]
        assert (
            post(site, path.replace("change", "delete"), {"post": "yes", "reason": "gone"}).status_code == 302
        )
        assert not FeaturePrice.objects.exists()
        told = AuditEvent.objects.filter(type__startswith="feature_price_").order_by("id")
        events = list(told.values_list("type", "actor", "detail"))
        assert [(type_, detail["before"]) for type_, _, detail in events] == [
            ("feature_price_changed", None),
            ("feature_price_changed", 12),
            ("feature_price_removed", 15),
        ]
        assert {actor for _, actor, _ in events} == {f"staff {boss.pk}"}

    @pytest.mark.parametrize("credits", ["0", "-1", "1.5", str(10**12 + 1)])
    def test_that_cannot_be_is_refused(self, site, credits):
        answer = post(site, f"{C}/featureprice/add/", {**self.FORM, "credits": credits})
        assert answer.status_code == 200
        assert not FeaturePrice.objects.exists()
        assert b"whole number" in answer.content or b"from 1 to 1,000,000,000,000" in answer.content
        assert b"Constraint" not in answer.content

    def test_others_may_look(self):
        names = ("view_featureprice", "add_featureprice", "change_featureprice", "delete_featureprice")
        client = signed_in(staff("clerk@example.test", *names))
        FeaturePrice.objects.create(feature="a", credits=1)
        page(client, f"{C}/featureprice/")
        assert post(client, f"{C}/featureprice/add/", self.FORM).status_code == 403
        assert post(client, f"{C}/featureprice/a/change/", self.FORM).status_code == 403
        assert post(client, f"{C}/featureprice/a/delete/", {"post": "yes"}).status_code == 403
        assert list(FeaturePrice.objects.values_list("credits", flat=True)) == [1]


class TestOverview:
    def test_shows_what_the_days_came_to(self, site, rich):
        days.summarize()
        days.rank_users()

        text = page(site, f"{C}/creditday/")

        figures = [("Outstanding", "570"), ("Issued", "600"), ("Used", "30"), ("Expired", "0")]
        assert all(f"<dt>{label}</dt><dd>{sum_}</dd>" in text for label, sum_ in figures)
        assert text.count("<figure") == 4
        assert balance_page(rich) in text

    def test_before_anything_was_counted(self, site, rich):
        assert "Not counted yet" in page(site, f"{C}/creditday/")

    def test_is_linked_from_the_first_page(self, site):
        assert f"{C}/creditday/" in page(site, "/admin/")

    def test_does_not_read_the_journal(self, site, rich, django_assert_max_num_queries):
        days.summarize()
        with django_assert_max_num_queries(30) as queries:
            page(site, f"{C}/creditday/")
        assert not any("credits_credittransaction" in query["sql"] for query in queries.captured_queries)
