"""Building blocks that know no user. Every app uses them; they import nothing outside this folder."""
