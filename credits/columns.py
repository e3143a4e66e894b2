"""Columns of the admin's lists of credits."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.utils.html import format_html


def moment(name: str) -> Callable[[Any, Any], str | None]:
    """A column of times, of one width."""

    @admin.display(description=name.replace("_", " "))
    def column(self: Any, row: Any) -> str | None:
        at = getattr(row, name)
        return at and format_html('<span class="whitespace-nowrap">{}</span>', f"{at:%Y-%m-%d %H:%M:%S}")

    return column
