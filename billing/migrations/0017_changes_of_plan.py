"""What follows the plan that is paid for, what was offered with a change, and what prorations left on a balance."""

from django.db import migrations, models

from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddField, AddIndexConcurrently


def to_plan() -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False, null=True, on_delete=models.PROTECT, related_name="+", to="billing.plan"
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0016_settle_first")]

    operations = [
        AddField(model_name="billingaccount", name="next_plan", field=to_plan()),
        AddField(model_name="billingaccount", name="pending_plan", field=to_plan()),
        AddField(
            model_name="billingaccount", name="pending_expires_at", field=models.DateTimeField(null=True)
        ),
        AddField(
            model_name="payment",
            name="to_balance",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        AddIndexConcurrently(
            model_name="request",
            index=models.Index(
                fields=["stripe_object"], condition=~models.Q(stripe_object=""), name="request_made"
            ),
        ),
    ]
    operations = [AtOnce(operations)]
