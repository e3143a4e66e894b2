"""Every way to sign in, and to re-authenticate."""
