"""Links that would confirm an address which may have been typed otherwise are void: it is asked for again.

Before, `straße.de` was folded into `strasse.de` and the link mailed there. People who wait for such a link ask for
another one by typing the address again, which is then taken as it is typed. Verified addresses stay as they are:
`manage.py addresses --ambiguous` lists them.
"""

import re

import idna
from django.db import migrations
from django.db.models.functions import Now

OPENING = ["verify_email", "change_email"]
SUSPECT = r"ss|xn--|[^ -~]"
FOLDED = re.compile("ss|\u03c3")


def void_links(apps, schema_editor):
    tokens = apps.get_model("accounts", "MailToken").objects.using(schema_editor.connection.alias)
    open_ones = tokens.filter(used_at=None, voided_at=None, purpose__in=OPENING, email__regex=SUSPECT)
    ambiguous = [pk for pk, email in open_ones.values_list("pk", "email") if is_ambiguous(email)]
    tokens.filter(pk__in=ambiguous).update(voided_at=Now())


def is_ambiguous(email):
    local, _, domain = email.rpartition("@")
    return not local.isascii() or any(FOLDED.search(spelled(label)) for label in (local, *domain.split(".")))


def spelled(label):
    try:
        return idna.decode(label) if label.startswith("xn--") else label
    except idna.IDNAError:
        return label


class Migration(migrations.Migration):
    dependencies = [("accounts", "0017_too_many_sessions")]

    operations = [migrations.RunPython(void_links, migrations.RunPython.noop)]
