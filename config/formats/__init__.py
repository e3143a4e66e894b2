"""How dates and times are written where no template says it: in the admin, sorted and narrow. Mails have their own."""
