"""Tokens used where they do not belong, and Google accounts used to get into someone else's account."""

import people
from calls import Caller
from crowd import tokens_of
from google_browser import parameters
from google_trial import STATE_INVALID, Trial
from tests.fake_google.bad_tokens import INVALID


def other_kinds(trial: Trial) -> None:
    """Send our tokens where Google's belong, and Google's where ours belong."""
    tokens = tokens_of(people.login(trial.instance, trial.instance.people(1)[0]).body)
    trial.look()
    browser = trial.browser()
    ours = {
        "access token": tokens["access_token"],
        "refresh token": tokens["refresh_token"],
        "state": parameters(browser.begin())["state"],
        "nonce": browser.nonce(),
    }
    for name, text in ours.items():
        trial.refused(f"our {name} as ID token", trial.browser().bring(text), INVALID)
    google = trial.id_token(browser.nonce())
    device = Caller(trial.instance.ports["web"])
    bearer = device.get("/v1/auth/me", {"Authorization": f"Bearer {google}"})
    trial.refused("Google's as Bearer", bearer, (401, "access_token_invalid"))
    for path, field, refusal in (
        ("refresh", "refresh_token", (401, "refresh_token_invalid")),
        ("exchange", "code", (400, "token_invalid")),
        ("verify-email", "token", (400, "token_invalid")),
        ("undo-email-change", "token", (400, "token_invalid")),
    ):
        trial.refused(f"Google's at {path}", device.post(f"/v1/auth/{path}", {field: google}), refusal)
    half = device.post("/v1/auth/login/mfa", {"mfa_token": google, "code": "123456"})
    trial.refused("Google's as mfa_token", half, (401, "mfa_token_invalid"))
    trial.let_in("and where it belongs", browser.bring(google))


def taken_address(trial: Trial) -> None:
    """Check that an address never joins two accounts, however well Google vouches for it."""
    person = trial.instance.people(1)[0]
    trial.look()
    browser = trial.browser()
    text = trial.id_token(browser.nonce(), subject="602", email=person.email)
    trial.refused("ID token with the address of an account", browser.bring(text), (409, "account_exists"))
    url = browser.begin()
    text = trial.id_token(parameters(url)["nonce"], subject="602", email=person.email)
    refused = trial.redirected(browser, url, text)
    trial.refused("redirect with the address of an account", refused, (409, "account_exists"))


def links(trial: Trial) -> None:
    """Try bad tokens as a proof of identity and to link a Google account; and a link after signing out."""
    answer = people.login(trial.instance, trial.instance.people(1)[0])
    bearer = people.bearer(answer)
    browser = trial.browser()
    trial.look()
    trial.google.add("603", email=f"603-{trial.email}")
    link = browser.begin_link(bearer)
    for name, text, refusal in (
        ("forged", trial.google.forge(trial.google.claims("603", nonce=browser.nonce()), header={"kid": "x"}), INVALID),
        ("without our nonce", trial.id_token("altered", subject="603"), INVALID),
        ("of an address not verified", trial.id_token(browser.nonce(), subject="603", email_verified=False),
         (403, "google_email_not_verified")),
        ("of another's account", trial.id_token(browser.nonce()), (409, "google_account_taken")),
    ):  # fmt: skip
        body = {"id_token": text}
        trial.refused(f"link {name}", browser.caller.post("/v1/auth/google/link", body, bearer), refusal)
        proof = browser.caller.post("/v1/auth/reauthenticate", body, bearer)
        trial.report.require(proof.status == 403, f"a proof {name}: answered {proof.status}")
        trial.look()  # a proof that failed is noted
    thief = trial.browser()
    brought = trial.google.authorize(link, "603")
    trial.look()
    trial.refused("link in another browser", thief.come_back(brought), STATE_INVALID)
    browser.caller.post("/v1/auth/logout", None, bearer)
    trial.look()
    trial.refused("link after signing out", browser.come_back(brought), STATE_INVALID)
