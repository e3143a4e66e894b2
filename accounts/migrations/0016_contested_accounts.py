"""Say of an account that its old address took it back after someone had chosen its password by the new one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0015_refresh_retry"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="contested_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                condition=models.Q(("contested_at__isnull", False)),
                fields=["contested_at"],
                name="user_contested",
            ),
        ),
    ]
