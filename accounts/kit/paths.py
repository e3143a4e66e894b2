"""The path converter for ids, `<id:user_id>`."""

from uuid import UUID

from django.urls import register_converter

NAME = "id"


class IdConverter:
    """Accept a UUID in its canonical form, in either case (RFC 9562, 4); any other text is an unknown path."""

    regex = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

    def to_python(self, text: str) -> UUID:
        return UUID(text)

    def to_url(self, value: UUID | str) -> str:
        return str(value)


def register() -> None:
    """Register the converter with Django, before any route is read."""
    register_converter(IdConverter, NAME)
