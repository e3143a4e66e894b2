"""Format credits for people: 12,345 and +12,345."""

from django import template

register = template.Library()


@register.filter
def credits(amount: int) -> str:
    return f"{amount:,}"


@register.filter
def signed(amount: int) -> str:
    return f"{amount:+,}" if amount else "0"
