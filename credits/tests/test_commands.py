"""The commands of credits: what they print, what they refuse, and that a dry run changes nothing."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEvent, User
from credits import ledger
from credits.ledger import posting, sweeping
from credits.models import AdjustmentRequest, CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db
ADDRESS = "person@example.test"


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue()


@pytest.fixture
def rich(person, call):
    ledger.add(user_id=person.pk, amount=1500, call=call())
    ledger.use(user_id=person.pk, amount=30, call=call(description="=HYPERLINK(1)", reference="order-7"))
    return person


class TestBalance:
    def test_for_people(self, rich):
        text = run("credits", "balance", ADDRESS.upper())
        assert text.split("\n")[0].startswith(f"{ADDRESS}, ")
        assert "  available                1,470" in text

    def test_for_programs(self, rich):
        answer = json.loads(run("credits", "balance", str(rich.pk), "--json"))
        assert (answer["user_id"], answer["balance"], answer["blocked"]) == (str(rich.pk), 1470, [])

    def test_in_the_past(self, rich):
        first = CreditTransaction.objects.order_by("at")[0].at
        for at, expected in ((first, 1500), (first - timedelta(microseconds=1), 0)):
            answer = json.loads(run("credits", "balance", ADDRESS, "--at", at.isoformat(), "--json"))
            assert answer["balance"] == expected

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nobody@example.test"], "User 'nobody@example.test' not found"),
            ([ADDRESS, "--at", "9999-01-01"], "must not be in the future"),
            ([ADDRESS, "--at", "yesterday"], "use 2026-11-23"),
            ([ADDRESS, "--at", "0001-01-01T00:00:00+14:00"], "use 2026-11-23"),
            ([ADDRESS, "--at", "9999-12-31T23:59:59-14:00"], "use 2026-11-23"),
            (["\udcff@example.test"], "not valid UTF-8"),
        ],
    )
    def test_says_what_is_wrong(self, rich, arguments, words):
        with pytest.raises(CommandError, match=words):
            run("credits", "balance", *arguments)


class TestHistory:
    def test_newest_first_up_to_the_limit(self, rich):
        lines = run("credits", "history", ADDRESS, "--limit", "1").splitlines()
        assert len(lines) == 1
        assert "use" in lines[0]
        assert "-30" in lines[0]
        assert "order-7" in lines[0]

    def test_by_type_and_time_for_programs(self, rich):
        rows = json.loads(run("credits", "history", ADDRESS, "--type", "bonus", "--json"))["results"]
        assert [row["amount"] for row in rows] == [1500]
        assert run("credits", "history", ADDRESS, "--since", "9999-01-01") == ""
        assert len(run("credits", "history", ADDRESS, "--until", "9999-01-01").splitlines()) == 2

    def test_has_what_is_due_and_not_posted(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, call=call(), expires_at=clock.now + timedelta(hours=1))
        clock.advance(hours=2)
        rows = json.loads(run("credits", "history", ADDRESS, "--json"))["results"]
        assert [row["type"] for row in rows] == ["expiry", "bonus"]
        assert CreditTransaction.objects.count() == 1

    def test_lets_no_escape_sequence_through(self, person, call):
        ledger.add(user_id=person.pk, amount=1, call=call(description="\x1b[2J\r\nforged"))
        text = run("credits", "history", ADDRESS)
        assert "\x1b" not in text
        assert len(text.splitlines()) == 1

    @pytest.mark.parametrize("limit", ["0", "-1", "1e3", "1.5", str(10**9 + 1), "9" * 30])
    @pytest.mark.parametrize("command", [["credits", "history", ADDRESS], ["sweep_credits", "--dry-run"]])
    def test_refuses_a_limit_that_is_none(self, rich, command, limit):
        with pytest.raises(CommandError, match="--limit"):
            run(*command, f"--limit={limit}")


class TestExport:
    def test_csv_for_spreadsheets(self, rich):
        rows = list(csv.DictReader(io.StringIO(run("credits", "export", ADDRESS))))
        assert [row["amount"] for row in rows] == ["-30", "1500"]
        assert rows[0]["description"] == "'=HYPERLINK(1)"

    def test_json_to_a_file(self, rich, tmp_path):
        path = tmp_path / "person.jsonl"
        assert run("credits", "export", ADDRESS, "--json", "--output", str(path)) == ""
        assert [json.loads(line)["amount"] for line in path.read_text().splitlines()] == [-30, 1500]

    def test_leaves_a_file_that_exists_alone(self, rich, tmp_path):
        path = tmp_path / "person.csv"
        path.write_text("mine")
        with pytest.raises(CommandError, match="File exists"):
            run("credits", "export", ADDRESS, "--output", str(path))
        assert path.read_text() == "mine"

    def test_leaves_no_half_of_a_file(self, rich, tmp_path, monkeypatch):
        def broken(rows):
            yield "id\n"
            raise RuntimeError

        monkeypatch.setattr("credits.export.lines", broken)
        path = tmp_path / "person.csv"
        with pytest.raises(RuntimeError):
            run("credits", "export", ADDRESS, "--output", str(path))
        assert not path.exists()

    def test_no_bar_where_nobody_watches(self, rich, capsys):
        run("credits", "export", ADDRESS)
        assert capsys.readouterr().err == ""

    def test_pages_over_a_long_history(self, person, call, monkeypatch):
        monkeypatch.setattr("credits.export.ROWS_AT_A_TIME", 3)
        for _ in range(10):
            ledger.add(user_id=person.pk, amount=1, call=call())
        rows = list(csv.DictReader(io.StringIO(run("credits", "export", ADDRESS))))
        assert [int(row["balance_after"]) for row in rows] == list(range(10, 0, -1))


class TestSweep:
    @pytest.fixture
    def due(self, call, clock):
        people = [User.objects.create_user(f"idle{n}@example.test") for n in range(3)]
        for person in people:
            ledger.add(user_id=person.pk, amount=5, call=call(), expires_at=clock.now + timedelta(hours=1))
        clock.advance(hours=2)
        return people

    def test_posts_what_is_due(self, due):
        assert run("sweep_credits") == "3 users swept, 0 failed.\n"
        assert CreditTransaction.objects.filter(type="expiry").count() == 3
        assert run("sweep_credits") == "0 users swept, 0 failed.\n"

    def test_a_dry_run_only_counts(self, due):
        assert json.loads(run("sweep_credits", "--dry-run", "--json"))["due"] == 3
        assert not CreditTransaction.objects.filter(type="expiry").exists()

    def test_up_to_the_limit(self, due):
        assert json.loads(run("sweep_credits", "--limit", "2", "--json"))["swept"] == 2
        assert CreditTransaction.objects.filter(type="expiry").count() == 2

    def test_names_who_failed_and_exits_with_1(self, due, monkeypatch):
        really = posting.sweep_user

        def sweep_user(user_id):
            if user_id == due[0].pk:
                raise RuntimeError
            really(user_id)

        monkeypatch.setattr(sweeping, "sweep_user", sweep_user)
        out = io.StringIO()
        with pytest.raises(SystemExit) as status:
            call_command("sweep_credits", "--json", stdout=out, stderr=io.StringIO())
        assert status.value.code == 1
        report = json.loads(out.getvalue())
        assert (report["swept"], report["failed"]) == (
            2,
            [{"user_id": str(due[0].pk), "error": "RuntimeError"}],
        )


class TestAdjust:
    def test_is_not_bound_by_the_admins_limit_and_names_the_operator(self, rich, settings, monkeypatch):
        settings.CREDITS_APPROVAL_LIMIT = 1
        monkeypatch.setenv("LOGNAME", "grace")

        run("adjust_credits", ADDRESS, "5000", "--reason", "migrated from the old shop")

        row = CreditTransaction.objects.get(type="adjustment")
        assert (row.amount, row.metadata) == (5000, {"operator": "grace"})
        event = AuditEvent.objects.get()
        assert (event.type, event.actor) == ("credits_adjusted", "operator grace")
        assert not AdjustmentRequest.objects.exists()

    @pytest.mark.parametrize("amount", [10**12 + 1, -(10**12) - 1])
    def test_moves_no_more_than_one_adjustment_may(self, rich, amount):
        with pytest.raises(CommandError, match="at most"):
            run("adjust_credits", ADDRESS, str(amount), "--reason", "why")
        assert not AuditEvent.objects.exists()

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            (("--reason", "x" * 501), "The reason must have 1 to 500"),
            (("--reason", "why", "--key", "x" * 256), "The key must have 1 to 255"),
            (("--reason", "why", "--key", ""), "The key must have 1 to 255"),
            (("--reason", "caf\udce9"), "not valid UTF-8"),
        ],
    )
    def test_texts_that_the_journal_does_not_take(self, rich, option, words):
        with pytest.raises(CommandError, match=words):
            run("adjust_credits", ADDRESS, "5", *option)
        assert UserCredit.objects.get(pk=rich.pk).balance == 1470

    def test_a_dry_run_records_nothing(self, rich):
        run("adjust_credits", ADDRESS, "5", "--reason", "why", "--dry-run")
        assert not AuditEvent.objects.exists()
        assert UserCredit.objects.get(pk=rich.pk).balance == 1470

    def test_the_same_key_is_recorded_once(self, rich):
        for _ in range(2):
            run("adjust_credits", ADDRESS, "5", "--reason", "why", "--key", "ticket-9")
        assert AuditEvent.objects.count() == 1
        assert UserCredit.objects.get(pk=rich.pk).balance == 1475

    def test_its_help_says_that_the_limit_does_not_apply(self, capsys):
        with pytest.raises(SystemExit):
            call_command("adjust_credits", "--help")
        assert "CREDITS_APPROVAL_LIMIT" in capsys.readouterr().out


def test_moments_without_an_offset_are_utc(person):
    at = timezone.now() - timedelta(days=1)
    answer = json.loads(run("credits", "balance", ADDRESS, "--at", f"{at:%Y-%m-%dT%H:%M:%S}", "--json"))
    assert answer["as_of"] == f"{at:%Y-%m-%dT%H:%M:%S}Z"
