#!/bin/sh
# Creates the two roles and the database, once, in a new cluster (docs/decisions/0009). The passwords come from the
# environment.
set -eu
psql --set ON_ERROR_STOP=1 --set owner="$AUTH_OWNER_PASSWORD" --set app="$AUTH_APP_PASSWORD" --username postgres <<'SQL'
CREATE ROLE auth_owner LOGIN PASSWORD :'owner';
CREATE ROLE auth_app LOGIN PASSWORD :'app';
CREATE DATABASE auth OWNER auth_owner;
-- What sessions of the service have wherever they come from: a pooler passes their start-up options on to nobody.
ALTER ROLE auth_app SET timezone = 'UTC';
ALTER ROLE auth_app SET statement_timeout = '10s';
ALTER ROLE auth_app SET lock_timeout = '3s';
ALTER ROLE auth_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE auth_app SET tcp_keepalives_idle = '1';
ALTER ROLE auth_app SET tcp_keepalives_interval = '1';
ALTER ROLE auth_app SET tcp_user_timeout = '2000';
SQL
