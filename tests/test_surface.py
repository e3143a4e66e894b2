"""The surface is what the committed table says, so a change of who may call what is a line of a review."""

import pytest

from tests import surface


def test_the_table_is_the_surface() -> None:
    assert surface.TABLE.read_text() == surface.table(), "script/endpoints writes it; read the difference"


def test_the_page_of_endpoints_is_current() -> None:
    assert surface.PAGE.read_text() == surface.page(), "script/endpoints writes it"


@pytest.mark.parametrize(
    "route", surface.surface(), ids=lambda route: f"{route.listener} {route.method} {route.path}"
)
def test_each_route_has_one_tier_on_its_listener(route: surface.Route) -> None:
    allowed = {
        "public": {"public", "authenticated", "verified"},
        "internal": {"internal"},
        "admin": set(),
    }[route.listener]
    if route.note in {"health", "docs", "metrics", "staff", "signature", "public keys"}:
        allowed = {"public", "-"}
    assert route.tier in allowed


def test_no_path_ends_in_a_slash_but_the_admin() -> None:
    assert not [
        route.path for route in surface.surface() if route.path.endswith("/") and route.note != "staff"
    ]
