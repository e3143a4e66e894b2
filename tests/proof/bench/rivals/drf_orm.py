"""`use` with Django and Django REST Framework as `startproject` and their guides leave them: models, serializers, ORM.

It looks the API key up by its SHA-256 (a query, in an authentication class), checks the body with a serializer, answers
a repeated key with the first row (409 for a different request with it), locks the balance row with select_for_update,
refuses uncovered uses, changes the balance, adds a row of history with the balance after it and the key's row, in one
transaction, and answers with the row through a ModelSerializer. The middleware is that of `startproject`; connections
are kept (CONN_MAX_AGE): Django's default, a new one for each request, would be several times slower.

It lacks hash chains, grants that expire, debt, alerts, blocked users, scopes, request ids, log lines, problem
documents, checks for duplicate names in JSON, and retries after a deadlock. It is measured without them.

Run as a program, `drf_orm.py` creates the tables and their rows; `gunicorn drf_orm:application` serves.
"""

import hashlib
import json
import os
import uuid
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

DATABASE = urlsplit(os.environ["DATABASE_URL"])

settings.configure(
    SECRET_KEY="for the bench, on loopback",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="drf_orm",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": DATABASE.path.lstrip("/"),
            "USER": DATABASE.username,
            "HOST": parse_qs(DATABASE.query)["host"][0],
            "CONN_MAX_AGE": 60,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "rest_framework",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import authentication, exceptions, permissions, serializers, status  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class ServiceKey(models.Model):  # noqa: DJ008
    digest = models.BinaryField(unique=True)
    service = models.CharField(max_length=40)
    is_authenticated = True

    class Meta:
        app_label = "rival"


class Account(models.Model):  # noqa: DJ008
    user_id = models.UUIDField(primary_key=True)
    balance = models.BigIntegerField()

    class Meta:
        app_label = "rival"
        constraints = (models.CheckConstraint(condition=models.Q(balance__gte=0), name="no_overdraft"),)


class Transaction(models.Model):  # noqa: DJ008
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.ForeignKey(Account, models.PROTECT, db_index=False)
    amount = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    description = models.CharField(max_length=500, null=True)  # noqa: DJ001
    reference = models.CharField(max_length=255, null=True)  # noqa: DJ001
    service = models.CharField(max_length=40)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "rival"
        indexes = (models.Index(fields=["account", "-created_at", "-id"], name="transaction_history"),)


class IdempotencyKey(models.Model):  # noqa: DJ008
    account = models.ForeignKey(Account, models.PROTECT, db_index=False)
    service = models.CharField(max_length=40)
    key = models.CharField(max_length=255)
    request = models.BinaryField()
    transaction = models.ForeignKey(Transaction, models.PROTECT, db_index=False)

    class Meta:
        app_label = "rival"
        constraints = (models.UniqueConstraint(fields=["account", "service", "key"], name="key_once"),)


class InsufficientCredits(exceptions.APIException):
    status_code = status.HTTP_402_PAYMENT_REQUIRED
    default_detail = "The credits do not suffice."


class KeyReused(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "The key was used for another request."


class KeyAuthentication(authentication.BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[ServiceKey, None]:
        digest = hashlib.sha256(request.headers.get("X-API-Key", "").encode()).digest()
        try:
            return ServiceKey.objects.get(digest=digest), None
        except ServiceKey.DoesNotExist:
            raise exceptions.AuthenticationFailed from None


class UseSerializer(serializers.Serializer):
    user_id = serializers.UUIDField()
    amount = serializers.IntegerField(min_value=1, max_value=10**12)
    description = serializers.CharField(max_length=500, required=False)
    reference = serializers.CharField(max_length=255, required=False)


class TransactionSerializer(serializers.ModelSerializer):
    user_id = serializers.UUIDField(source="account_id")

    class Meta:
        model = Transaction
        fields = (
            "id", "user_id", "amount", "balance_after", "description", "reference", "service", "created_at",
        )  # fmt: skip


class UseCredits(APIView):
    authentication_classes = (KeyAuthentication,)
    permission_classes = (permissions.IsAuthenticated,)

    def post(self, request: Request) -> Response:
        wanted = UseSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key")
        if not key or len(key) > 255:
            raise exceptions.ValidationError({"Idempotency-Key": "Send one of at most 255 characters."})
        row = spend(request.user.service, key, **wanted.validated_data)
        return Response(TransactionSerializer(row).data, status=status.HTTP_201_CREATED)


@transaction.atomic
def spend(service: str, key: str, *, user_id: uuid.UUID, amount: int, **texts: str) -> Transaction:
    digest = hashlib.sha256(json.dumps([str(user_id), amount, texts]).encode()).digest()
    try:
        account = Account.objects.select_for_update().get(pk=user_id)
    except Account.DoesNotExist:
        raise exceptions.NotFound from None
    seen = (
        IdempotencyKey.objects.select_related("transaction")
        .filter(account=account, service=service, key=key)
        .first()
    )
    if seen is not None:
        if bytes(seen.request) != digest:
            raise KeyReused
        return seen.transaction
    if account.balance < amount:
        raise InsufficientCredits
    account.balance -= amount
    account.save(update_fields=["balance"])
    row = Transaction.objects.create(
        account=account, amount=-amount, balance_after=account.balance, service=service, **texts
    )
    IdempotencyKey.objects.create(account=account, service=service, key=key, request=digest, transaction=row)
    return row


urlpatterns = [path("v1/credits/use", UseCredits.as_view())]
application = get_wsgi_application()


def prepare(users: int, key: str) -> None:
    with connection.schema_editor() as schema:
        for model in (ServiceKey, Account, Transaction, IdempotencyKey):
            schema.create_model(model)
    ServiceKey.objects.create(service="bench", digest=hashlib.sha256(key.encode()).digest())
    ids = (uuid.UUID(f"00000000-0000-4000-8000-{number:012x}") for number in range(1, users + 1))
    Account.objects.bulk_create([Account(user_id=user_id, balance=10**9) for user_id in ids])


if __name__ == "__main__":
    prepare(int(os.environ["BENCH_USERS"]), os.environ["INTERNAL_API_KEY"])
