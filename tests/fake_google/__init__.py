"""Stand-ins for Google: two OpenID providers by different authors, run as real processes on loopback.

`python -m tests.fake_google` is oidc-provider-mock (PyPI) plus what it lacks; node/server.mjs runs oauth2-mock-server
(npm). Both check PKCE themselves. providers.py starts them for tests; `script/server --with-google` starts the first.
"""
