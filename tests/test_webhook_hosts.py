"""EVENT_WEBHOOK_HOSTS: what is malformed is refused by name, and production allows nobody the machine itself."""

from ipaddress import ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import refuse_own_machine, webhook_hosts

VARIABLE = "EVENT_WEBHOOK_HOSTS"


def read(monkeypatch: pytest.MonkeyPatch, text: str) -> dict[str, object]:
    monkeypatch.setenv(VARIABLE, text)
    return dict(webhook_hosts(VARIABLE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ,", {}),
        ("Shop.Internal", {"shop.internal:443": ()}),
        ("shop.internal:8443", {"shop.internal:8443": ()}),
        ("10.1.2.3:80=10.1.0.0/16", {"10.1.2.3:80": (ip_network("10.1.0.0/16"),)}),
        (
            "a.example=10.1.0.0/16|fd00::/8, b.example",
            {"a.example:443": (ip_network("10.1.0.0/16"), ip_network("fd00::/8")), "b.example:443": ()},
        ),
    ],
)
def test_is_read(monkeypatch: pytest.MonkeyPatch, text: str, expected: dict[str, object]) -> None:
    assert read(monkeypatch, text) == expected


@pytest.mark.parametrize(
    "entry",
    [
        "=10.1.0.0/16",
        ":443",
        "shop.internal:",
        "shop.internal:https",
        "shop.internal:0",
        "shop.internal:65536",
        "shop.internal:-1",
        "shop.internal:4_43",
        "shop.internal:\u0664\u0664\u0663",
        "https://shop.internal",
        "https://shop.internal:443",
        "shop.internal/in",
        "user@shop.internal",
        "*.internal",
        "shop internal",
        "-shop.internal",
        "shop.internal.",
        "shop.internal=x",
        "shop.internal=10.1.2.3/16",
        "shop.internal=10.1.0.0/33",
        "shop.internal=10.1.0.0/16=10.2.0.0/16",
        "good.example,shop.internal:x",
    ],
)
def test_is_malformed(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=VARIABLE) as refusal:
        read(monkeypatch, entry)
    assert "internal" not in str(refusal.value)


@pytest.mark.parametrize(
    "network",
    [
        "127.0.0.0/8",
        "127.0.0.1/32",
        "0.0.0.0/0",
        "169.254.169.254/32",
        "0.0.0.0/32",
        "::1/128",
        "::/0",
        "fe80::/64",
    ],
)
def test_the_machine_itself_is_refused(network: str) -> None:
    hosts = {"a.example:443": (), "b.example:443": (ip_network("10.0.0.0/8"), ip_network(network))}
    with pytest.raises(ImproperlyConfigured, match=VARIABLE):
        refuse_own_machine(VARIABLE, hosts)


@pytest.mark.parametrize("network", ["10.0.0.0/8", "192.168.1.0/24", "fd00::/8"])
def test_a_private_network_is_allowed(network: str) -> None:
    refuse_own_machine(VARIABLE, {"a.example:443": (ip_network(network),)})
