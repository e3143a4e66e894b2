"""Routes of the admin listener: Django's admin for staff, and health."""

from django.contrib import admin
from django.urls import path

from config.urls import Routes, handlers, health, routes_of_apps

handler400, handler403, handler404, handler500 = handlers

urlpatterns: Routes = [*routes_of_apps("admin"), *health, path("admin/", admin.site.urls)]
