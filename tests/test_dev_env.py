"""`$VAR_DIR/dev.env`: written once, kept, completed, private."""

import stat
import subprocess
from pathlib import Path

import dev_env
from accounts.service_keys.form import key_id


def test_is_made_with_fresh_secrets_for_its_owner_only(tmp_path: Path) -> None:
    first, second = dev_env.load(tmp_path / "first"), dev_env.load(tmp_path / "second")
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600
    differing = {name for name in first if first[name] != second[name]}
    assert differing == set(first) - {"ADMIN_EMAIL"}


def test_is_read_back_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    made = dev_env.load(path)
    text = path.read_text()
    assert dev_env.load(path) == made
    assert path.read_text() == text


def test_variables_of_a_later_version_are_added(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    path.write_text("# mine\nADMIN_EMAIL='me@example.org'\nEMAIL_URL=smtp://localhost:1025")
    values = dev_env.load(path)
    assert values["ADMIN_EMAIL"] == "me@example.org"
    assert values["EMAIL_URL"] == "smtp://localhost:1025"
    assert set(values) >= set(dev_env.MAKERS)
    assert path.read_text().startswith(
        "# mine\nADMIN_EMAIL='me@example.org'\nEMAIL_URL=smtp://localhost:1025\n"
    )


def test_the_clients_key_opens_the_service_named_demo(tmp_path: Path) -> None:
    values = dev_env.load(tmp_path / "dev.env")
    assert key_id(values["INTERNAL_API_KEY"])
    assert values["INTERNAL_API_KEYS"] == f"demo={values['INTERNAL_API_KEY']}:*"


def test_a_key_of_the_version_before_gets_its_scopes(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    key = dev_env.load(path)["INTERNAL_API_KEY"]
    path.write_text(path.read_text().replace(":*", ""))
    for _ in range(2):
        assert dev_env.load(path)["INTERNAL_API_KEYS"] == f"demo={key}:*"
    assert dev_env.parse(path.read_text())["INTERNAL_API_KEYS"] == f"demo={key}:*"


def test_a_shell_reads_it_too(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    values = dev_env.load(path)
    for name, value in values.items():
        read = subprocess.run(
            ["/bin/sh", "-c", f'. "$0"; printf %s "${name}"', path], capture_output=True, check=True
        )
        assert read.stdout.decode() == value
