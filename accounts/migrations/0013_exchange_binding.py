"""Say of each code for tokens where its sign-in began. Those of the version before, which live a minute, open nothing."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0012_words_of_the_admin"),
    ]

    operations = [
        migrations.AddField(
            model_name="exchangecode",
            name="browser",
            field=models.CharField(db_default="", max_length=64),
        ),
        migrations.AddField(
            model_name="exchangecode",
            name="code_challenge",
            field=models.CharField(blank=True, db_default="", max_length=43),
        ),
    ]
