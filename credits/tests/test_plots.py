"""Plots: what is drawn where, that words are escaped, and that a long history becomes few points."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.admin import plots
from credits import ledger
from credits.ledger.past_balances import balance_over_time

START = datetime(2026, 11, 1, tzinfo=UTC)


class TestTicks:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0, 0, [0, 1]),
            (0, 1, [0, 1]),
            (0, 4, [0, 1, 2, 3, 4]),
            (0, 100, [0, 50, 100]),
            (0, 950, [0, 500, 1000]),
            (-80, 100, [-100, -50, 0, 50, 100]),
            (-5, 0, [-6, -4, -2, 0]),
        ],
    )
    def test_are_round_and_enclose(self, low, high, expected):
        assert plots.ticks(low, high) == expected

    @pytest.mark.parametrize("high", [7, 99, 12345, 10**9 + 1, 2**53 - 1])
    def test_are_few_whatever_the_size(self, high):
        ticks = plots.ticks(-high, high)
        assert 3 <= len(ticks) <= 7
        assert ticks[0] <= -high < high <= ticks[-1]
        assert 0 in ticks

    @pytest.mark.parametrize(
        ("amount", "text"),
        [(0, "0"), (999, "999"), (1500, "1.5k"), (-2000, "-2k"), (3 * 10**6, "3M"), (2**53 - 1, "9,007.2T")],
    )
    def test_are_written_short(self, amount, text):
        assert plots.short(amount) == text


class TestSteps:
    def test_stays_until_it_changes(self):
        svg = plots.steps(
            [(START, 0), (START + timedelta(hours=1), 100), (START + timedelta(hours=2), 50)], label="B"
        )

        line = re.search(r'class="plot-line" d="([^"]+)"', svg)
        assert line is not None
        assert line[1] == "M0 1000H500V0H1000V500H1000"

    def test_debt_goes_below_the_zero_line(self):
        svg = plots.steps([(START, 100), (START + timedelta(days=9), -100)], label="B")

        assert 'class="plot-zero" x1="0" x2="1000" y1="500" y2="500"' in svg
        assert "V1000" in svg

    def test_one_point_and_none(self):
        assert "<path" in plots.steps([(START, 7)], label="B")
        assert "Nothing yet" in plots.steps([], label="B")

    def test_says_what_it_shows(self):
        svg = plots.steps([(START, 100), (START + timedelta(days=9), 1234)], label="Balance")
        assert 'aria-label="Balance, 1 Nov 2026 to 10 Nov 2026: lowest 100, highest 1,234, last 1,234"' in svg

    def test_words_are_escaped(self):
        svg = plots.steps([(START, 1)], label="<script>alert(1)</script>")
        assert "<script>" not in svg
        assert "<script>" not in plots.bars([], label="<script>alert(1)</script>")


class TestBars:
    def test_one_for_each_day_as_high_as_its_amount(self):
        svg = plots.bars(
            [(date(2026, 11, 1), 50), (date(2026, 11, 2), 0), (date(2026, 11, 3), 100)], label="Used"
        )

        heights = re.findall(r'class="plot-bar" x="[\d.]+" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', svg)
        assert heights == ["500", "0", "1000"]
        assert "<title>3 Nov 2026: 100</title>" in svg


@pytest.mark.django_db
class TestBalanceOverTime:
    def test_every_balance_of_a_short_history(self, person, call):
        for amount in (100, 20, 3):
            ledger.add(user_id=person.pk, amount=amount, call=call())

        assert [balance for _, balance in balance_over_time(person.pk)] == [100, 120, 123]

    def test_a_long_one_is_sampled_evenly_and_ends_with_the_last(self, person, call):
        for _ in range(60):
            ledger.add(user_id=person.pk, amount=1, call=call())

        points = balance_over_time(person.pk, most=20)

        assert len(points) == 20
        assert (points[0][1], points[-1][1]) == (1, 60)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(points)]
        assert max(gaps) - min(gaps) <= timedelta(microseconds=2)
        balances = [balance for _, balance in points]
        assert balances == sorted(balances)

    def test_reads_the_index_and_not_the_history(self, person, call):
        for _ in range(60):
            ledger.add(user_id=person.pk, amount=1, call=call())
        with CaptureQueriesContext(
            connection,
        ) as queries:
            balance_over_time(person.pk, most=20)
        assert len(queries) == 3
        sampling = queries[-1]["sql"]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sampling}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "transaction_one_at_a_time" in plan

    def test_of_a_user_without_credits(self, person):
        assert balance_over_time(person.pk) == []
