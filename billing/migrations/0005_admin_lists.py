"""What the admin lists, each the beginning of an index; made beside whatever is being written."""

import django.db.models.deletion
from django.db import migrations, models

from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddIndexConcurrently

OLD_INDEX = "billing_payment_plan_id_29e11642"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0004_payment_once_per_intent")]

    operations = [
        AddIndexConcurrently(
            model_name="inboxevent",
            index=models.Index(fields=["type", "-id"], name="inbox_by_type"),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("subscription", ""), _negated=True),
                fields=["subscription"],
                name="payment_by_subscription",
            ),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                fields=["paid_at"], include=("paid", "kept", "currency", "plan"), name="payment_revenue"
            ),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(fields=["-created_at", "-id"], name="payment_newest"),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(fields=["kind", "-created_at", "-id"], name="payment_by_kind"),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(fields=["plan", "-created_at", "-id"], name="payment_by_plan"),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(fields=["currency", "-created_at", "-id"], name="payment_by_currency"),
        ),
        # The foreign key's own index, which `payment_by_plan` replaces. Django's AlterField would make the key again.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {OLD_INDEX}",
                    f"CREATE INDEX CONCURRENTLY {OLD_INDEX} ON billing_payment (plan_id)",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="payment",
                    name="plan",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payments",
                        to="billing.plan",
                    ),
                )
            ],
        ),
    ]
    operations = [AtOnce(operations[:-1]), operations[-1]]
