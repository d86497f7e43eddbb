from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sso", "0005_saml_logout"),
    ]

    operations = [
        migrations.AddField(
            model_name="logincode",
            name="domain",
            field=models.CharField(blank=True, default="", max_length=253),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="samlsession",
            name="domain",
            field=models.CharField(blank=True, default="", max_length=253),
            preserve_default=False,
        ),
    ]
