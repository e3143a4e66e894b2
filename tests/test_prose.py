"""The prose check of `script/prose`: what it finds, and that its baseline only shrinks."""

from pathlib import Path

import pytest

import prose

VIEW = "accounts/views.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project that breaks two rules, as its baseline says."""
    (tmp_path / "accounts").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / VIEW).write_text('"""What views answer."""\nTITLE = "Read the own account"\n')
    (tmp_path / prose.BASELINE).write_text('1 service start with a verb\n1 service write "your"\n')
    return tmp_path


def rules(tree: Path, path: str, text: str) -> list[str]:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)
    return [breach.rule for breach in prose.breaches(tree) if breach.place.startswith(f"{path}:")]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Read the own account", 'write "your"'),
        ("Begin Anew", 'write "again"'),
        ("It is no URL.", 'write "is not a"'),
        ("Over two lines it is\nno URL.", 'write "is not a"'),
    ],
)
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("templates/mail/hello.txt", "{}"),
        ("templates/pages/hello.html", "<p>{}</p>"),
        ("docs/hello.md", "- {}"),
        ("README.md", "{}"),
        ("billing/errors.py", 'title = """{}"""'),
        ("billing/errors.py", '"""{}"""'),
        ("billing/errors.py", 'def f(name):\n    return f"""{{name}}: {}"""'),
        ("billing/tests/test_errors.py", 'def test_it():\n    """{}"""'),
    ],
)
def test_a_phrase_is_found_in_all_that_people_read(tree, path, form, text, rule):
    assert rules(tree, path, form.format(text)) == [rule]


@pytest.mark.parametrize(
    "text",
    ["It is no longer valid.", "It is no more.", "There is no Chromium here.", "It is not a URL.", "an ewe"],
)
def test_plain_words_are_left_alone(tree, text):
    assert rules(tree, "docs/hello.md", text) == []


@pytest.mark.parametrize(
    ("beginning", "rule"),
    [
        ("Of development only.", "name the subject"),
        ("What of the row is set.", "start with a verb"),
        ("\n    Whether it holds.", "start with a verb"),
    ],
)
def test_a_docstring_is_judged_by_its_first_word(tree, beginning, rule):
    assert rules(tree, "credits/days.py", f'def f():\n    """{beginning}"""\n') == [rule]
    assert rule not in rules(tree, "credits/days.py", f'TEXT = """{beginning}"""\n')
    assert rules(tree, "credits/days.py", f'def f():\n    """Return {beginning}"""\n') == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("There is no such hold.", 'people: write "not found"'),
        ("What is sent meanwhile is kept.", "people: start with a verb"),
        ("Your E-mail address", 'people: write "email"'),
        ("It is not valid any more.", 'people: write "no longer"'),
        ("It is over already.", 'people: write "already"'),
        ("Two rows. Of these one counts.", "people: name the subject"),
        ("Whether it is live.", "people: start with a verb"),
    ],
)
def test_texts_for_people_have_rules_of_their_own(tree, text, rule):
    assert rule in rules(tree, "credits/errors.py", f'DETAIL = """{text}"""\n')
    assert rule in rules(tree, "templates/mail/hello.txt", text)
    assert rule in rules(
        tree, "credits/views/hold.py", f'class V:\n    def get(self):\n        """{text}"""\n'
    )
    assert rule not in rules(tree, "credits/days.py", f'def f():\n    """Say: {text}"""\n')
    assert rule not in rules(tree, "credits/tests/test_days.py", f'DETAIL = """{text}"""\n')


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Somebody registered.", 'write "someone"'),
        ("the person, whoever it was", 'write "someone"'),
        ("Nothing changed meanwhile.", 'write "since then"'),
        ("Tells a neighbour.", 'write "other services"'),
    ],
)
def test_words_for_texts_and_docstrings_alike(tree, text, rule):
    assert rule in rules(tree, "credits/errors.py", f'DETAIL = """{text}"""\n')
    assert rule in rules(tree, "templates/mail/hello.txt", text)
    assert rule in rules(tree, "credits/tests/test_days.py", f'def f():\n    """Say: {text}"""\n')
    assert rule not in rules(tree, "credits/tests/test_days.py", f'DETAIL = """{text}"""\n')


@pytest.mark.parametrize(
    "text", ["What happened?", "Some other body.", "No more are accepted.", "Of course it is."]
)
def test_people_may_be_asked_and_told_plainly(tree, text):
    assert rules(tree, "templates/mail/hello.txt", text) == []


def test_strings_of_tests_and_migrations_may_be_anything(tree):
    assert rules(tree, "credits/tests/test_days.py", 'TEXT = "start anew"\n') == []
    assert rules(tree, "credits/migrations/0001_initial.py", '"""Start anew."""\n') == []


def test_what_the_baseline_says_passes(tree):
    assert prose.main([], tree) == 0


def test_one_more_fails_and_an_update_does_not_help(tree, capsys):
    (tree / "accounts" / "urls.py").write_text('"""What leads where."""\n')
    before = (tree / prose.BASELINE).read_text()
    assert prose.main([], tree) == prose.main(["--update"], tree) == 1
    assert "service: start with a verb: 1 before, 2 now" in capsys.readouterr().out
    assert (tree / prose.BASELINE).read_text() == before


def test_one_fewer_fails_until_the_baseline_says_so(tree, capsys):
    (tree / VIEW).write_text('"""Answer."""\nTITLE = "Read the own account"\n')
    assert prose.main([], tree) == 1
    assert "run script/prose --update" in capsys.readouterr().out
    assert prose.main(["--update"], tree) == prose.main([], tree) == 0
    (tree / VIEW).write_text('"""What views answer."""\nTITLE = "Read the own account"\n')
    assert prose.main([], tree) == 1


def test_a_rule_that_is_mended_does_not_pay_for_another(tree):
    (tree / VIEW).write_text('"""Answer."""\nTITLE = "Read the own account, the own data"\n')
    assert prose.main(["--update"], tree) == 1


def test_a_file_that_moves_changes_nothing(tree):
    (tree / "billing" / "shop").mkdir(parents=True)
    (tree / VIEW).rename(tree / "billing" / "shop" / "requests.py")
    assert prose.main([], tree) == 0


def test_paths_are_listed(tree, capsys):
    assert prose.main(["accounts"], tree) == 0
    assert f'{VIEW}:2: write "your": Read the own account' in capsys.readouterr().out
