"""Keep what a client that lost the answer of a refresh has to show to get it again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_admin_sessions"),
    ]

    operations = [
        migrations.AddField(model_name="session", name="retry_key", field=models.BinaryField(null=True)),
        migrations.AddField(model_name="session", name="retry_until", field=models.DateTimeField(null=True)),
    ]
