"""Leaving a server alone that did not answer, by a clock that the test winds."""

import threading

from accounts.kit.resting import Rest


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Answers those who ask it when the test says so."""

    def __init__(self) -> None:
        self.asked, self.is_away = 0, True
        self.may_answer = threading.Event()

    def __call__(self) -> None:
        self.asked += 1
        assert self.may_answer.wait(30)
        if self.is_away:
            raise ConnectionError

    def answers(self) -> None:
        """Have it answer every caller, or none; then none is left who does."""
        self.may_answer.set()
        for thread in threading.enumerate():
            if thread.name == "rest-is-over":
                thread.join()
        self.may_answer.clear()


def test_nobody_asks_until_the_time_is_over():
    clock = Clock()
    rest = Rest(5, clock=clock)
    assert rest.is_over()
    rest.begin()
    assert not rest.is_over()
    clock.now += 4.9
    assert not rest.is_over()
    clock.now += 0.1
    assert rest.is_over()


def test_each_failure_begins_it_again_and_an_answer_ends_it():
    clock = Clock()
    rest = Rest(5, clock=clock)
    rest.begin()
    clock.now += 3
    rest.begin()
    clock.now += 3
    assert not rest.is_over()
    rest.end()
    assert rest.is_over()


def test_with_a_probe_one_thread_asks_and_no_caller_does_until_it_was_answered():
    clock, server = Clock(), Server()
    rest = Rest(5, probe=server, clock=clock)
    rest.begin()
    assert (rest.is_over(), server.asked) == (False, 0)

    clock.now += 5
    assert [rest.is_over() for _ in range(10)] == [False] * 10
    server.answers()
    assert (server.asked, rest.is_over()) == (1, False)  # still away: it rests again

    clock.now += 5
    server.is_away = False
    assert not rest.is_over()
    server.answers()
    assert (server.asked, rest.is_over()) == (2, True)
