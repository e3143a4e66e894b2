"""Google down: signing in with it gets a quick 503, and signing in with a password is not affected."""

import os
import signal

import httpx

import people
from calls import Answer
from google_browser import Browser, provider_of
from google_trial import PERSON, Trial

SECONDS = 5.0  # in which the 503 is there
BACK = 60.0  # in which signing in works again; a provider that started anew has a key that is looked for every 30 s
CALLS = 4


def away(trial: Trial) -> None:
    """Let Google accept connections without answering, then kill it."""
    before = password_logins(trial)
    stopped(trial, before)
    killed(trial, before)


def password_logins(trial: Trial) -> float:
    """Return the slowest sign-in, in seconds; each must succeed."""
    answers = [people.login(trial.instance, person) for person in trial.instance.people(CALLS)]
    statuses = sorted({answer.status for answer in answers}, key=str)
    trial.report.require(statuses == [200], f"signing in with a password was answered {statuses}")
    return max(answer.seconds for answer in answers)


def stopped(trial: Trial, before: float) -> None:
    waiting = [begun(trial) for _ in range(CALLS)]
    provider = trial.instance.process("google")
    os.kill(provider, signal.SIGSTOP)
    try:
        answers = [browser.come_back(brought) for browser, brought in waiting]
        slowest = password_logins(trial)
    finally:
        os.kill(provider, signal.SIGCONT)
    judge(trial, "Google silent", answers, slowest, before)
    trial.report.line("signing in again after", f"{until_it_works(trial):.1f} s")


def killed(trial: Trial, before: float) -> None:
    """Kill the provider; the supervisor restarts it with another key and without accounts."""
    waiting = [begun(trial) for _ in range(2)]
    os.kill(trial.instance.process("google"), signal.SIGKILL)
    answers = [browser.come_back(brought) for browser, brought in waiting]
    judge(trial, "Google gone", answers, password_logins(trial), before)
    trial.instance.await_(lambda: knows(trial), "the fake Google did not come back", within=BACK)
    trial.report.line("signing in again after", f"{until_it_works(trial):.1f} s")


def begun(trial: Trial) -> tuple[Browser, dict[str, str]]:
    browser = trial.browser()
    return browser, trial.google.authorize(browser.begin(), PERSON)


def judge(trial: Trial, name: str, answers: list[Answer], slowest: float, before: float) -> None:
    longest = max(answer.seconds for answer in answers)
    codes = sorted({f"{answer.status} {answer.code}" for answer in answers})
    trial.report.line(name, ", ".join(codes), f"in {longest:.1f} s", f"password {slowest:.2f} s")
    trial.report.require(codes == ["503 google_unavailable"], f"{name}: answered {codes}")
    trial.report.require(not any(answer.fault() for answer in answers), f"{name}: no Retry-After")
    trial.report.require(longest < SECONDS, f"{name}: the 503 took {longest:.1f} s")
    allowed = max(1.0, 3 * before)
    trial.report.require(slowest < allowed, f"{name}: signing in with a password took {slowest:.1f} s")


def knows(trial: Trial) -> bool:
    try:
        trial.google = provider_of(trial.instance)
        trial.google.add(PERSON, email=trial.email)
    except (httpx.HTTPError, ValueError):
        return False
    return True


def until_it_works(trial: Trial) -> float:
    def works() -> bool:
        browser, brought = begun(trial)
        return browser.come_back(brought).done

    return trial.instance.await_(works, "nobody can sign in with Google again", within=BACK)
