"""What every test of the project may use. Fixtures of one app live in its own tests/conftest.py."""

pytest_plugins = [
    "tests.template_database",
    "tests.answers_seen",
    "tests.fixtures",
    "tests.fake_stripe.fixture",
]


def pytest_collection() -> None:
    """Load the pages of staff, which tests look up in the registry before they ask for any."""
    from accounts.admin.site import load_pages

    load_pages()
