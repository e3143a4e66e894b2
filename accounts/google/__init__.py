"""Everything that talks to Google, and the accounts at Google that users have linked."""
