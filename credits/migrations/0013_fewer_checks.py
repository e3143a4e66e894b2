"""The same rules for a balance in fewer and shorter constraints: each use has PostgreSQL parse all of them.

That nothing is overdrawn followed from two others; what may not be negative is asked at once.
"""

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual

REPLACED = (
    "credit_held_not_negative",
    "credit_debt_not_negative",
    "credit_no_overdraft",
    "credit_open_grant",
    "credit_open_within_live",
)
CONDITIONS = {
    "credit_nothing_negative": GreaterThanOrEqual(Least("held", "debt", "open_left"), 0),
    "credit_no_overdraft": Q(open_left__lte=F("balance") - F("held") + F("debt")),
    "credit_open_grant": Q(open_lot__isnull=False) | Q(open_left=0),
}


class Migration(migrations.Migration):
    dependencies = [("credits", "0012_holders")]

    operations = [
        *[migrations.RemoveConstraint("usercredit", name) for name in REPLACED],
        *[
            migrations.AddConstraint("usercredit", models.CheckConstraint(condition=condition, name=name))
            for name, condition in CONDITIONS.items()
        ],
    ]
