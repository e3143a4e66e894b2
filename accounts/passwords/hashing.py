"""Hash and compare passwords, in turns that are shared by the whole machine."""

import math
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from argon2.exceptions import InvalidHash
from django.conf import settings
from django.contrib.auth.hashers import identify_hasher, is_password_usable

from accounts.kit import seats
from accounts.kit.problems import ServiceUnavailable
from accounts.kit.turns import Turns
from accounts.passwords import costs
from accounts.passwords.attempts import Attempt
from accounts.passwords.policy import canonical

Result = TypeVar("Result")

# In hashes of ours: the most for a hash to be imported and, as measurements vary, a little more for it to be accepted.
CEILING, TOLERANCE = 1.0, 1.25
_BCRYPT_ROUNDS = re.compile(r"bcrypt(?:_sha256)?\$\$2[abxy]\$(\d\d)\$")


class Verdict(NamedTuple):
    """The result of a comparison, with the hash in today's form if the password is right and the stored one weaker."""

    right: bool
    upgrade: str | None = None


def make_hash(password: str, attempt: Attempt, *, like: str | None = None) -> str:
    """Return a hash to store. Raise ServiceUnavailable if too many are being made.

    With `like`, a hash of ours, the salt is taken from it, so that the two hashes are equal if the passwords are; this
    saves a second hash.
    """
    salt = like.partition("$")[2].encode() if like and _is_of_today(like) else None
    return _in_turn(lambda: _encode(canonical(password), salt), attempt)


def verify(password: str, encoded: str | None, attempt: Attempt) -> Verdict:
    """Compare a password with a stored hash. Raise ServiceUnavailable if too many hashes are being made.

    Every case costs one hash of ours: unknown user, no password, a hash of ours or of another system, wrong or right. A
    password that normalization changes costs two. Only a right one costs more, if its hash is upgraded.
    """
    return _in_turn(lambda: _judge(password, encoded), attempt)


def _in_turn(work: Callable[[], Result], attempt: Attempt) -> Result:
    """Hash when it is the attempt's turn. A waiting caller holds a thread, but neither a seat nor its connection."""
    try:
        with seats.lent():
            return _turns.do(work, *attempt.sources)
    except ServiceUnavailable:
        attempt.give_back()
        raise


def _judge(password: str, encoded: str | None) -> Verdict:
    """Compare the password in our form and, if that differs, as typed, which is what most other systems hash.

    A hash of our own kind does not reveal whether it is from another system, so both forms are tried with any.
    """
    text, hasher = canonical(password), _hasher_of(encoded, most=TOLERANCE)
    right = [form for form in dict.fromkeys((text, password)) if _matches(form, encoded or "", hasher)]
    if not right or encoded is None:
        return Verdict(right=False)
    return Verdict(right=True, upgrade=None if text in right and _is_of_today(encoded) else _encode(text))


def _is_of_today(encoded: str) -> bool:
    ours = costs.ours()
    return encoded.startswith(f"{ours.algorithm}$") and not ours.must_update(encoded)


def _matches(form: str, encoded: str, hasher: Any | None) -> bool:
    """Compare at the cost of one hash of ours, whatever the kind of the stored one."""
    if hasher is None:
        _make_up(form, owed=1)
        return False
    begun = time.thread_time()
    right = bool(hasher.verify(form, encoded))
    seconds = time.thread_time() - begun
    found = _BCRYPT_ROUNDS.match(encoded)
    spent = 2.0 ** (int(found[1]) - costs.ours().rounds) if found else seconds / costs.ours_lately()
    if spent == 1:
        costs.note_ours(seconds)
    _make_up(form, owed=1 - spent)
    return right


def _make_up(form: str, *, owed: float) -> None:
    """Do the rest of the work of one of our hashes. bcrypt's work doubles per round, so cheaper hashes add up to it."""
    steps = round(owed * 2 ** (costs.ours().rounds - costs.LEAST_ROUNDS))
    for bit in range(max(steps, 0).bit_length()):
        if steps >> bit & 1:
            costs.ours().verify(form, costs.decoy(costs.LEAST_ROUNDS + bit))


def is_known(encoded: str) -> bool:
    """Return whether passwords can be compared with this hash at all."""
    return _hasher_of(encoded, most=math.inf) is not None


def is_affordable(encoded: str) -> bool:
    """Return whether comparing with it costs no more than with one of ours, so that it may be imported."""
    return _hasher_of(encoded, most=CEILING) is not None


def is_too_dear(encoded: str) -> bool:
    """Return whether the hash is usable, but too expensive for any sign-in to accept."""
    return is_known(encoded) and _hasher_of(encoded, most=TOLERANCE) is None


def _hasher_of(encoded: str | None, *, most: float) -> Any | None:
    """Return the hasher, or None if there is no usable password or comparing costs more than `most` hashes of ours."""
    if not encoded or not is_password_usable(encoded):
        return None
    try:
        hasher = identify_hasher(encoded)
        cost = costs.of(str(hasher.algorithm), hasher.decode(encoded))
    except (ValueError, AssertionError, KeyError, InvalidHash):
        return None
    return hasher if cost <= most else None


def _encode(text: str, salt: bytes | None = None) -> str:
    return str(costs.ours().encode(text, salt or costs.ours().salt()))


def require_room() -> None:
    """Raise ServiceUnavailable while no further hash would be admitted, before anything else is spent on the request.

    Of a hundred concurrent sign-ins most are refused; unless a refusal is quick, the last ones wait for seconds.
    """
    _turns.require_room()


_turns = Turns(
    lambda: settings.PASSWORD_HASHING_TURNS,
    running=settings.PASSWORD_HASHING_CONCURRENCY,
    waiting=settings.PASSWORD_HASHING_QUEUE,
    patience=settings.PASSWORD_HASHING_PATIENCE,
    nice=settings.PASSWORD_HASHING_NICE,
)
