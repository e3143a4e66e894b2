"""OpenID providers that stand in for Google: real processes on loopback, two of them, by different people.

`python -m tests.fake_google` is oidc-provider-mock (PyPI) with what it lacks; node/server.mjs runs oauth2-mock-server
(npm). Both check PKCE themselves. providers.py starts them for tests; `script/server --with-google` starts the first.
"""
