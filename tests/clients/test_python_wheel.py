"""The wheel as people get it: built, installed beside FastAPI alone, and every example of its README carried out."""

import os
import re
import signal
import socket
import subprocess
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from accounts.models import User
from auth_service_client.testing import signed_delivery, webhook_secret
from free_ports import free_port
from processes import die_with_parent
from tests.clients.conftest import KEY
from tests.clients.packages import ROOT, python_packages, run
from tests.waiting import eventually

SOURCE = ROOT / "clients" / "python"
EXAMPLES = re.findall(r"```python\n(.*?)```", (SOURCE / "README.md").read_text(), re.DOTALL)
PROTECTED, OF_DJANGO, CREDITS, EVENTS = EXAMPLES
SECRET = webhook_secret()
pytestmark = pytest.mark.django_db(transaction=True)


def test_the_wheel_has_every_module_and_its_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = SOURCE / "src" / "auth_service_client"
    expected = {f"auth_service_client/{path.name}" for path in package.glob("*") if path.is_file()}
    assert "auth_service_client/py.typed" in expected
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_its_version_is_the_services() -> None:
    versions = {
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in (ROOT, SOURCE)
    }
    assert len(versions) == 1


def test_httpx_is_all_that_it_needs(site: Path) -> None:
    script = "import auth_service_client, sys; print({'django', 'fastapi', 'jwt'} & {*sys.modules})"
    assert run([python_packages(), "-c", script], site, {"PYTHONPATH": str(site)}).strip() == "set()"


def program(*parts: str, url: str) -> str:
    return "\n".join([f"API_KEY, SECRET = {KEY!r}, {SECRET!r}", *parts]).replace("http://internal:8001", url)


@pytest.fixture
def app(site: Path, tmp_path: Path, url: str) -> Iterator[str]:
    """The examples about FastAPI, served by uvicorn; who was reminded of their credits is in `reminded`."""
    remind = "def remind(user_id, available): open('reminded', 'a').write(f'{user_id} {available}')"
    source = program("from fastapi import Request", PROTECTED, remind, EVENTS, url=url)
    (tmp_path / "app.py").write_text(source)
    port = free_port()
    command: list[str | Path] = [
        python_packages(),
        "-m",
        "uvicorn",
        "app:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )
    try:
        eventually(lambda: is_there(port) or server.poll() is not None, "the app answers")
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def is_there(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        time.sleep(0.05)
        return False
    return True


def test_an_app_of_fastapi_lets_in_who_is_signed_in(
    app: str, tmp_path: Path, user: User, verified_user: User, access_token: Callable[[User], str]
) -> None:
    def ask(token: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(f"{app}/report", headers=headers)

    assert ask(access_token(verified_user)).json() == {"user": str(verified_user.pk)}
    assert [ask(token).status_code for token in (None, "x", "a.b.c", access_token(user))] == [
        401,
        401,
        401,
        403,
    ]
    assert ask(None).headers["WWW-Authenticate"] == "Bearer"
    body, headers = signed_delivery(SECRET, "credits.low", {"threshold": 10, "available": 3}, user_id="u1")
    assert httpx.post(f"{app}/events", content=body, headers=headers).status_code == 204
    assert (tmp_path / "reminded").read_text() == "u1 3"
    schemes = httpx.get(f"{app}/openapi.json").json()["components"]["securitySchemes"]
    assert [scheme["scheme"] for scheme in schemes.values()] == ["bearer"]


def test_the_example_of_credits_spends_what_it_says(
    site: Path, tmp_path: Path, url: str, buyer: str, balance: Callable[[str], tuple[int, int]]
) -> None:
    about = (
        f"from types import SimpleNamespace\nuser_id, picture_id, prompt = {buyer!r}, 1, 'Why?'\n"
        "def ask_the_model(prompt): return SimpleNamespace(tokens=1500)"
    )
    source = program(about, CREDITS.replace("amount=500", "amount=50"), url=url)
    run([python_packages(), "-c", source], tmp_path, {"PYTHONPATH": str(site)})
    assert balance(buyer) == (100 - 30 - 15, 0)


def test_the_settings_for_django_name_what_is_there(site: Path) -> None:
    modules = set(re.findall(r"auth_service_client\.(\w+)\.\w+", OF_DJANGO))
    assert modules == {"django", "drf"}
    assert all((site / "auth_service_client" / f"{name}.py").exists() for name in modules)
