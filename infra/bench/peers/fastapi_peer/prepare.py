"""Creates the database, with the user Ada."""

import asyncio

from fastapi_users.password import PasswordHelper

from app import Base, User, engine, sessions


async def prepare() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions.begin() as session:
        password = PasswordHelper().hash("the first password of Ada")
        session.add(User(email="ada@example.com", hashed_password=password))
    await engine.dispose()


asyncio.run(prepare())
