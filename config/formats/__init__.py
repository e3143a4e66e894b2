"""Date and time formats where no template sets one: in the admin, sortable and narrow. Mails have their own."""
