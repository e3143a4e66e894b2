import uuid

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddIndexConcurrently


class Migration(migrations.Migration):
    """Indexes of tables that are written all the time are made beside that, and so outside of a transaction."""

    atomic = False

    dependencies = [
        ("accounts", "0002_service_events"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="AddressChange",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("old_email", models.CharField(max_length=254)),
                ("new_email", models.CharField(max_length=254)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AlterModelOptions(
            name="user",
            options={"permissions": (("change_status", "Can suspend and reactivate users"),)},
        ),
        migrations.AddField(
            model_name="addresschange",
            name="session",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="address_changes",
                to="accounts.session",
            ),
        ),
        migrations.AddField(
            model_name="addresschange",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="address_changes",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="mailtoken",
            name="change",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="mail_tokens",
                to="accounts.addresschange",
            ),
        ),
        migrations.AddIndex(
            model_name="addresschange",
            index=models.Index(
                condition=models.Q(("confirmed_at__isnull", False), ("ended_at__isnull", True)),
                fields=["old_email"],
                name="address_reserved",
            ),
        ),
        migrations.AddIndex(
            model_name="addresschange",
            index=models.Index(fields=["user", "-created_at"], name="address_changes_of_user"),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["created_at"], name="audit_by_time"
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                condition=models.Q(("deletes_at__isnull", False)),
                fields=["deletes_at"],
                name="user_to_be_erased",
            ),
        ),
    ]
    operations = [AtOnce(operations)]
