"""Every text of mails and pages is translated into every language, and what Django reads is what was translated.

A new text fails here: `script/catalogues` writes it into locale/*/LC_MESSAGES/django.po; translate it, run it again.
"""

import polib
import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

import catalogues
from tests.listeners import ListenerClient


def test_the_languages_are_those_of_the_settings() -> None:
    assert (
        {"en", *catalogues.LANGUAGES}
        == set(settings.MAIL_LANGUAGES)
        == {code for code, _ in settings.LANGUAGES}
    )


def test_the_texts_are_found() -> None:
    """In templates and modules: the check below is not one of nothing."""
    found = catalogues.messages()
    assert len(found) > 130
    assert "accounts/mail/kinds.py" in found["Confirm your email address"]
    assert "templates/pages/verify_email.html" in found["Confirm your email address"]
    assert (
        "templates/mail/verify_email.txt" in found["The links are valid for %(hours)s hours and work once."]
    )


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
class TestCatalogue:
    def test_nothing_is_missing(self, language: str) -> None:
        faults = [str(fault) for fault in catalogues.faults(language)]
        assert not faults, "\n".join(
            ["Translate these (locale/README.md says how), then run script/catalogues:", *faults]
        )

    def test_both_files_are_what_script_catalogues_writes(self, language: str) -> None:
        assert catalogues.is_up_to_date(language), "run script/catalogues and commit what it writes"

    def test_django_says_what_the_catalogue_says(self, language: str) -> None:
        entries = polib.mofile(str(catalogues.po_file(language).with_suffix(".mo")))
        with translation.override(language):
            assert all(gettext(entry.msgid) == entry.msgstr for entry in entries)

    def test_nobody_is_addressed_two_ways(self, language: str) -> None:
        """Formal throughout: no `du`, `tu`, `tú`."""
        informal = {
            "de": "du dein deine dich dir",
            "es": "tu tus tú ti",
            "fr": "tu ton tes toi",
            "it": "tu tuo tua tuoi",
        }
        words = {
            word.strip(".,:;?!()")
            for entry in catalogues.catalogue(language)
            for word in entry.msgstr.lower().split()
        }
        assert not words & set(informal[language].split())


@pytest.mark.parametrize(
    ("accepted", "language", "title"),
    [
        ("de", "de", "Passwort vergessen?"),
        ("de-AT,en;q=0.5", "de", "Passwort vergessen?"),
        ("pt, it;q=0.8, en;q=0.9", "en", "Forgot your password?"),
        ("pt, it;q=0.9, en;q=0.8", "it", "Ha dimenticato la password?"),
        ("fr-CA", "fr", "Mot de passe oublié\u00a0?"),
        ("es_ES,,;;q=x", "en", "Forgot your password?"),
        ("*", "en", "Forgot your password?"),
        ("", "en", "Forgot your password?"),
    ],
)
def test_a_page_speaks_the_browsers_language(
    accepted: str, language: str, title: str, public: ListenerClient
) -> None:
    page = public.get("/v1/auth/password-reset-request", HTTP_ACCEPT_LANGUAGE=accepted)
    assert f'<html lang="{language}">' in page.content.decode()
    assert f"<h1>{title}</h1>" in page.content.decode()
    assert "Accept-Language" in page.headers["Vary"]


@pytest.mark.django_db
def test_so_does_a_refusal_and_the_api_does_not(public: ListenerClient) -> None:
    path, german = "/v1/auth/verify-email", "de"
    form = public.raw(
        "POST",
        path,
        b"token=x",
        content_type="application/x-www-form-urlencoded",
        HTTP_ACCEPT_LANGUAGE=german,
    )
    assert "Der Link oder Code ist nicht mehr gültig." in form.content.decode()
    assert (
        public.post(path, {"token": "x"}, HTTP_ACCEPT_LANGUAGE=german)
        .json()["detail"]
        .startswith("The link or code")
    )


@pytest.mark.django_db
def test_so_does_a_password_that_is_refused(public: ListenerClient) -> None:
    body, german = b"token=x&new_password=short", {"HTTP_ACCEPT_LANGUAGE": "de"}
    form = public.raw(
        "POST", "/v1/auth/password-reset", body, content_type="application/x-www-form-urlencoded", **german
    )
    assert form.status_code == 400
    assert '<html lang="de">' in form.content.decode()
