"""Sealed columns: unreadable without the ring, bound to their place, and moved from key to key without a gap."""

import base64
import json
import secrets
from collections.abc import Iterator
from io import StringIO
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from accounts.kit import sealing
from accounts.kit.sealing import SealedTextUnreadable
from accounts.models import AuditEvent, Service
from accounts.upkeep import sealed_columns

SEED = "JBSWY3DPEHPK3PXP"
CONTEXT = "accounts.Factor.secret:1"


class Key(NamedTuple):
    kid: str
    algorithm: str
    material: bytes


def key(kid: str) -> Key:
    return Key(kid, "A256GCM", secrets.token_bytes(32))


OLD, NEW = key("2025"), key("2026")


def ring(*keys: Key) -> override_settings:
    return override_settings(FIELD_ENCRYPTION_KEYS=list(keys))


def context_of_service(row: Any) -> str:
    return f"service:{row.pk}"


def context_of_event(row: Any) -> str:
    return f"event:{row.pk}"


COLUMNS = {
    "accounts.Service.description": f"{__name__}.context_of_service",
    "accounts.AuditEvent.detail": f"{__name__}.context_of_event",
}


class TestSealing:
    @pytest.mark.parametrize("text", [SEED, "", "ü∑" * 500, "sealed1:fe1:AAAA"])
    def test_what_was_sealed_opens_and_cannot_be_read(self, text: str) -> None:
        sealed = sealing.seal(text, context=CONTEXT)
        assert sealing.open(sealed, context=CONTEXT) == text
        raw = base64.urlsafe_b64decode(sealed.rpartition(":")[2])
        assert not text or (text not in sealed and text.encode() not in raw)

    def test_the_same_text_is_never_sealed_alike(self) -> None:
        assert len({sealing.seal(SEED, context=CONTEXT) for _ in range(100)}) == 100

    def test_it_opens_in_its_own_place_only(self) -> None:
        sealed = sealing.seal(SEED, context=CONTEXT)
        for other in ("", "accounts.Factor.secret:2", "accounts.Factor.secret:1 "):
            with pytest.raises(SealedTextUnreadable):
                sealing.open(sealed, context=other)

    def test_every_flipped_bit_is_noticed(self) -> None:
        form, kid, encoded = sealing.seal(SEED, context=CONTEXT).split(":")
        raw = base64.urlsafe_b64decode(encoded)
        for place in range(len(raw) * 8):
            flipped = bytearray(raw)
            flipped[place // 8] ^= 1 << place % 8
            text = f"{form}:{kid}:{base64.urlsafe_b64encode(bytes(flipped)).decode()}"
            with pytest.raises(SealedTextUnreadable):
                sealing.open(text, context=CONTEXT)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\0",
            "ü",
            SEED,
            "sealed1",
            "sealed1:",
            "sealed1:fe1",
            "sealed1:fe1:",
            "sealed1:fe1:AAAA",
            "sealed1:fe1:%%%%",
            "sealed1::" + "A" * 64,
            "sealed1:unknown:" + "A" * 64,
            "sealed2:fe1:" + "A" * 64,
        ],
    )
    def test_what_is_not_sealed_is_refused(self, text: str) -> None:
        with pytest.raises(SealedTextUnreadable):
            sealing.open(text, context=CONTEXT)

    def test_one_key_id_with_other_material_opens_nothing(self) -> None:
        with ring(OLD):
            sealed = sealing.seal(SEED, context=CONTEXT)
        with ring(key(OLD.kid)), pytest.raises(SealedTextUnreadable):
            sealing.open(sealed, context=CONTEXT)


class TestRotation:
    def test_all_keys_open_and_the_first_seals(self) -> None:
        with ring(OLD):
            before = sealing.seal(SEED, context=CONTEXT)
        with ring(OLD, NEW):  # every process learns of the new key before the first one uses it
            assert sealing.key_id(sealing.seal(SEED, context=CONTEXT)) == OLD.kid
        with ring(NEW, OLD):
            after = sealing.seal(SEED, context=CONTEXT)
            assert sealing.open(before, context=CONTEXT) == SEED
        assert sealing.key_id(after) == NEW.kid
        with ring(OLD, NEW):  # a process that has not been restarted yet
            assert sealing.open(after, context=CONTEXT) == SEED
        with ring(NEW), pytest.raises(SealedTextUnreadable, match=OLD.kid):
            sealing.open(before, context=CONTEXT)


@pytest.mark.django_db
class TestReencrypting:
    @pytest.fixture(autouse=True)
    def _columns(self) -> Iterator[None]:
        with override_settings(SEALED_COLUMNS=COLUMNS):
            yield

    def sealed_rows(self) -> tuple[Service, AuditEvent]:
        with ring(OLD):
            service = Service.objects.create(name="shop")
            service.description = sealing.seal(SEED, context=context_of_service(service))
            service.save()
            event = AuditEvent.objects.create(type="test")
            sealed = sealing.seal(SEED, context=context_of_event(event))
            event.detail = {"plain": "as it was", "deep": [{"secret": sealed}]}
            event.save()
        return service, event

    def run(self, *arguments: str) -> dict[str, Any]:
        out = StringIO()
        call_command("reencrypt_fields", "--json", *arguments, stdout=out)
        document: dict[str, Any] = json.loads(out.getvalue())
        return document

    def test_afterwards_the_old_key_is_not_needed(self) -> None:
        service, event = self.sealed_rows()
        Service.objects.create(name="other", description="not sealed")
        with ring(NEW, OLD):
            assert self.run("--dry-run")["in_use"] == {name: {OLD.kid: 1} for name in COLUMNS}
            done = self.run()
        assert done["resealed"] == dict.fromkeys(COLUMNS, 1)
        assert done["in_use"] == {name: {NEW.kid: 1} for name in COLUMNS}
        assert done["unneeded"] == [OLD.kid]
        service.refresh_from_db()
        event.refresh_from_db()
        with ring(NEW):
            assert sealing.open(service.description, context=context_of_service(service)) == SEED
            inner = event.detail["deep"][0]["secret"]
            assert sealing.open(inner, context=context_of_event(event)) == SEED
        assert event.detail["plain"] == "as it was"
        assert Service.objects.get(name="other").description == "not sealed"

    def test_a_second_run_changes_nothing(self) -> None:
        service, _ = self.sealed_rows()
        with ring(NEW, OLD):
            self.run()
            service.refresh_from_db()
            before = service.description
            assert self.run()["resealed"] == dict.fromkeys(COLUMNS, 0)
        service.refresh_from_db()
        assert service.description == before

    def test_what_is_written_meanwhile_wins(self) -> None:
        service, _ = self.sealed_rows()
        column = sealed_columns.columns()[0]

        def written_meanwhile(row: Any) -> str:
            Service.objects.filter(pk=row.pk).update(description="newer")
            return context_of_service(row)

        with ring(NEW, OLD):
            assert sealed_columns.reencrypt(column._replace(context=written_meanwhile)).resealed == 0
        service.refresh_from_db()
        assert service.description == "newer"

    def test_a_row_that_does_not_open_is_named_and_left_as_it_is(self) -> None:
        service, _ = self.sealed_rows()
        out = StringIO()
        with ring(NEW), pytest.raises(CommandError):
            call_command("reencrypt_fields", stdout=out)
        assert "accounts.Service.description: rows that cannot be decrypted: shop" in out.getvalue()
        before = service.description
        service.refresh_from_db()
        assert service.description == before


def test_every_sealed_column_exists() -> None:
    for column in sealed_columns.columns():
        column.model._meta.get_field(column.column)
