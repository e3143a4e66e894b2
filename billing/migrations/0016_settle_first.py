"""Events know what they are about, so that one look serves several, and what waits to be settled comes first."""

from django.db import migrations, models
from django.db.models import F, Q

from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddField, AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("billing", "0015_prices"),
    ]

    operations = [
        AddField(
            model_name="inboxevent",
            name="about",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        AddIndexConcurrently(
            model_name="inboxevent",
            index=models.Index(
                F("settled_at").asc(nulls_first=True),
                F("created").asc(),
                F("id").asc(),
                condition=Q(done_at__isnull=True, dead_at__isnull=True),
                name="inbox_next",
            ),
        ),
        AddIndexConcurrently(
            model_name="inboxevent",
            index=models.Index(
                fields=["about"],
                condition=Q(("settled_at__isnull", True), Q(("about", ""), _negated=True)),
                name="inbox_unsettled",
            ),
        ),
        RemoveIndexConcurrently(model_name="inboxevent", name="inbox_to_do"),
    ]
    operations = [AtOnce(operations)]
