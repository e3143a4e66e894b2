"""Reads the keys with which the service signs, seals and digests.

Each variable is `new;old;older`: the first signs, all of them verify, so that each can be rotated (manage.py
signing_keys).
"""

from config.settings.environment import env, key_ring, secrets_list

SECRET_KEY, *SECRET_KEY_FALLBACKS = secrets_list("SECRET_KEY")
JWT_KEYS = key_ring("JWT_KEYS")
REFRESH_TOKEN_KEYS = key_ring("REFRESH_TOKEN_KEYS", algorithm="HS256")
MAIL_TOKEN_KEYS = secrets_list("MAIL_TOKEN_KEYS")
LEDGER_DIGEST_KEYS = secrets_list("LEDGER_DIGEST_KEYS")
FIELD_ENCRYPTION_KEYS = key_ring("FIELD_ENCRYPTION_KEYS", algorithm="A256GCM")
# name=key[:scope,scope...];... The keys themselves are checked where they are read: accounts/service_keys/registry.py.
INTERNAL_API_KEYS = env.str("INTERNAL_API_KEYS")
