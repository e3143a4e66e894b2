"""Try the watch over statements of the ledger (credits/tests/conftest.py): what it lets pass, and what it sees."""

import pytest

from credits.ledger import batch, many_uses, one_statement, posting, saving
from credits.tests.by_holder import carries_holder


@pytest.mark.parametrize(
    "statement",
    [
        one_statement.STATEMENT, one_statement.SHORT, many_uses.STATEMENT, posting.LOCK, saving.UPDATE_LOTS,
        saving.UPDATE_BALANCES, batch.LOTS, batch.SEEN,
    ],
)  # fmt: skip
def test_the_ways_to_spend_name_the_holder_in_each_look(statement: str) -> None:
    assert carries_holder(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM credits_creditlot WHERE id = 1",
        "SELECT 1 FROM credits_usercredit a JOIN credits_creditlot l ON l.id = a.open_lot WHERE a.holder_id = %s",
        'UPDATE "credits_usercredit" SET balance = 1',
    ],
)
def test_one_look_without_the_holder_is_seen(statement: str) -> None:
    assert not carries_holder(statement)
