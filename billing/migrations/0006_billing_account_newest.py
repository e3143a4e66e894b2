"""What the admin lists, the beginning of an index; made beside whatever is being written."""

from django.db import migrations, models

from accounts.kit.repeatable import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0005_admin_lists")]

    operations = [
        AddIndexConcurrently(
            model_name="billingaccount",
            index=models.Index(fields=["-changed_at", "-user"], name="billing_account_newest"),
        ),
    ]
