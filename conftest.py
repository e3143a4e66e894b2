"""What every test of the project may use. Fixtures of one app live in its own tests/conftest.py."""

pytest_plugins = [
    "tests.template_database",
    "tests.answers_seen",
    "tests.fixtures",
    "tests.fake_stripe.fixture",
]


def pytest_collection() -> None:
    """Load what a web process has before it serves: the pages of staff, Celery and the tasks."""
    from accounts.admin.site import load_pages
    from accounts.kit import nudge

    load_pages()
    nudge.application()
