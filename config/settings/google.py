"""Configures sign-in with Google, or with any other OpenID provider instead."""

from config.settings.environment import boolean, duration, env

# Client ids, which are the accepted audiences: first the web client's, which takes part in redirects, then those of
# native apps.
GOOGLE_CLIENT_IDS = env.list("GOOGLE_CLIENT_ID")
GOOGLE_CLIENT_SECRET = env.str("GOOGLE_CLIENT_SECRET")
# If empty, it is our own callback below PUBLIC_BASE_URL.
GOOGLE_REDIRECT_URI = env.str("GOOGLE_REDIRECT_URI")
GOOGLE_AUTHORIZATION_URL = env.str("GOOGLE_AUTHORIZATION_URL")
GOOGLE_TOKEN_URL = env.str("GOOGLE_TOKEN_URL")
GOOGLE_JWKS_URL = env.str("GOOGLE_JWKS_URL")
# Spellings of one issuer. Linked accounts are stored under the first.
GOOGLE_ISSUERS = env.list("GOOGLE_ISSUERS")
# Refuse an ID token as proof of presence if it does not say when its user last authenticated (`auth_time`).
GOOGLE_PROOF_NEEDS_AUTH_TIME = boolean("GOOGLE_PROOF_NEEDS_AUTH_TIME")
GOOGLE_SIGN_IN_LIFETIME = duration("GOOGLE_SIGN_IN_LIFETIME")
SOCIALACCOUNT_ADAPTER = "accounts.google.client.Adapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = {
    "google": {
        "APPS": [
            {"client_id": client_id, "secret": GOOGLE_CLIENT_SECRET, "provider_id": GOOGLE_ISSUERS[0]}
            for client_id in GOOGLE_CLIENT_IDS[:1]
        ],
        "SCOPE": ["openid", "email", "profile"],
        "AUTH_PARAMS": {"prompt": "select_account"},
    }
}
