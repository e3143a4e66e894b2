"""Routes of the admin listener: Django's admin for staff, and health."""

from django.contrib import admin
from django.urls import path

from config.urls import Routes, health, routes_of_apps

handler400 = "config.errors.handler400"
handler403 = "config.errors.handler403"
handler404 = "config.errors.handler404"
handler500 = "config.errors.handler500"

urlpatterns: Routes = [*routes_of_apps("admin"), *health, path("admin/", admin.site.urls)]
