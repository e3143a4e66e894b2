"""Every way to sign in, and to prove it again."""
