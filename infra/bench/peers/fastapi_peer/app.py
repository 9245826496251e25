"""FastAPI Users on Lambda: its own reset router and user manager, SQLAlchemy with aiosqlite, and Mangum."""

import os
import uuid

from fastapi import FastAPI
from fastapi_users import BaseUserManager, UUIDIDMixin
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.router import get_reset_password_router
from mangum import Mangum
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

import mail


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['DATABASE']}")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = os.environ["SECRET"]

    async def on_after_forgot_password(self, user: User, token: str, request=None) -> None:
        # boto3 blocks the event loop, but a sandbox handles one request at a time, so no other request waits.
        mail.send(user.email, "Reset your password", f"Choose a new password:\n\n{mail.PAGE}?token={token}\n")


async def get_user_manager():
    async with sessions() as session:
        yield UserManager(SQLAlchemyUserDatabase(session, User))


app = FastAPI(openapi_url=None)
app.include_router(get_reset_password_router(get_user_manager), prefix="/auth")
handler = Mangum(app, lifespan="off")
