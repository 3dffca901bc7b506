from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("analyses", "0007_company"),
    ]

    operations = [
        migrations.AddField(
            model_name="tombstone",
            name="filed_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="tombstone",
            name="kind",
            field=models.CharField(
                choices=[
                    ("account", "An account with everything in it"),
                    ("analysis", "One analysis"),
                    ("lesion", "One lesion; its analyses have their own"),
                    ("sharing", "One sharing that has ended"),
                    ("consent", "One consent that was withdrawn"),
                ],
                max_length=12,
            ),
        ),
    ]
