"""What every test of the project may use. Fixtures of one app live in its own tests/conftest.py."""

pytest_plugins = [
    "tests.template_database",
    "tests.answers_seen",
    "tests.fixtures",
    "tests.fake_stripe.fixture",
]
