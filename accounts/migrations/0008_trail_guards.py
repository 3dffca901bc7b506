"""What the trail refuses beside UPDATE and DELETE: to be overwritten (SQLite), to be emptied."""

from django.db import migrations, models

from accounts.audit import triggers


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_hospital_ended'),
    ]

    operations = [
        # Backwards they stay: they harm no older release, and 0002 takes them away.
        migrations.RunPython(triggers.renew, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='auditevent',
            name='action',
            field=models.CharField(choices=[('signed_in', 'Signed in'), ('sign_in_failed', 'Sign-in failed'), ('signed_out', 'Signed out'), ('password_changed', 'Password changed'), ('token_created', 'API token created'), ('token_revoked', 'API token revoked'), ('mfa_changed', 'Second factor changed'), ('sign_in_linked', 'Sign-in of the hospital linked'), ('sign_in_unlinked', 'Sign-in of the hospital ended'), ('sign_in_allowed', 'Sign-in of the hospital allowed again'), ('account_created', 'Account created'), ('account_disabled', 'Account disabled'), ('account_enabled', 'Account enabled'), ('role_changed', 'Role changed'), ('profile_changed', 'Profile changed'), ('consent_given', 'Consent given'), ('consent_withdrawn', 'Consent withdrawn'), ('shared', 'Record shared'), ('unshared', 'Sharing ended'), ('uploaded', 'Photo uploaded'), ('read', 'Record opened'), ('image_read', 'Photo opened'), ('listed', 'Records listed'), ('exported', 'Records exported'), ('reviewed', 'Review written'), ('review_amended', 'Review amended'), ('denied', 'Access denied'), ('deleted', 'Record deleted'), ('erased', 'Account erased')], max_length=24),
        ),
    ]
