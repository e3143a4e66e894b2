#!/bin/sh
# Makes the two roles and the database, once, when a cluster begins (docs/decisions/0009). Passwords from the environment.
set -eu
psql --set ON_ERROR_STOP=1 --set owner="$AUTH_OWNER_PASSWORD" --set app="$AUTH_APP_PASSWORD" --username postgres <<'SQL'
CREATE ROLE auth_owner LOGIN PASSWORD :'owner';
CREATE ROLE auth_app LOGIN PASSWORD :'app';
CREATE DATABASE auth OWNER auth_owner;
SQL
