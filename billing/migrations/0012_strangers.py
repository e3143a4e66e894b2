"""Payments of strangers: kept until it is known whose they are."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0011_former_customers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="StrangerPayment",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("customer", models.CharField(blank=True, default="", max_length=255)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("paid_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("assigned_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "payment of a stranger",
                "verbose_name_plural": "payments of strangers",
                "permissions": (("assign_payment", "Can say whose a stranger's payment is"),),
                "indexes": [
                    models.Index(
                        condition=models.Q(("assigned_at__isnull", True)),
                        fields=["seen_at"],
                        name="stranger_waits",
                    ),
                    models.Index(
                        condition=models.Q(("customer", ""), _negated=True),
                        fields=["customer"],
                        name="stranger_by_customer",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("assigned_at__isnull", True), ("user__isnull", True)),
                            models.Q(("assigned_at__isnull", False), ("user__isnull", False)),
                            _connector="OR",
                        ),
                        name="stranger_assigned_whole",
                    )
                ],
            },
        ),
    ]
