"""dj-stripe's tables in one migration of ours: settings' MIGRATION_MODULES puts it in place of the package's files.

The stock files create every column of an old version and then remove 514 of them one by one, which takes over a
minute on an empty database; this one takes five seconds and ends at the same schema, which
billing/tests/test_djstripe_migrations.py compares in the catalogs. The stock files hold no data step: nothing but
CreateModel, AddField, RemoveField, DeleteModel and changes of options.

To move to another dj-stripe: raise the pin, run `manage.py makemigrations djstripe`, and let that test judge.
A database that the stock files made must never be switched to this one (docs/decisions/0007).
"""
