"""No circle of imports in the project; and the counter of `script/house`, on small trees."""

import subprocess
from pathlib import Path

import pytest

import house
from house import House


def written(root: Path, sources: dict[str, str]) -> House:
    """Write the sources as files and read them back as `script/house` does."""
    for path, source in sources.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    return House(house.working_tree(root))


def test_no_modules_of_the_project_import_each_other_in_a_circle():
    """Imports inside functions count: they hide a circle from Python, not from readers."""
    found = House(house.working_tree(house.ROOT))
    assert len(found.modules) > 250
    assert found.circles() == []


def test_a_folder_is_one_room_and_a_flat_module_is_one(tmp_path):
    found = written(
        tmp_path,
        {
            "accounts/__init__.py": "",
            "accounts/errors.py": "",
            "accounts/factors/__init__.py": "",
            "accounts/factors/totp.py": "",
            "accounts/views/sign_in.py": "",
            "accounts/migrations/0001_initial.py": "",
            "accounts/tests/test_errors.py": "",
        },
    )
    assert found.rooms("accounts") == {"errors", "factors", "views"}


def test_imports_between_rooms_are_pairs_of_one_app(tmp_path):
    found = written(
        tmp_path,
        {
            "accounts/errors.py": "",
            "accounts/factors/rows.py": "from accounts import errors\n",
            "accounts/factors/totp.py": "from accounts.errors import Problem\nfrom accounts.factors import rows\n",
            "accounts/views.py": "def answer():\n    from accounts.factors.totp import check\n",
            "credits/errors.py": "from accounts.errors import Problem\n",
        },
    )
    assert found.imports_between_rooms("accounts") == {("factors", "errors"), ("views", "factors")}
    assert found.imports_between_rooms("credits") == set()


def test_a_circle_through_an_import_inside_a_function_is_found(tmp_path):
    found = written(
        tmp_path,
        {
            "accounts/outbox.py": "def send():\n    from accounts import tasks\n    tasks.deliver.delay()\n",
            "accounts/delivery.py": "from accounts.outbox import waiting\n",
            "accounts/tasks.py": "import accounts.delivery\n",
            "accounts/urls.py": "from accounts import tasks\n",
        },
    )
    assert found.circles() == [["accounts.delivery", "accounts.outbox", "accounts.tasks"]]


def test_a_circle_through_two_packages_is_found(tmp_path):
    found = written(
        tmp_path, {"accounts/hooks.py": "import credits.api", "credits/api.py": "import accounts.hooks"}
    )
    assert found.circles() == [["accounts.hooks", "credits.api"]]


def test_a_name_that_a_package_hands_on_is_an_import_of_the_package(tmp_path):
    sources = {
        "accounts/factors/__init__.py": "from accounts.factors.rows import of\n",
        "accounts/factors/rows.py": "",
        "accounts/sessions.py": "from accounts.factors import of\n",
    }
    found = written(tmp_path, sources)
    assert found.imports["accounts.sessions"] == {"accounts.factors"}
    assert found.circles() == []


def test_a_submodule_that_asks_its_package_for_a_name_closes_a_circle(tmp_path):
    found = written(
        tmp_path,
        {
            "accounts/factors/__init__.py": "from .totp import check\n",
            "accounts/factors/totp.py": "from . import of\n",
        },
    )
    assert found.circles() == [["accounts.factors", "accounts.factors.totp"]]


@pytest.mark.parametrize(
    "statement", ["from accounts.factors import rows", "import accounts.factors.rows", "from . import rows"]
)
def test_importing_a_submodule_does_not_import_its_package(tmp_path, statement):
    found = written(
        tmp_path,
        {
            "accounts/factors/__init__.py": "from accounts.factors.totp import check\n",
            "accounts/factors/rows.py": "",
            "accounts/factors/totp.py": f"{statement}\n",
        },
    )
    assert found.imports["accounts.factors.totp"] == {"accounts.factors.rows"}
    assert found.circles() == []


def test_files_and_functions_are_measured_by_their_lines(tmp_path):
    function = "@decorated\ndef long(\n    text,\n):\n    return text\n"
    found = written(
        tmp_path, {"credits/long.py": f"import ast\n{function}", "credits/short.py": "def f(): ...\n"}
    )
    measured = house.measures(found, "credits")
    assert (measured["modules"], measured["lines"], measured["functions"]) == (2, 7, 2)
    assert str(measured["longest file"]) == "6 credits/long.py"
    assert str(measured["longest function"]) == "4 credits/long.py:long"
    assert measured["median function"] == 1


def test_a_revision_is_read_as_the_files_were(tmp_path):
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    written(tmp_path, {"credits/ledger.py": "import ast\n", "credits/notes.txt": ""})
    before = house.working_tree(tmp_path)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    (tmp_path / "credits" / "ledger.py").write_text("import re\n")
    assert house.revision(tmp_path, "HEAD") == before == {"credits/ledger.py": "import ast\n"}


def test_two_houses_stand_side_by_side(tmp_path):
    one = written(tmp_path, {"credits/ledger.py": ""})
    two = written(tmp_path, {"credits/saving.py": "def save(): ...\n"})
    heading, *lines = house.table({"HEAD": one, "now": two})
    assert heading.split() == ["HEAD", "now"]
    rows = lines[lines.index("credits") + 1 : lines.index("config")]
    assert ["rooms", "1", "2"] in [row.split() for row in rows]
    assert lines[-1].split() == ["circles", "0", "0"]
