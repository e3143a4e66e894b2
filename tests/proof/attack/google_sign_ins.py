"""Forged sign-ins with Google, by redirect and by ID token (RFC 9700, OpenID Connect).

They run against the instance's fake Google, whose private key we have: each is refused as the contract says, and no
user, link or session is created or changed.
"""

import json

import google_accounts
import google_outage
from calls import Answer, Caller
from google_browser import GET, POST, Browser, changed, parameters
from google_trial import PERSON, STATE_INVALID, TABLES, Trial
from instance import Instance
from mail_sink import MailSink
from report import Report
from tests.fake_google.bad_tokens import BAD_CLAIMS, INVALID, forgeries, made
from traffic import at_once

AT_ONCE = 20
CODE_INVALID = (400, "oauth_code_invalid")
MADE_UP = ("", "x", ":", "x:y", "e30:AAAA", "A" * 3000, "\u00e9")
TOO_OLD = 601  # seconds
_AGED = """
import json
from accounts.google import state as google_state
now, made = google_state.now, []
for age in {ages!r}:
    google_state.now = lambda: now() - age
    state = google_state.new("sign_in", binding={binding!r})
    sent = {{"state": state.sealed(), "nonce": state.nonce, "code_challenge": state.code_challenge}}
    made.append([sent, google_state.new_nonce()])
print(json.dumps(made))
"""


def what_google_never_said(instance: Instance, _sink: MailSink, report: Report) -> None:
    trial = Trial(instance, report)
    trial.google.add(PERSON, email=trial.email)
    trial.let_in("a sign-in as it should be", sign_in(trial, trial.browser()))
    for name, attack in {
        "states": states,
        "states and nonces too old": too_old,
        "codes, PKCE": codes,
        "nonces": nonces,
        "claims": claims,
        "forged tokens": forged,
        "other tokens": google_accounts.other_kinds,
        "the address of an account": google_accounts.taken_address,
        "links and proofs": google_accounts.links,
        "20 at once": used_at_once,
    }.items():
        trial.chapter(name, attack)
    report.line("rows changed by what was refused", trial.changed, f"of {', '.join(TABLES)}")
    trial.let_in("a sign-in at the end", sign_in(trial, trial.browser()))
    google_outage.away(trial)


def sign_in(trial: Trial, browser: Browser, *, method: str = GET) -> Answer:
    return browser.come_back(trial.google.authorize(browser.begin(), PERSON), method=method)


# ---------------------------------------------------------------- states


def states(trial: Trial) -> None:
    for method in (GET, POST):
        _foreign_and_used(trial, method)
        for text in (*MADE_UP, trial.browser().nonce()):
            browser = trial.browser()
            browser.begin()
            answer = browser.come_back({"state": text, "code": "x"}, method=method)
            trial.refused(f"state {text[:9]!r}, {method}", answer, STATE_INVALID)
    browser = trial.browser()
    browser.begin()
    trial.refused("state missing", browser.come_back({"code": "x"}), STATE_INVALID)
    missing = browser.come_back({"code": "x"}, method=POST)
    trial.refused("state missing in the body", missing, (400, "validation_error"))
    nul = browser.come_back({"state": "\0", "code": "x"})
    trial.refused("state with a NUL", nul, (400, "validation_error"))


def _foreign_and_used(trial: Trial, method: str) -> None:
    victim, thief = trial.browser(), trial.browser()
    brought = trial.google.authorize(victim.begin(), PERSON)
    trial.refused("state, no cookie", thief.come_back(brought, method=method), STATE_INVALID)
    other = parameters(thief.begin())["state"]
    trial.refused("state of another browser", thief.come_back(brought, method=method), STATE_INVALID)
    mixed = victim.come_back({**brought, "state": other}, method=method)
    trial.refused("state of the thief in the victim's browser", mixed, STATE_INVALID)
    altered = brought["state"][:40] + ("A" if brought["state"][40] != "A" else "B") + brought["state"][41:]
    answer = victim.come_back({**brought, "state": altered}, method=method)
    trial.refused("state altered", answer, STATE_INVALID)
    trial.let_in("the state where it belongs", victim.come_back(brought, method=method))
    trial.refused("state used", victim.come_back(brought, method=method), STATE_INVALID)


def too_old(trial: Trial) -> None:
    """Use states made by the instance's own code and keys, but too old; fresh ones show that only the age is wrong."""
    browser = trial.browser()
    url = browser.begin()
    arguments = {"ages": [0, TOO_OLD], "binding": browser.cookie.partition("=")[2]}
    status, said = trial.instance.manage("shell", "-v0", "-c", _AGED.format(**arguments))
    if status:
        raise SystemExit(f"The old states could not be made:\n{said}")
    (fresh, fresh_nonce), (old, old_nonce) = json.loads(said.strip().splitlines()[-1])
    old_back = browser.come_back(trial.google.authorize(changed(url, **old), PERSON))
    trial.refused("state expired", old_back, STATE_INVALID)
    fresh_back = browser.come_back(trial.google.authorize(changed(url, **fresh), PERSON))
    trial.let_in("the same, but new", fresh_back)
    trial.refused("nonce expired", browser.bring(trial.id_token(old_nonce)), INVALID)
    trial.let_in("its nonce, but new", browser.bring(trial.id_token(fresh_nonce)))


# ---------------------------------------------------------------- codes and PKCE


def codes(trial: Trial) -> None:
    for method in (GET, POST):
        for code in ("", "x", "\u00e9", "A" * 3000, None):
            browser = trial.browser()
            sent = {"state": parameters(browser.begin())["state"], **({} if code is None else {"code": code})}
            trial.refused(f"code {code!r:.9}", browser.come_back(sent, method=method), CODE_INVALID)
    browser = trial.browser()
    brought = trial.google.authorize(browser.begin(), PERSON)
    trial.let_in("a code", browser.come_back(brought))
    for name, code in {"replayed": brought["code"], "stolen": stolen_code(trial)}.items():
        state = parameters(browser.begin())["state"]
        trial.refused(f"code {name}", browser.come_back({"state": state, "code": code}), CODE_INVALID)
    pkce(trial)


def stolen_code(trial: Trial) -> str:
    """Try the code of another sign-in: it belongs to the challenge with which it was requested (RFC 7636)."""
    return str(trial.google.authorize(trial.browser().begin(), PERSON)["code"])


def pkce(trial: Trial) -> None:
    browser = trial.browser()
    url = browser.begin()
    bare = changed(url, code_challenge=None, code_challenge_method=None)
    answer = trial.google.http.post(bare, data={"sub": PERSON})
    code = parameters(answer.headers.get("location", "")).get("code", "none was given")
    sent = {"state": parameters(url)["state"], "code": code}
    trial.refused("PKCE stripped", browser.come_back(sent), CODE_INVALID)
    url = browser.begin()
    swapped = changed(url, code_challenge=parameters(trial.browser().begin())["code_challenge"])
    answer_to_swapped = browser.come_back(trial.google.authorize(swapped, PERSON))
    trial.refused("PKCE swapped", answer_to_swapped, CODE_INVALID)


# ---------------------------------------------------------------- nonces, claims, keys


def nonces(trial: Trial) -> None:
    for name, word in {"dropped": None, "empty": "", "altered": "altered"}.items():
        browser = trial.browser()
        url = changed(browser.begin(), nonce=word)
        trial.refused(f"nonce {name}", browser.come_back(trial.google.authorize(url, PERSON)), INVALID)
    browser = trial.browser()
    word = browser.nonce()
    first = trial.id_token(word)
    trial.let_in("a nonce", browser.bring(first))
    trial.refused("nonce and token used", browser.bring(first), INVALID)
    trial.refused("nonce used", browser.bring(trial.id_token(word, subject="601")), INVALID)
    sent = parameters(browser.begin())
    for name in ("nonce", "state"):
        answer = browser.bring(trial.id_token(sent[name]))
        trial.refused(f"the {name} of a redirect as a nonce", answer, INVALID)
    url = changed(browser.begin(), nonce=browser.nonce())
    answer = browser.come_back(trial.google.authorize(url, PERSON))
    trial.refused("a nonce for ID tokens in the redirect", answer, INVALID)
    for altered in (browser.nonce()[:-1], browser.nonce() + "A", "0" + browser.nonce()):
        trial.refused("nonce altered", browser.bring(trial.id_token(altered)), INVALID)


def claims(trial: Trial) -> None:
    """Try each bad claim by ID token and by redirect, for a person who already has an account and one who has none."""
    for subject in (PERSON, "601"):
        for name, (bad, refusal) in BAD_CLAIMS.items():
            browser = trial.browser()
            good = made(trial.google, bad, browser.nonce(), subject=subject)
            trial.refused(f"{name}, ID token", browser.bring(trial.google.forge(good)), refusal)
            url = browser.begin()
            good = made(trial.google, bad, parameters(url)["nonce"], subject=subject)
            answer = trial.redirected(browser, url, trial.google.forge(good))
            trial.refused(f"{name}, redirect", answer, refusal)


def forged(trial: Trial) -> None:
    """Try a wrong header, key or signature with good claims."""
    browser = trial.browser()
    good = made(trial.google, {}, browser.nonce())
    for name, text in forgeries(trial.google, good):
        trial.refused(f"{name}, ID token", trial.browser().bring(text), INVALID)
    for name in [name for name, _ in forgeries(trial.google, good)]:
        browser = trial.browser()
        url = browser.begin()
        candidates = forgeries(trial.google, made(trial.google, {}, parameters(url)["nonce"]))
        text = next(text for other, text in candidates if other == name)
        trial.refused(f"{name}, redirect", trial.redirected(browser, url, text), INVALID)
    for nothing in ("null", "5", "{}", "[]", '""'):
        browser = trial.browser()
        refused = trial.redirected(browser, browser.begin(), json.loads(nothing))
        trial.refused(f"{nothing} for an ID token", refused, INVALID)
    browser = trial.browser()
    url = browser.begin()
    native = trial.id_token(parameters(url)["nonce"], aud=trial.google.clients[1])
    answer_to_native = trial.redirected(browser, url, native)
    trial.refused("the native app's token in the redirect", answer_to_native, INVALID)


# ---------------------------------------------------------------- at once


def used_at_once(trial: Trial) -> None:
    """Present one state with its code, and one ID token, twenty times at once each: only one gets in."""
    browser = trial.browser()
    brought = trial.google.authorize(browser.begin(), PERSON)
    text = trial.id_token(browser.nonce())
    for name, call, refusal in (
        ("state", lambda other: other.come_back(brought), STATE_INVALID),
        ("ID token", lambda other: other.bring(text), INVALID),
    ):
        before = trial.rows["sessions"][0]
        browsers = [Browser(trial.instance, cookie=browser.cookie) for _ in range(AT_ONCE)]
        jobs = [lambda _, one=one, call=call: call(one) for one in browsers]
        answers: list[Answer] = at_once(jobs, lambda: Caller(trial.instance.ports["web"]))
        good = sum(answer.status == 200 for answer in answers)
        strange = {(a.status, a.code) for a in answers if a.status != 200} - {refusal}
        trial.answers.update(f"{answer.status} {answer.code}".strip() for answer in answers)
        trial.report.require(good == 1, f"{name} at once: {good} got in")
        trial.report.require(not strange, f"{name} at once: answered {sorted(map(str, strange))}")
        made_now = trial.look()["sessions"][0] - before
        trial.report.require(made_now == 1, f"{name} at once: {made_now} sessions")
