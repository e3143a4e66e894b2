import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0018_folded_addresses")]

    operations = [
        migrations.AddField(
            model_name="auditevent",
            name="asserted_ip",
            field=models.GenericIPAddressField(null=True),
        ),
        migrations.CreateModel(
            name="FrontEndKey",
            fields=[
                ("id", models.CharField(max_length=12, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=40)),
                ("public_key", models.BinaryField(max_length=32)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
    ]
