"""Neither who asks for an adjustment nor who approves it is the one who gets it. Rows of before are marked, and kept."""

from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

MARK = """
UPDATE credits_adjustmentrequest SET before_rule = TRUE WHERE user_id IN (requested_by_id, decided_by_id)
"""


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("credits", "0008_forfeits"),
    ]

    operations = [
        migrations.AddField(
            model_name="adjustmentrequest",
            name="before_rule",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.RunSQL(MARK, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="adjustmentrequest",
            constraint=models.CheckConstraint(
                condition=Q(before_rule=True)
                | ~Q(user=F("requested_by")) & (Q(decided_by__isnull=True) | ~Q(user=F("decided_by"))),
                name="adjustment_not_for_oneself",
            ),
        ),
    ]
