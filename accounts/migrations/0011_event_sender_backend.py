"""A killed sender of events is seen to be gone when its connection is."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_admin_lists")]

    operations = [migrations.AddField("eventdispatch", "backend", models.IntegerField(null=True))]
