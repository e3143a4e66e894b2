"""Building blocks that know no users. Every app uses them, and they import nothing outside this package."""
