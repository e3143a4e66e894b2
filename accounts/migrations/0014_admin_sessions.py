"""Tell the admin's sessions, which are rows too from now on, from those of the API."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_exchange_binding"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="door",
            field=models.CharField(
                choices=[("api", "Api"), ("admin", "Admin")], db_default="api", default="api", max_length=8
            ),
        ),
    ]
