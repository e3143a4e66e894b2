"""Pages for staff, and the toolkit for the pages of all three apps. Imports nothing here: the site is made first."""
