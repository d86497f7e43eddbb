from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sso", "0006_saml_domain"),
    ]

    operations = [
        migrations.AddField(
            model_name="logincode",
            name="logged_in_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="samlrequest",
            name="force_login",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="samlsession",
            name="logged_in_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="samlrequest",
            name="intent",
            field=models.CharField(choices=[("client", "Client"), ("test", "Test")], max_length=20),
        ),
    ]
