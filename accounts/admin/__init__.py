"""Pages for staff, and the toolkit that the pages of all three apps are made of. Imports nothing here: the site comes first."""
