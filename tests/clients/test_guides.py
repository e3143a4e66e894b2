"""The quickstart and the guides, followed to the letter: every block is carried out against a running service.

`machine` stands in for a newcomer's: `pip` and `npm` install nothing, since wheel and package are built already;
`script/manage` is manage.py on the tests' database; ports are free ones.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.utils import timezone

import fake_stripe_child
from accounts.models import User
from credits import ledger
from credits.ledger.calls import Call
from free_ports import free_port
from tests.clients.conftest import KEY, environment
from tests.clients.lossy_proxy import LOST, LossyProxy, Refusal
from tests.clients.packages import HERE, NODE, ROOT, copied, node_packages, python_packages, run
from tests.fake_stripe.control import Control
from tests.fixtures import issue_access_token
from tests.served import Served, served

pytestmark = pytest.mark.django_db(transaction=True)
DOCS = ROOT / "docs"
QUICKSTART = DOCS / "quickstart.md"
GUIDES = sorted((DOCS / "guides").glob("*.md"))
BLOCK = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
SHELL, ANSWER, SERVER, SERVICE = "sh", "Answer", "Serve it, in the background", "Terminal 1"
EMAIL, PASSWORD = "ada@example.com", "seven green bicycles"
# Next.js serves the route handlers of `app`, and notices new ones; it is not installed for this.
NEXT = """
import { createServer } from "node:http";
createServer(async (request, response) => {
  const call = request.url.split("/api/")[1];
  const route = await import(call ? "./app/api/[call]/route.ts" : "./app/report/route.ts");
  const { method, headers } = request;
  const body = method === "GET" ? {} : { body: await Array.fromAsync(request).then(Buffer.concat) };
  const answer = await route[method](new Request(`http://here${request.url}`, { method, headers, ...body }), {
    params: Promise.resolve({ call }),
  });
  response.writeHead(answer.status, [...answer.headers].flat()).end(await answer.text());
}).listen(9000, "127.0.0.1");
"""
STAND_INS = {"app/report/route.ts": ("next.mjs", NEXT, "node next.mjs")}


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.findall(page.read_text())
    return [
        Block(language, title, re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, title, text in found
    ]


@dataclass(frozen=True)
class Machine:
    """A newcomer's: an empty folder, and a shell that knows the checkout."""

    folder: Path
    environment: dict[str, str]
    ports: dict[str, str]

    def follow(self, page: Path) -> None:
        """Carry out a page, and compare what it prints with the answers that the page shows."""
        found = blocks(page)
        steps = [self._step(number, block) for number, block in enumerate(found)]
        shown = self._run("\n".join([PRELUDE, *steps]))
        outputs = dict(re.findall(r"^@@(\d+)\n(.*?)(?=^@@|\Z)", shown, re.MULTILINE | re.DOTALL))
        for number, block in enumerate(found):
            if block.title == ANSWER:
                assert re.search(pattern_of(block.text), outputs[str(number - 1)], re.DOTALL), outputs

    def _step(self, number: int, block: Block) -> str:
        """Return what a shell does about a block."""
        if block.language == SHELL and block.title == SERVER:
            return self._server(block.text.partition(" &")[0])
        if block.language == SHELL and block.title != SERVICE:
            return f"echo '@@{number}'\n{self._here(block.text)}echo"
        if "." not in block.title:
            return ""
        return self._file(block.title, block.text) + self._stand_in(block.title)

    def _stand_in(self, file: str) -> str:
        """Serve a file that a server of the reader's, which is not installed here, would serve."""
        if file not in STAND_INS:
            return ""
        name, text, command = STAND_INS[file]
        return f"\n{self._file(name, text)}\n{self._server(command)}"

    def _file(self, name: str, text: str) -> str:
        return f"mkdir -p '{Path(name).parent}'\ncat > '{name}' <<'THE_END'\n{self._here(text)}THE_END"

    def _server(self, command: str) -> str:
        port = self.ports["9000"]
        return f"({self._here(command.strip())}) > server.log 2>&1 &\nwait_for {port}"

    def _here(self, text: str) -> str:
        return re.sub(r"\b(8000|8001|9000)\b(?!/demo)", lambda found: self.ports[found[0]], text)

    def _run(self, script: str) -> str:
        (self.folder / "script.sh").write_text(script)
        with subprocess.Popen(
            ["/bin/bash", "script.sh"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as shell:
            assert shell.stdout is not None
            try:
                shown = shell.stdout.read()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
        log = self.folder / "server.log"
        assert shell.returncode == 0, shown + (log.read_text() if log.exists() else "")
        return shown


PRELUDE = """
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
wait_for() {
    for _ in $(seq 200); do curl -s -o /dev/null "http://127.0.0.1:$1/" && return; sleep 0.1; done
    cat server.log
    exit 1
}
"""


def pattern_of(text: str) -> str:
    """Return a pattern of an answer as a page shows it, at the end of the output: `...` is what differs each time."""
    return re.escape(text.strip()).replace(re.escape("..."), ".*?") + r"\s*\Z"


@pytest.fixture(scope="session")
def shop_listener(
    django_db_setup: None, fake_stripe_process: Control, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, dict[str, str]]]:
    """The internal listener with the fake Stripe behind it, and its environment."""
    settings = environment(
        INTERNAL_API_KEYS=f"demo={KEY}:*",
        STRIPE_SECRET_KEY=fake_stripe_child.KEY,
        STRIPE_WEBHOOK_SECRETS=fake_stripe_child.WEBHOOK_SECRET,
        STRIPE_API_BASE=fake_stripe_process.url,
        BILLING_RETURN_HOSTS="localhost:8000",
    )
    place = tmp_path_factory.mktemp("shop")
    with served("gunicorn", place, listener="internal", unix=False, **settings) as running:
        yield running, settings


@pytest.fixture
def machine(  # noqa: PLR0917 -- fixtures
    tmp_path: Path,
    site: Path,
    packed: Path,
    mails: Path,
    public_listener: Served,
    shop_listener: tuple[Served, dict[str, str]],
    fake_stripe: Control,
) -> Machine:
    internal, settings = shop_listener
    ports = {"8000": str(public_listener.port), "8001": str(internal.port), "9000": str(free_port())}
    checkout = checkout_in(tmp_path, packed, mails)
    folder = tmp_path / "folder"
    folder.mkdir()
    packages = run(
        [python_packages(), "-c", "import site; print(site.getsitepackages()[0])"], tmp_path
    ).strip()
    hosts = f"127.0.0.1:{ports['9000']}=127.0.0.0/8"
    return Machine(
        folder,
        {
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            **settings,
            "EVENT_WEBHOOK_HOSTS": hosts,
            "AUTH": str(checkout),
            "PATH": f"{checkout / 'bin'}:{Path(sys.executable).parent}:{NODE.parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{site}:{packages}",
            "NODE_NO_WARNINGS": "1",
        },
        ports,
    )


def checkout_in(place: Path, packed: Path, mails: Path) -> Path:
    """Make what a reader's checkout has, and programs that stand in for those that would install something."""
    checkout = place / "auth-service"
    copied(ROOT / "clients" / "python", checkout / "clients" / "python")
    copied(packed, checkout / "clients" / "typescript")
    (checkout / "var").mkdir()
    (checkout / "var" / "mail").symlink_to(mails)
    (checkout / "var" / "dev.env").write_text(f"INTERNAL_API_KEY={KEY}\n")
    program(
        checkout / "script" / "manage",
        f'cd "{ROOT}"\nDJANGO_SETTINGS_MODULE=config.settings.test PYTHONPATH= exec "{sys.executable}" manage.py "$@"',
    )
    program(
        checkout / "bin" / "pip",
        'for it; do case $it in /*) test -f "${it%%\\[*}/pyproject.toml" ;; esac; done',
    )
    program(checkout / "bin" / "npm", NPM_STAND_IN.format(modules=node_packages(), client=packed))
    program(checkout / "bin" / "uvicorn", 'exec python -m uvicorn "$@"')
    return checkout


NPM_STAND_IN = """
[ -e package.json ] || echo '{{"type": "module"}}' > package.json
[ "$1" = install ] || exit 0
mkdir -p node_modules/@auth-service
ln -sfn {client} node_modules/@auth-service/client
for it in {modules}/*; do ln -sfn "$it" node_modules/; done
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nset -eu\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def ada(machine: Machine) -> Machine:
    """The machine after the quickstart: Ada is signed in and has 70 credits."""
    user = User.objects.create_user(EMAIL, PASSWORD, email_verified_at=timezone.now())
    ledger.add(user_id=user.pk, amount=70, call=Call(service="demo"))
    known = {"TOKEN": issue_access_token(user), "USER_ID": str(user.pk), "INTERNAL_API_KEY": KEY}
    return replace(machine, environment={**machine.environment, **known})


def test_the_quickstart(machine: Machine) -> None:
    checkout = Path(machine.environment["AUTH"])
    replace(machine, folder=checkout).follow(QUICKSTART)
    assert User.objects.get().email == EMAIL


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_a_guide(ada: Machine, guide: Path) -> None:
    ada.follow(guide)


@pytest.mark.parametrize(
    "answer",
    [
        Refusal(502, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Refusal(503, "service_unavailable", {"Retry-After": "1"}),
        Refusal(409, "idempotency_in_progress", {"Retry-After": "1"}),
        LOST,
    ],
    ids=["a gateway's page", "503", "409", "lost"],
)
def test_what_is_written_by_hand_repeats_whatever_leaves_the_outcome_open(
    proxy: LossyProxy, url: str, buyer: str, monkeypatch: pytest.MonkeyPatch, answer: str | Refusal
) -> None:
    monkeypatch.setenv("INTERNAL_API_KEY", KEY)
    found = blocks(DOCS / "guides" / "services.md")
    (program,) = [block.text for block in found if block.title == "by_hand.py"]
    names: dict[str, Any] = {"__name__": "by_hand"}
    exec(program, names)  # noqa: S102
    names["URL"] = url
    proxy.plan = [answer]
    status, row = names["use_credits"](buyer, 5, "page-78")
    assert (status, row["balance_after"]) == (201, 95)
    assert len(proxy.seen) == 2


def test_every_guide_is_followed_and_every_answer_has_a_question() -> None:
    found = {page.name: blocks(page) for page in [QUICKSTART, *GUIDES]}
    assert sum(block.language == SHELL for page in found.values() for block in page) > 30
    for name, page in found.items():
        for before, block in pairwise(page):
            assert block.title != ANSWER or (before.language == SHELL and before.title == ""), name


@pytest.mark.parametrize(
    ("guide", "file", "last"),
    [
        ("express.md", "app.js", "app.listen"),
        ("fastapi.md", "app.py", "return"),
        ("selling.md", "app.py", "return"),
        ("webhooks.md", "events.ts", "}"),
    ],
)
def test_lines_beside_those_of_others_are_counted(guide: str, file: str, last: str) -> None:
    """The page counts what is neither blank nor a comment, up to the first line that begins as `last` does."""
    (text,) = [block.text for block in blocks(DOCS / "guides" / guide) if block.title == file]
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith(("#", "//"))]
    end = next(number for number, line in enumerate(lines, 1) if line.removeprefix("    ").startswith(last))
    assert f"| {end} ([guide]({guide}" in (DOCS / "guides" / "compared.md").read_text()


def test_the_typescript_of_the_guides_compiles(packed: Path, tmp_path: Path) -> None:
    place = copied(HERE / "typescript", tmp_path / "programs")
    modules = place / "node_modules"
    (modules / "@auth-service").mkdir(parents=True)
    (modules / "@auth-service" / "client").symlink_to(packed)
    for entry in node_packages().iterdir():
        (modules / entry.name).symlink_to(entry)
    found = [block.text for page in GUIDES for block in blocks(page) if block.language == "ts"]
    assert len(found) > 2
    for number, text in enumerate(found):
        (place / f"block_{number}.ts").write_text(text)
    run([NODE, modules / "typescript" / "bin" / "tsc", "--project", ".", "--noEmit"], place)
