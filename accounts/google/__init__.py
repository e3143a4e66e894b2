"""Everything that talks to Google, and the Google accounts that users have linked."""
