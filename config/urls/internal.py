"""Routes of the internal listener."""

from django.urls import path

from config.metrics import Metrics
from config.urls import Routes, docs, handlers, health, routes_of_apps

handler400, handler403, handler404, handler500 = handlers

urlpatterns: Routes = [*routes_of_apps("internal"), *health, *docs, path("metrics", Metrics.as_view())]
