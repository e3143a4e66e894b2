"""What the admin lists, each the beginning of an index; made beside whatever is being written."""

from django.db import migrations, models

from accounts.kit.repeatable import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("credits", "0005_open_holds")]

    operations = [
        AddIndexConcurrently(
            model_name="creditlot",
            index=models.Index(
                condition=models.Q(("kind", "grant")), fields=["source", "-id"], name="lot_by_source"
            ),
        ),
        AddIndexConcurrently(
            model_name="usercredit",
            index=models.Index(condition=models.Q(("debt__gt", 0)), fields=["-user"], name="credit_in_debt"),
        ),
    ]
