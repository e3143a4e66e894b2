"""Further steps of the canary: second factors, Google, Stripe, pages, a member of staff. Each records its secrets."""

import json
import re
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import dev_env
import fake_google_child
import fake_stripe_child
from calls import Answer, Caller, random_address
from google_browser import CALLBACK, TOKEN, Browser, parameters, provider_of
from instance import Instance
from pages import Pages
from tests.authenticators import SoftPasskey, code_of, next_code, wrong_code

if TYPE_CHECKING:
    from canaries import Canary

LISTENERS = ("web", "internal", "admin")
SUBJECT = "canary"
Headers = dict[str, str]


def of_the_instance(instance: Instance) -> dict[str, str]:
    """Return the secrets that the processes were started with."""
    kept = dev_env.load(instance.directory / "dev.env")
    ours = {name: kept[name] for name in dev_env.MAKERS if name != "ADMIN_EMAIL"}
    return {
        **ours,
        "Google's client secret": fake_google_child.CLIENT_SECRET,
        "Stripe's key": fake_stripe_child.KEY,
        "Stripe's webhook secret": fake_stripe_child.WEBHOOK_SECRET,
    }


# ---------------------------------------------------------------- second factors


def enrol(device: Caller, canary: "Canary", bearer: Headers) -> list[Answer]:
    """Enrol an app, its recovery codes, and a passkey. Return the refused answers."""
    secret = str(must(device.post("/v1/auth/mfa/totp", None, bearer)).body["secret"])
    canary.secrets["TOTP secret"] = secret
    wrong = device.post("/v1/auth/mfa/totp/confirm", {"code": wrong_code(secret)}, bearer)
    right = must(device.post("/v1/auth/mfa/totp/confirm", {"code": code_of(secret)}, bearer))
    for number, code in enumerate(right.body["recovery_codes"]):
        canary.secrets[f"recovery code {number}"] = code
    return [wrong, *_enrol_passkey(device, canary, bearer)]


def _enrol_passkey(device: Caller, canary: "Canary", bearer: Headers) -> list[Answer]:
    canary.passkey = SoftPasskey()
    options = must(device.post("/v1/auth/mfa/passkeys/options", None, bearer)).body
    made = canary.passkey.make(options, rp_id=options["rp"]["id"], origin=canary.origin)
    body = {"credential": made, "name": canary.name}
    spoilt = {**made, "response": {**made["response"], "clientDataJSON": canary.password}}
    refused = device.post("/v1/auth/mfa/passkeys", {"credential": spoilt, "name": canary.name}, bearer)
    again = must(device.post("/v1/auth/mfa/passkeys/options", None, bearer)).body
    made = canary.passkey.make(again, rp_id=again["rp"]["id"], origin=canary.origin)
    must(device.post("/v1/auth/mfa/passkeys", {**body, "credential": made}, bearer))
    canary.secrets |= {
        "passkey attestation": made["response"]["attestationObject"],
        "passkey client data": made["response"]["clientDataJSON"],
        "passkey credential": made["id"],
    }
    return [refused]


def second_step(device: Caller, canary: "Canary", half: Answer) -> list[Answer]:
    """Try wrong codes with the token of a half-finished sign-in, then open the account with a passkey."""
    token = str(half.body["mfa_token"])
    canary.secrets[f"mfa_token {len(canary.secrets)}"] = token
    secret, recovery = canary.secrets["TOTP secret"], canary.secrets["recovery code 0"]
    wrong = [
        device.post("/v1/auth/login/mfa", {"mfa_token": token, "code": wrong_code(secret)}),
        device.post("/v1/auth/login/mfa", {"mfa_token": recovery, "code": token}),
        device.post("/v1/auth/login/mfa", {"mfa_token": token, "code": [recovery, secret]}),
        device.post("/v1/auth/refresh", {"refresh_token": token}),
    ]
    right = must(device.post("/v1/auth/login/mfa", {"mfa_token": token, "code": recovery}))
    canary.note(right.body)
    used = device.post("/v1/auth/login/mfa", {"mfa_token": token, "code": recovery})
    return [*wrong, used, *_by_passkey(device, canary)]


def _by_passkey(device: Caller, canary: "Canary") -> list[Answer]:
    options = must(device.post("/v1/auth/passkey/options")).body
    signed = canary.passkey.sign(options, rp_id=options["rpId"], origin=canary.origin)
    body = {"credential": signed}
    canary.secrets["passkey signature"] = signed["response"]["signature"]
    right = must(device.post("/v1/auth/passkey/login", body))
    canary.note(right.body)
    return [device.post("/v1/auth/passkey/login", body)]


# ---------------------------------------------------------------- Google


def google(instance: Instance, canary: "Canary", bearer: Headers) -> list[Answer]:
    """Link by an ID token, sign in by the redirect, then try both again once they are used up."""
    provider, browser = provider_of(instance), Browser(instance)
    provider.add(SUBJECT, email=canary.email)
    text = provider.forge(provider.claims(SUBJECT, nonce=browser.nonce(), email=canary.email))
    canary.secrets["Google's ID token"] = text
    must(browser.caller.post("/v1/auth/google/link", {"id_token": text}, bearer))
    brought = provider.authorize(browser.begin(), SUBJECT)
    cookie = browser.cookie.partition("=")[2]
    canary.secrets |= {"Google's code": brought["code"], "state": brought["state"], "Google's cookie": cookie}
    half = browser.come_back(brought)
    foreign = parameters(browser.begin())["state"]
    return [
        browser.come_back(brought),
        browser.come_back({**brought, "state": foreign}),
        browser.caller.get(f"{CALLBACK}?code={quote(brought['code'])}&error={quote(text)}"),
        browser.caller.post(TOKEN, {"id_token": text}),
        browser.caller.post(TOKEN, {"id_token": [text]}),
        browser.caller.post("/v1/auth/exchange", {"code": brought["code"]}),
        browser.caller.get("/v1/auth/me", {"Authorization": f"Bearer {text}"}),
        *second_step(browser.caller, canary, half),
    ]


# ---------------------------------------------------------------- Stripe


def stripe(service: Caller, device: Caller, canary: "Canary", user_id: str) -> list[Answer]:
    body = {"user_id": user_id}
    made = must(service.post("/v1/billing/setup-intents", body, {"Idempotency-Key": secrets.token_hex(8)}))
    secret = str(made.body["client_secret"])
    canary.secrets["Stripe's client secret"] = secret
    signature = f"t={int(time.time())},v1={fake_stripe_child.WEBHOOK_SECRET}"
    return [
        device.post("/v1/billing/webhook", {"client_secret": secret}, {"Stripe-Signature": signature}),
        service.get(f"/v1/billing/payment-methods?user_id={secret}"),
        service.get(f"/v1/billing/checkout-sessions/{secret}?user_id={user_id}"),
        service.post("/v1/billing/setup-intents", {**body, secret: 1}, {"Idempotency-Key": secret}),
    ]


# ---------------------------------------------------------------- pages


def pages(instance: Instance, canary: "Canary", link: str) -> list[str]:
    """Request pages of mailed links that are refused, and paths that no listener has."""
    refused = []
    for listener in LISTENERS:
        there = Pages(instance.ports[listener], address=canary.ip)
        for path in (
            f"/{link}/{canary.password}",
            f"/admin/{canary.password}",
            f"/v1/{canary.email}?token={link}",
        ):
            there.get(f"{path}?password={quote(canary.password)}")
            there.post(path, {"email": canary.email, "password": canary.password, "token": link})
        refused += there.refused
    public = Pages(instance.ports["web"], address=canary.ip)
    public.post("/v1/auth/verify-email", {"token": link})
    public.post("/v1/auth/verify-email", {"email": canary.email, "code": canary.secrets["mailed code"]})
    public.post("/v1/auth/verify-email", {"email": canary.password, "token": link, "code": canary.password})
    public.post("/v1/auth/password-reset", {"token": link, "new_password": canary.password})
    public.post(
        "/v1/auth/password-reset", {"token": link, "new_password": canary.password, "again": canary.password}
    )
    for path in ("confirm-email-change", "undo-email-change", "cancel-mfa-reset", "refuse-registration"):
        public.post(f"/v1/auth/{path}", {"token": link})
    _wrong_bodies(public, canary, link)
    return [*refused, *public.refused]


def _wrong_bodies(public: Pages, canary: "Canary", link: str) -> None:
    """Send bodies that are wrong, too large, or of an unsupported type."""
    whole = json.dumps({"email": canary.email, "password": canary.password, "token": link}).encode()
    for content_type in (
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ):
        public.send("POST", "/v1/auth/login", whole, {"Content-Type": content_type})
    for body in (whole[:-1], whole * 2, whole[:-1] + whole[1:], whole * 2000, f"\0{link}".encode()):
        public.send("POST", "/v1/auth/login", body, {"Content-Type": "application/json"})
    for method in ("PUT", "DELETE", "TRACE", "PATCH"):
        public.send(method, f"/v1/auth/login?token={link}", whole, {"Content-Type": "application/json"})


# ---------------------------------------------------------------- staff


def staff(instance: Instance, canary: "Canary") -> list[str]:
    """Sign in at the admin, making every possible mistake; from another address, as its records outlive the canary."""
    person = Pages(instance.ports["admin"], address=random_address())
    kept = dev_env.load(instance.directory / "dev.env")
    email, password = kept["ADMIN_EMAIL"], kept["ADMIN_PASSWORD"]
    secret = enrol_staff(instance, canary.secrets, person, email=email, password=password)
    person.cookies.clear()
    wrong = {"username": email, "password": canary.password}
    person.get(f"/admin/login/?next=/{canary.password}")
    person.post("/admin/login/", wrong, forged=True)
    person.cookies["csrftoken"] = canary.secrets["mailed link"]
    person.post("/admin/login/", wrong)
    person.cookies.clear()
    person.get("/admin/login/")
    person.post("/admin/login/", wrong)
    person.post("/admin/login/", {"username": canary.email, "password": canary.password})
    person.post("/admin/login/", {"username": email, "password": password})
    person.get("/admin/factor/")
    for code in (wrong_code(secret), canary.password, f"{next_code(secret)}0"):
        person.post("/admin/factor/", {"code": code})
    canary.secrets["admin's cookie"] = person.cookies.get("sessionid", canary.password)
    person.post("/admin/factor/", {"credential": json.dumps({"id": canary.password})})
    return person.refused


def enrol_staff(
    instance: Instance, secrets_of_it: dict[str, str], person: Pages, *, email: str, password: str
) -> str:
    """Enrol the first factor through the one-time link. Its page must show the secret and codes, so that is not
    kept.
    """
    status, said = instance.manage("staff_enrol", email)
    found = re.search(r"token=([\w.:%-]+)", said)
    if status or found is None:
        raise SystemExit(f"No link for staff: {said[-300:]}")
    person.get(f"/admin/enrol/?token={found[1]}")
    shown = person.post("/admin/enrol/", {"token": found[1], "password": password})
    secret = re.search(r'id="secret">\s*([A-Z2-7]+)\s*<', shown)
    if secret is None:
        raise SystemExit("The page for staff shows no secret")
    done = person.post("/admin/enrol/", {"token": found[1], "code": code_of(secret[1])})
    codes = re.findall(r"<li>([^<]+)</li>", done)
    secrets_of_it |= {"staff's link": found[1], "staff's TOTP secret": secret[1]}
    secrets_of_it |= {f"staff's recovery code {number}": code for number, code in enumerate(codes)}
    person.refused.clear()
    return secret[1]


def must(answer: Answer) -> Answer:
    if not answer.done:
        raise SystemExit(
            f"A step of the canary's life was answered {answer.status} {answer.code} {answer.body}"
        )
    return answer
