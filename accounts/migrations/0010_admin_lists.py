"""What the admin lists, each the beginning of an index; made beside whatever is being written."""

import django.contrib.postgres.indexes
from django.db import migrations, models

import accounts.models.users
from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0009_account_days")]

    operations = [
        AddIndexConcurrently(
            model_name="addresschange",
            index=models.Index(fields=["-created_at", "-id"], name="address_change_newest"),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                condition=models.Q(
                    ("type__in", ["signed_in", "sign_in_failed", "signed_out"]), _negated=True
                ),
                fields=["type", "-id"],
                name="audit_seldom",
            ),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                condition=models.Q(("actor", ""), _negated=True),
                fields=["actor", "-id"],
                name="audit_by_actor",
            ),
        ),
        AddIndexConcurrently(
            model_name="mailtoken",
            index=models.Index(fields=["-created_at", "-id"], name="mail_token_newest"),
        ),
        AddIndexConcurrently(
            model_name="mailtoken",
            index=models.Index(fields=["purpose", "-created_at", "-id"], name="mail_token_by_purpose"),
        ),
        AddIndexConcurrently(
            model_name="outboxmessage",
            index=models.Index(fields=["-created_at", "-id"], name="outbox_newest"),
        ),
        AddIndexConcurrently(
            model_name="outboxmessage",
            index=models.Index(fields=["kind", "-created_at", "-id"], name="outbox_by_kind"),
        ),
        AddIndexConcurrently(
            model_name="outboxmessage",
            index=models.Index(
                condition=models.Q(("sent_at__isnull", True)),
                fields=["-created_at", "-id"],
                name="outbox_unsent",
            ),
        ),
        AddIndexConcurrently(
            model_name="outboxmessage",
            index=models.Index(
                condition=models.Q(("dead_at__isnull", False)),
                fields=["-created_at", "-id"],
                name="outbox_dead",
            ),
        ),
        AddIndexConcurrently(
            model_name="pendingregistration",
            index=models.Index(fields=["-created_at", "-id"], name="registration_newest"),
        ),
        AddIndexConcurrently(
            model_name="session",
            index=models.Index(fields=["-created_at", "-id"], name="session_newest"),
        ),
        AddIndexConcurrently(
            model_name="session",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", False)),
                fields=["end_reason", "-created_at", "-id"],
                name="session_by_end",
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=django.contrib.postgres.indexes.GinIndex(
                accounts.models.users.SearchParts("email", "display_name"), name="user_search"
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(fields=["-created_at", "-id"], name="user_newest"),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                condition=models.Q(("email_verified_at__isnull", True)),
                fields=["-created_at", "-id"],
                name="user_unverified",
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                condition=models.Q(("status", "active"), _negated=True),
                fields=["status", "-created_at", "-id"],
                name="user_not_active",
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                condition=models.Q(("is_staff", True)), fields=["-created_at", "-id"], name="user_staff"
            ),
        ),
    ]
    operations = [AtOnce(operations)]
