from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from billing import checks
        from billing.stripe import mirror, sdk

        checks.leave_out_those_of_unused_tables()
        sdk.configure()
        mirror.keep_the_key_out_of_the_database()
        mirror.keep_client_secrets_out_of_the_database()
