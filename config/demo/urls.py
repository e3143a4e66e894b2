"""The public listener with /demo. Only the development settings use this URLconf."""

from django.urls import path
from django.views.generic import RedirectView

from config.demo import inbox, page, shop
from config.urls import Routes, public

handler400, handler403, handler404, handler500 = (
    public.handler400,
    public.handler403,
    public.handler404,
    public.handler500,
)

demo: Routes = [
    path("", RedirectView.as_view(url="/demo")),
    path("demo", page.show),
    path("demo/google", page.show),  # GOOGLE_REDIRECT_URI: the page posts what Google sent to the callback
    path("demo/api/inbox", inbox.read),
    path("demo/api/plans", shop.plans),
    path("demo/api/standing", shop.standing),
    path("demo/api/history", shop.history),
    path("demo/api/checkout", shop.begin_checkout),
    path("demo/api/checkout/<slug:session_id>", shop.look_up_checkout),
    path("demo/api/portal", shop.open_portal),
    path("demo/api/pictures", shop.paint_picture),
    path("demo/api/subscriptions/<slug:subscription_id>/cancel", shop.cancel_subscription),
    path("demo/api/subscriptions/<slug:subscription_id>/resume", shop.resume_subscription),
]
urlpatterns: Routes = [*public.urlpatterns, *demo]
