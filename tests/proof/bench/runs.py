"""How comparisons are run: in turn, round by round, on one cluster; and how their results are summarised."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from figures import Figure
from load import Answered, pgbench

WARM_UP = 2  # seconds: caches, connections, prepared statements


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int
    seconds: int  # of each run in a round; half of it for pgbench beside another
    rows: int  # of the large database
    tries: int  # of what is measured in process, of which the median counts


Run = Callable[[int], Answered]


@dataclass(frozen=True, slots=True)
class Pair:
    """One run, and the pgbench run directly before it."""

    answered: Answered
    direct: Answered


@dataclass(frozen=True, slots=True)
class Beside:
    """A run, and the parameters for pgbench to do the same: the database, how many connections, over how many users."""

    run: Run
    database: str
    connections: int
    users: int

    def pair(self, seconds: int) -> Pair:
        direct = pgbench(
            self.database, connections=self.connections, seconds=max(1, seconds // 2), users=self.users
        )
        return Pair(self.run(seconds), direct)


def in_turn(size: Size, *runs: Run) -> list[list[Answered]]:
    """Return all rounds of the first run, of the second, and so on: each ran once per round, after a warm-up."""
    for run in runs:
        run(WARM_UP)
    rounds = [[run(size.seconds) for run in runs] for _ in range(size.rounds)]
    return [list(results) for results in zip(*rounds, strict=True)]


def in_turn_beside(size: Size, *runs: Beside) -> list[list[Pair]]:
    """Do the same as in_turn, with pgbench directly before each run."""
    for beside in runs:
        beside.run(WARM_UP)
    rounds = [[beside.pair(size.seconds) for beside in runs] for _ in range(size.rounds)]
    return [list(pairs) for pairs in zip(*rounds, strict=True)]


def rate(name: str, answered: Sequence[Answered], *, factor: float = 1, rival: bool = False) -> Figure:
    samples = [factor * each.per_second for each in answered]
    return Figure(name=name, unit="/s", samples=samples, rival=rival)


def share(name: str, pairs: Sequence[Pair], *, must: float | None = None, aim: float | None = None) -> Figure:
    """Return the reached percentage of pgbench's rate."""
    shares = [100 * pair.answered.per_second / pair.direct.per_second for pair in pairs]
    return Figure(name=name, unit="%", samples=shares, must=must, aim=aim)


def times(
    name: str,
    ours: Sequence[Answered],
    other: Sequence[Answered],
    *,
    must: float | None = None,
    aim: float | None = None,
    factor: float = 1,
) -> Figure:
    ratios = [factor * one.per_second / two.per_second for one, two in zip(ours, other, strict=True)]
    return Figure(name=name, unit="x", samples=ratios, must=must, aim=aim)


def least(
    name: str, unit: str, samples: Sequence[float], *, must: float | None = None, aim: float | None = None
) -> Figure:
    return Figure(name=name, unit=unit, samples=samples, must=must, aim=aim, less_is_better=True)


def answers(pairs: Sequence[Pair]) -> list[Answered]:
    return [pair.answered for pair in pairs]


def direct(pairs: Sequence[Pair]) -> list[Answered]:
    return [pair.direct for pair in pairs]
