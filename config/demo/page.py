"""The demo page: one template, whose JavaScript modules do the rest."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

# No inline script or style, nothing from other origins, no text that becomes markup. `data:` is for the QR code.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Show the page, redirecting to `localhost` first: browsers bind passkeys to host names, and cookies to the host
    that set them.
    """
    if urlsplit(f"//{request.get_host()}").hostname != "localhost":
        return HttpResponseRedirect(f"http://localhost:{request.get_port()}{request.get_full_path()}")
    text = render_to_string("demo/index.html", context())
    return HttpResponse(text, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})


def context() -> dict[str, object]:
    return {
        "service": settings.SERVICE_NAME,
        "admin": settings.ADMIN_BASE_URL,
        "google": bool(settings.GOOGLE_CLIENT_IDS),
        "stripe": bool(settings.STRIPE_SECRET_KEY),
    }
