"""Steps that belong to the person who started them: someone with only a copy of what the owner had tries each.

Beside each attack is the owner's own step, which must work: a service that refuses everything is not safe.
"""

import re
import secrets

import canary_steps
import people
from calls import Answer, Caller
from crowd import tokens_of
from google_browser import Browser, provider_of
from instance import Instance, Person, instance
from mail_sink import MailSink
from pages import Pages
from report import Report
from tests.authenticators import FLAG, SoftPasskey, next_code

FRONT_END = "https://front.attack.example"
SUBJECT = "steps"
LATE = "63 seconds"
_AGE = "UPDATE accounts_session SET created_at = created_at - interval '10 minutes' WHERE user_id = %s RETURNING 1"
_LATE = (
    f"UPDATE accounts_session SET rotated_at = rotated_at - interval '{LATE}' WHERE user_id = %s RETURNING 1"
)
_STAFF = "UPDATE accounts_user SET is_staff = TRUE, is_superuser = TRUE WHERE id = %s RETURNING 1"
_SETTLE = """
from accounts.identity import contests
contests.settle(user_id={user_id!r}, reason="the attack is over", actor="attack")
"""


def taken_by_others(running: Instance, sink: MailSink, report: Report) -> None:
    trial = Trial(running, sink, report)
    for attack in (
        login_by_exchange,
        stolen_token,
        stolen_tries,
        staff_after_logout_all,
        replayed_refresh,
        found_passkey,
        trojan_account,
    ):
        attack(trial)


class Trial:
    def __init__(self, running: Instance, sink: MailSink, report: Report) -> None:
        self.instance, self.sink, self.report = running, sink, report

    def refused(self, name: str, answer: Answer, *expected: tuple[int, str]) -> None:
        got = (answer.status, answer.code)
        self.report.line(name, answer.status, answer.code)
        self.report.require(got in expected, f"{name}: answered {got}, not {expected[0]}")

    def let_in(self, name: str, answer: Answer) -> Answer:
        self.report.require(answer.done, f"{name}: answered {answer.status} {answer.code}")
        return answer

    def device(self) -> Caller:
        return Caller(self.instance.ports["web"])

    def signed_in(self, person: Person) -> dict[str, str]:
        return tokens_of(people.login(self.instance, person).body)

    def aged(self, person: Person) -> dict[str, str]:
        """Return tokens of a sign-in that is ten minutes old."""
        tokens = self.signed_in(person)
        self.instance.rows(_AGE, person.id)
        body = {"refresh_token": tokens["refresh_token"]}
        return tokens_of(self.device().post("/v1/auth/refresh", body).body)

    def link(self, address: str, page: str) -> str:
        """Return the token of the link to this page, from the newest mail that contains one."""

        def found() -> list[str]:
            mails = [mail.text for mail in list(self.sink.mails) if mail.to == address]
            return [token for text in mails for token in re.findall(rf"{page}\?token=([\w-]+)", text)]

        self.instance.await_(lambda: bool(found()), f"no mail with {page} came to {address}", within=60)
        return found()[-1]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def login_by_exchange(trial: Trial) -> None:
    """Give a victim's browser the attacker's code: it must not be signed in to the attacker's account."""
    with instance(mail_port=trial.sink.port, with_google=True, FRONTEND_URL=FRONT_END) as running:
        provider = provider_of(running)
        provider.add(SUBJECT, email=f"{SUBJECT}-{secrets.token_hex(4)}@attack.example")
        attacker, victim, nobody = (Browser(running) for _ in range(3))
        victim.begin()
        code = attacker.front_end_code(provider.authorize(attacker.begin(), SUBJECT))
        for name, browser in (("another browser", victim), ("no cookie", nobody)):
            trial.refused(f"exchange, {name}", browser.exchange(code), (400, "token_invalid"))
        trial.let_in("exchange where it began", attacker.exchange(code))


def stolen_token(trial: Trial) -> None:
    """Use a copy of the access token after its owner has confirmed the sign-in."""
    person = trial.instance.people(1)[0]
    tokens = trial.aged(person)
    owner, thief = trial.device(), trial.device()
    proved = owner.post(
        "/v1/auth/reauthenticate", {"password": person.password}, bearer(tokens["access_token"])
    )
    trial.report.require(proved.status == 200, f"the owner's proof: answered {proved.status} {proved.code}")
    needed = (403, "reauthentication_required")
    export, change = "/v1/auth/me/export", "/v1/auth/change-email"
    stolen = bearer(tokens["access_token"])
    trial.refused("stolen token, export", thief.get(export, stolen), needed)
    body = {"new_email": f"thief-{secrets.token_hex(4)}@attack.example"}
    trial.refused("stolen token, another address", thief.post(change, body, stolen), needed)
    refreshed = tokens_of(owner.post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}).body)
    trial.refused("a token refreshed after it", thief.get(export, bearer(refreshed["access_token"])), needed)
    if proved.done and proved.body:
        trial.let_in("the owner's own token", owner.get(export, bearer(proved.body["access_token"])))


def stolen_tries(trial: Trial) -> None:
    """Guess the password in a stolen session while its owner proves it in another one."""
    (person,) = trial.instance.people(1)
    thief, owner = (bearer(trial.signed_in(person)["access_token"]) for _ in range(2))
    for _ in range(10):
        trial.device().post("/v1/auth/reauthenticate", {"password": secrets.token_urlsafe(15)}, thief)
    right = {"password": person.password}
    refused = trial.device().post("/v1/auth/reauthenticate", right, thief)
    trial.refused("the right password after ten wrong ones in a session", refused, (429, "rate_limited"))
    trial.let_in(
        "the owner's in another session", trial.device().post("/v1/auth/reauthenticate", right, owner)
    )


def staff_after_logout_all(trial: Trial) -> None:
    """Use a copied admin cookie after its owner has signed out everywhere, or ended the session."""
    person = trial.instance.people(1)[0]
    trial.instance.rows(_STAFF, person.id)
    address = trial.device().own_address
    thief = Pages(trial.instance.ports["admin"], address=address)
    secret = canary_steps.enrol_staff(trial.instance, {}, thief, email=person.email, password=person.password)
    inside = thief.send("GET", "/admin/", None, {})[0]
    trial.report.require(inside == 200, f"the admin before: answered {inside}")
    owner = trial.device()
    half = people.login(trial.instance, person).body["mfa_token"]
    step = owner.post("/v1/auth/login/mfa", {"mfa_token": half, "code": next_code(secret)})
    access = bearer(tokens_of(step.body)["access_token"])
    listed = owner.get("/v1/auth/sessions", access).body["results"]
    trial.report.require(any(one.get("admin") for one in listed), "the admin's session is not listed")
    trial.let_in("logout-all", owner.post("/v1/auth/logout-all", None, access))
    after = thief.send("GET", "/admin/", None, {})[0]
    trial.report.line("the admin's cookie after logout-all", after)
    trial.report.require(after != 200, "the admin's cookie still opens it after logout-all")


def replayed_refresh(trial: Trial) -> None:
    """Replay a copied refresh token without the first attempt's key, with another key, and late."""
    reused, keys = (401, "refresh_token_reused"), [secrets.token_urlsafe(16) for _ in range(2)]
    for name, key, late in (
        ("another key at once", keys[1], False),
        ("another key, late", keys[1], True),
        ("no key, late", None, True),
        ("the key after the successor was used", keys[0], True),
    ):
        person = trial.instance.people(1)[0]
        tokens, owner = trial.signed_in(person), trial.device()
        first = owner.post(
            "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, {"Idempotency-Key": keys[0]}
        )
        if late:
            trial.instance.rows(_LATE, person.id)
        if key == keys[0]:
            again = _refresh(trial, tokens, key)
            trial.let_in("the key, late, before that", again)
            owner.get("/v1/auth/me", bearer(tokens_of(first.body)["access_token"]))
        trial.refused(f"refresh, {name}", _refresh(trial, tokens, key), reused)


def _refresh(trial: Trial, tokens: dict[str, str], key: str | None) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return trial.device().post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, headers)


def found_passkey(trial: Trial) -> None:
    """Set a PIN on a found security key that had none: it must not sign its finder in."""
    for name, flags in (("made without a PIN", FLAG.UP), ("made with one", FLAG.UP | FLAG.UV)):
        person = trial.instance.people(1)[0]
        device = trial.device()
        access = bearer(trial.signed_in(person)["access_token"])
        key, origin = SoftPasskey(), f"http://localhost:{trial.instance.ports['web']}"
        options = device.post("/v1/auth/mfa/passkeys/options", None, access).body
        made = key.make(options, rp_id=options["rp"]["id"], origin=origin, flags=flags)
        trial.let_in(f"a passkey {name}", device.post("/v1/auth/mfa/passkeys", {"credential": made}, access))
        asked = device.post("/v1/auth/passkey/options", {}).body
        signed = key.sign(asked, rp_id=asked["rpId"], origin=origin)
        answer = trial.device().post("/v1/auth/passkey/login", {"credential": signed})
        if flags == FLAG.UP:
            trial.refused(f"a passkey {name}, alone", answer, (401, "passkey_invalid"))
        else:
            trial.let_in(f"a passkey {name}, alone", answer)


def trojan_account(trial: Trial) -> None:
    """Move Mallory's account to a victim's address, then take it back once credits have been bought for it."""
    mallory = trial.instance.people(1)[0]
    victim = f"victim-{secrets.token_hex(4)}@attack.example"
    access = bearer(trial.signed_in(mallory)["access_token"])
    device = trial.device()
    trial.let_in("change-email", device.post("/v1/auth/change-email", {"new_email": victim}, access))
    confirm = trial.link(victim, "confirm-email-change")
    trial.let_in("the confirmation", device.post("/v1/auth/confirm-email-change", {"token": confirm}))
    device.post("/v1/auth/password-reset-request", {"email": victim})
    reset = {"token": trial.link(victim, "password-reset"), "new_password": secrets.token_urlsafe(15)}
    trial.let_in("the victim's password", device.post("/v1/auth/password-reset", reset))
    shop = Caller(trial.instance.ports["internal"], {"X-API-Key": trial.instance.api_key})
    trial.let_in(
        "what the victim buys", _credits(shop, "add", mallory, amount=100, type="purchase", reference="paid")
    )
    undo = {"token": trial.link(mallory.email, "undo-email-change")}
    trial.let_in("Mallory's undo", device.post("/v1/auth/undo-email-change", undo))
    contested = (403, "account_contested")
    trial.refused("spending what the victim bought", _credits(shop, "use", mallory, amount=1), contested)
    body = {"user_id": mallory.id}
    bought = shop.post("/v1/billing/setup-intents", body, {"Idempotency-Key": secrets.token_hex(8)})
    trial.refused("buying with the victim's card", bought, contested)
    trial.instance.manage("shell", "-v0", "-c", _SETTLE.format(user_id=mallory.id))
    trial.let_in("spending once staff have decided", _credits(shop, "use", mallory, amount=1))


def _credits(shop: Caller, verb: str, person: Person, **body: object) -> Answer:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    return shop.post(f"/v1/credits/{verb}", {"user_id": person.id, **body}, key)
