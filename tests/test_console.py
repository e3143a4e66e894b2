"""The supervisor's console: whatever becomes of its reader, the supervisor goes on."""

import os

from console import KEPT_LINES, Console


def test_every_line_carries_its_name() -> None:
    reader, writer = os.pipe()
    Console(writer).say("web", "one\ntwo")
    assert os.read(reader, 100) == b"web        | one\nweb        | two\n"


def test_a_reader_that_does_not_read_blocks_nothing_and_learns_what_it_missed() -> None:
    reader, writer = os.pipe()
    console = Console(writer)
    for number in range(KEPT_LINES * 3):
        console.say("web", f"{number} " + "x" * 100)
    received = b""
    while b" lines were dropped" not in received:
        received += os.read(reader, 65536)
        console.say("web", "the last one")


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Console(writer).say("web", "to nobody")
