"""Pages for staff, and the toolkit for all three apps' pages. Imports nothing: the site has to be created first."""
