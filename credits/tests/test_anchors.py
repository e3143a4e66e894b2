"""Finds what only an anchor shows: a chain that was rewritten so that it verifies, a user dropped with all rows."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.models import User
from credits import ledger
from credits.ledger import anchors, verify
from credits.models import CreditTransaction

pytestmark = [pytest.mark.django_db, pytest.mark.broken_on_purpose]

REWRITE = """
UPDATE credits_credittransaction SET amount = 1000, balance = 1000, lots = jsonb_set(lots, '{0,1}', '1000')
    WHERE holder_id = %(user)s;
UPDATE credits_credittransaction t SET hash = credits_hash(''::bytea, credits_link(
    id, holder_id, at, type, amount, balance, held, lots, service, key, digest, text_digest, refund_of, hold, version,
    unit_price)) WHERE holder_id = %(user)s;
UPDATE credits_usercredit c SET balance = 1000, open_left = 1000, hash = t.hash
    FROM credits_credittransaction t WHERE t.holder_id = c.holder_id AND c.holder_id = %(user)s;
UPDATE credits_creditlot SET issued = 1000 WHERE holder_id = %(user)s;
"""
DROP = """
DELETE FROM credits_credittransaction WHERE holder_id = %(user)s;
DELETE FROM credits_creditlot WHERE holder_id = %(user)s;
DELETE FROM credits_usercredit WHERE holder_id = %(user)s;
"""


def with_all_powers(statements, user):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in filter(str.strip, statements.split(";")):
            cursor.execute(statement, {"user": user.pk})
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def anchor(person, call):
    other = User.objects.create_user("other@example.test")
    for user in (person, other):
        ledger.add(user_id=user.pk, amount=10, call=call())
    file = StringIO()
    assert anchors.write(file) == 2
    file.seek(0)
    return file


def test_later_rows_do_not_disturb_it(anchor, person, call):
    ledger.use(user_id=person.pk, amount=1, call=call())

    assert anchors.findings(anchor) == []


@pytest.mark.usefixtures("one_server")  # a chain is rewritten by a statement that several servers refuse
@pytest.mark.parametrize(
    ("statements", "finding"), [(REWRITE, "rewritten since the anchor"), (DROP, "anchored row is gone")]
)
def test_shows_what_verification_alone_cannot(anchor, person, statements, finding):
    with_all_powers(statements, person)

    assert not any(part.findings for part in verify.verify_all())
    [found] = anchors.findings(anchor)
    assert (found.user_id, found.finding) == (person.pk, finding)


@pytest.mark.parametrize(
    "spoil",
    [lambda t: t.replace('"users":2', '"users":3'), lambda t: t[:-90], lambda t: "", lambda t: "[]\n"],
)
def test_an_altered_or_short_file_is_no_anchor(anchor, spoil):
    with pytest.raises(anchors.NotAnAnchor):
        anchors.findings(StringIO(spoil(anchor.getvalue())))


def test_a_new_first_key_still_accepts_it(anchor, settings):
    settings.LEDGER_DIGEST_KEYS = ["a new first key for the ledger, 32 bytes", *settings.LEDGER_DIGEST_KEYS]

    assert anchors.findings(anchor) == []


class TestCommand:
    def test_says_what_it_checked_and_writes_the_anchor(self, anchor, tmp_path, capsys):
        call_command("verify_ledger", "--json", "--anchor", str(tmp_path / "anchor"))

        report = json.loads(capsys.readouterr().out)
        assert report == {"ok": True, "users": 2, "transactions": 2, "findings": []}
        call_command("verify_ledger", "--against", str(tmp_path / "anchor"))

    @pytest.mark.usefixtures("one_server")
    def test_fails_and_names_the_row(self, anchor, person, tmp_path, capsys):
        (tmp_path / "anchor").write_text(anchor.getvalue())
        with_all_powers(REWRITE, person)

        with pytest.raises(SystemExit) as end:
            call_command("verify_ledger", "--against", str(tmp_path / "anchor"))

        assert end.value.code == 1
        assert f"{person.pk}: rewritten since the anchor" in capsys.readouterr().err

    def test_one_user_resuming_and_mistakes(self, anchor, person, tmp_path, capsys):
        first = CreditTransaction.objects.order_by("holder_id")[0].holder_id
        call_command("verify_ledger", person.email)
        call_command("verify_ledger", "--after", str(first))
        lines = capsys.readouterr().out.splitlines()
        assert lines == ["1 users, 1 transactions, 0 findings"] * 2

        with pytest.raises(CommandError, match="not found"):
            call_command("verify_ledger", "nobody@example.test")
        (tmp_path / "junk").write_text("{}\n")
        with pytest.raises(CommandError, match="not an anchor"):
            call_command("verify_ledger", "--against", str(tmp_path / "junk"))
        with pytest.raises(CommandError, match="all users"):
            call_command("verify_ledger", person.email, "--anchor", str(tmp_path / "x"))


@pytest.mark.django_db(transaction=True)
def test_in_parallel_the_same_is_found(call):
    users = [User.objects.create_user(f"p{n}@example.test") for n in range(7)]
    for user in users:
        ledger.add(user_id=user.pk, amount=10, call=call())
    with_all_powers("UPDATE credits_credittransaction SET amount = 11 WHERE holder_id = %(user)s", users[3])
    alone = list(verify.verify_all())
    verify.CHUNK, chunk = 2, verify.CHUNK
    try:
        together = list(verify.verify_all(parallel=3))
    finally:
        verify.CHUNK = chunk

    assert sum(part.transactions for part in together) == 7
    assert (
        [f for part in together for f in part.findings] == [f for part in alone for f in part.findings] != []
    )
