"""The mail of development: whole files, links on the console."""

import email
import email.policy
from pathlib import Path

import pytest
from django.core.mail import EmailMultiAlternatives

from config.mail import FileBackend

LINK = "https://auth.test/v1/auth/verify-email?token=abc"


def test_a_message_is_a_file_and_its_link_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = EmailMultiAlternatives(
        "Willkommen, J\u00fcrgen", f"Open {LINK} please", "a@auth.test", ["j@example.com"]
    )
    message.attach_alternative(f'<a href="{LINK}">Open</a>', "text/html")
    assert FileBackend(file_path=tmp_path / "mail").send_messages([message, message]) == 2

    files = sorted((tmp_path / "mail").iterdir())
    assert [file.suffix for file in files] == [".eml", ".eml"]
    stored = email.message_from_bytes(files[0].read_bytes(), policy=email.policy.default)
    assert stored["Subject"] == "Willkommen, J\u00fcrgen"
    plain = stored.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().strip() == f"Open {LINK} please"
    assert b"\r\n" in files[0].read_bytes()

    shown = capsys.readouterr().out
    assert "j@example.com" in shown
    assert LINK in shown
