"""`use` with FastAPI, pydantic and SQLAlchemy's asynchronous ORM on asyncpg, written as their own guides do.

It looks the API key up by its SHA-256 (a query, as a dependency), checks the body's types, answers a repeated key with
the first row (409 for a different request with it), locks the balance row, refuses uncovered uses, changes the balance,
adds a row of history with the balance after it and the key's row, in one transaction, and answers with the row.

It lacks hash chains, grants that expire, debt, alerts, blocked users, scopes, request ids and security headers, problem
documents, limits on the body, checks for duplicate names in JSON, and retries after a deadlock. It is measured without
them.

Run as a program, `fastapi_orm.py` creates the tables and their rows; `uvicorn fastapi_orm:app --workers 2` serves.
"""

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1)
engine = create_async_engine(URL)
Session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class ServiceKey(Base):
    __tablename__ = "service_key"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(String(40))


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (CheckConstraint("balance >= 0"),)

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger)


class Transaction(Base):
    __tablename__ = "transaction"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Account.user_id))
    amount: Mapped[int] = mapped_column(BigInteger)
    balance_after: Mapped[int] = mapped_column(BigInteger)
    description: Mapped[str | None] = mapped_column(String(500))
    reference: Mapped[str | None] = mapped_column(String(255))
    service: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("transaction_history", user_id, created_at.desc(), id.desc()),)


class IdempotencyKey(Base):
    __tablename__ = "idempotency_key"

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request: Mapped[bytes]
    transaction_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Transaction.id))
    transaction: Mapped[Transaction] = relationship()


class Use(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    user_id: uuid.UUID
    amount: Annotated[int, Field(ge=1, le=10**12, strict=True)]
    description: Annotated[str, Field(max_length=500)] | None = None
    reference: Annotated[str, Field(max_length=255)] | None = None


class TransactionAnswer(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    user_id: uuid.UUID
    amount: int
    balance_after: int
    description: str | None
    reference: str | None
    service: str
    created_at: datetime


async def session() -> AsyncIterator[AsyncSession]:
    async with Session() as opened:
        yield opened


Database = Annotated[AsyncSession, Depends(session)]


async def calling_service(database: Database, x_api_key: Annotated[str, Header()]) -> str:
    digest = hashlib.sha256(x_api_key.encode()).digest()
    service = await database.scalar(select(ServiceKey.service).where(ServiceKey.digest == digest))
    if service is None:
        raise HTTPException(401, "The API key is invalid.")
    return service


@app.post("/v1/credits/use", status_code=201, response_model=TransactionAnswer)
async def use(
    body: Use,
    database: Database,
    service: Annotated[str, Depends(calling_service)],
    idempotency_key: Annotated[str, Header(max_length=255)],
) -> Transaction:
    digest = hashlib.sha256(body.model_dump_json().encode()).digest()
    account = await database.get(Account, body.user_id, with_for_update=True)
    if account is None:
        raise HTTPException(404, "There is no such user.")
    seen = await database.get(IdempotencyKey, (body.user_id, service, idempotency_key))
    if seen is not None:
        if seen.request != digest:
            raise HTTPException(409, "The key was used for another request.")
        return await database.get_one(Transaction, seen.transaction_id)
    if account.balance < body.amount:
        raise HTTPException(402, "The credits do not suffice.")
    account.balance -= body.amount
    row = Transaction(
        user_id=body.user_id, amount=-body.amount, balance_after=account.balance, service=service,
        description=body.description, reference=body.reference,
    )  # fmt: skip
    database.add(
        IdempotencyKey(
            user_id=body.user_id, service=service, key=idempotency_key, request=digest, transaction=row
        )
    )
    await database.commit()
    return row


async def prepare(users: int, key: str) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Session.begin() as database:
        database.add(ServiceKey(service="bench", digest=hashlib.sha256(key.encode()).digest()))
        ids = (uuid.UUID(f"00000000-0000-4000-8000-{number:012x}") for number in range(1, users + 1))
        database.add_all([Account(user_id=user_id, balance=10**9) for user_id in ids])


if __name__ == "__main__":
    asyncio.run(prepare(int(os.environ["BENCH_USERS"]), os.environ["INTERNAL_API_KEY"]))
