"""Routes of the public listener."""

from config.urls import Routes, docs, health, routes_of_apps

handler400 = "config.errors.handler400"
handler403 = "config.errors.handler403"
handler404 = "config.errors.handler404"
handler500 = "config.errors.handler500"

urlpatterns: Routes = [*routes_of_apps("public"), *health, *docs]
