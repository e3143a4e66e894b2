"""Routes of the admin listener: Django's admin for staff, and health."""

from django.contrib import admin
from django.http import HttpResponseRedirect
from django.urls import path, reverse
from rest_framework.request import Request

from accounts.tiers import PublicEndpoint
from config.urls import Routes, handlers, health, routes_of_apps

handler400, handler403, handler404, handler500 = handlers


class ToTheAdmin(PublicEndpoint):
    """Redirects from the host's root to the admin, which asks for a sign-in."""

    mark = "staff"

    def get(self, request: Request) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:index"))


urlpatterns: Routes = [
    *routes_of_apps("admin"),
    *health,
    path("", ToTheAdmin.as_view()),
    path("admin/", admin.site.urls),
]
