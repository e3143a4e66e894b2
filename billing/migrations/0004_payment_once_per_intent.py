from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_staff_permissions")]

    operations = [
        migrations.RemoveIndex(model_name="payment", name="payment_by_intent"),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                fields=["payment_intent"], condition=~Q(payment_intent=""), name="payment_once_per_intent"
            ),
        ),
    ]
