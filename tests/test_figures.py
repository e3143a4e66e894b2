"""The figures that are kept: what counts as a fall, and that the page shows what the JSON says."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "proof" / "bench"))

import page  # noqa: E402
import record  # noqa: E402
from figures import Figure, Row, row  # noqa: E402

# The rows that must be kept of each part.
ASKED = {
    "use": [
        "of pgbench: {server}, 8 connections",
        "of pgbench: {server}, 32 connections",
        "processor: {server}, 8 connections",
        "p99: granian, 1 thread, 8 connections",
        "p99: granian, 1 thread, 32 connections",
    ],
    "hot": ["of pgbench: {server}"],
    "batch": [
        "of pgbench: {server}, 1,000 users",
        "of pgbench: {server}, 50 users",
        "of pgbench: {server}, one user",
    ],
    "rivals": ["of FastAPI + SQLAlchemy: {server}", "of DRF + ORM: {server}"],
    "sessions": [
        "processor: /me, {server}",
        "processor: introspection, {server}",
        "of get-session: /me/status, {server}",
    ],
    "refusals": ["one in ten against none"],
    "storage": ["table and indexes per spend", "WAL per spend"],
}


def figure(reached, *, unit="%", less_is_better=False, name="use"):
    return row(Figure(name=name, unit=unit, samples=[reached], less_is_better=less_is_better))


@pytest.mark.parametrize(
    ("unit", "less_is_better", "old", "new", "falls"),
    [
        ("%", False, 40, 40, False),
        ("%", False, 40, 32, False),  # by a fifth, not by more
        ("%", False, 40, 31.9, True),
        ("%", False, 40, 80, False),
        ("x", False, 4, 3.1, True),
        ("x", False, 4, 3.3, False),
        ("%", True, 104, 129, False),
        ("%", True, 104, 131, True),
        ("%", True, 104, 60, False),
        ("B", True, 430, 536, False),
        ("B", True, 430, 540, True),
        ("/s", False, 1200, 300, False),  # another machine's, perhaps
        ("us", True, 500, 5000, False),
        ("ms", True, 10, 500, False),
    ],
)
def test_what_is_a_fall(unit, less_is_better, old, new, falls):
    before = [figure(old, unit=unit, less_is_better=less_is_better)]
    found = record.falls(before, [figure(new, unit=unit, less_is_better=less_is_better)])
    assert len(found) == falls
    assert all("use: " in line and f"{unit} before" in line for line in found)


def test_what_was_not_measured_has_fallen():
    assert record.falls([figure(40, name="lost"), figure(40)], [figure(40)]) == [
        "lost: 40 % before, not measured now"
    ]
    assert record.falls([figure(40, unit="/s", name="lost")], []) == []


def test_a_new_figure_has_not_fallen():
    assert record.falls([], [figure(1)]) == []


@pytest.mark.parametrize(
    ("less_is_better", "reached", "verdict"),
    [
        (False, 9, "SHORT"),
        (False, 10, "must"),
        (False, 20, "aim"),
        (True, 21, "SHORT"),
        (True, 20, "must"),
        (True, 10, "aim"),
    ],
)
def test_the_verdict(less_is_better, reached, verdict):
    must, aim = (20, 10) if less_is_better else (10, 20)
    measured = Figure(
        name="use", unit="us", samples=[reached], must=must, aim=aim, less_is_better=less_is_better
    )
    assert row(measured).verdict == verdict


def test_a_row_is_the_median_and_the_spread():
    kept = row(Figure(name="use", unit="/s", samples=[1234.56, 1000, 2000]))
    assert (kept.reached, kept.lowest, kept.highest) == (1235, 1000, 2000)


class TestKept:
    @pytest.fixture
    def kept(self):
        return record.read()

    def test_the_page_and_its_pictures_are_drawn_from_the_figures(self, kept):
        drawn = page.drawn(kept)
        assert {path: path.read_text() for path in drawn} == drawn
        assert set((page.PAGE.parent / page.PICTURES).iterdir()) == set(drawn) - {page.PAGE}

    def test_pictures_are_well_formed_and_have_a_title(self, kept):
        pictures = [text for path, text in page.drawn(kept).items() if path.suffix == ".svg"]
        assert pictures
        for picture in pictures:
            assert ET.fromstring(picture)[0].text  # noqa: S314  (our own)
            assert "prefers-color-scheme: dark" in picture

    def test_each_row_that_is_asked_for_has_a_bound(self, kept):
        bound = {(name, row.name) for name, part in kept.items() for row in part.figures if row.must}
        wanted = {
            (part, name.format(server=server))
            for part, names in ASKED.items()
            if part in kept
            for name in names
            for server in ("granian", "gunicorn")
        }
        assert wanted - bound == set()

    def test_names_are_unique_within_a_part(self, kept):
        for part in kept.values():
            names = [row.name for row in part.figures]
            assert sorted(set(names)) == sorted(names)

    def test_each_part_says_where_it_comes_from(self, kept):
        for name, part in kept.items():
            assert part.command == f"script/bench --json {name}"
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", part.date)
            assert re.fullmatch(r"[0-9a-f]{12}( with changes)?", part.commit)
            assert "cores" in part.machine


def test_a_record_is_read_as_it_was_written(tmp_path):
    part = record.Part(
        what="Spends.", command="script/bench use", date="2026-11-28", commit="0" * 12, machine="2 cores",
        rounds="3 rounds of 4 s", figures=[figure(40), Row(name="a", unit="B", reached=1, lowest=1, highest=2, must=3)],
    )  # fmt: skip
    record.write({"use": part}, tmp_path / "figures.json")
    assert record.read(tmp_path / "figures.json") == {"use": part}
    assert record.read(tmp_path / "none.json") == {}
