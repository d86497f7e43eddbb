"""FastAPI by hand: asyncpg, PyJWT and Redis, one statement for who is calling and one for what they ask.

`python fastapi_peer.py KEYS PEOPLE` makes and fills the tables and prints the credentials; uvicorn serves `app`.
"""

import asyncio
import hashlib
import json
import os
import secrets
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import jwt
import orjson
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fences import FENCES, PASSWORD
from pydantic import BaseModel
from redis.asyncio import Redis

SECRET = os.environ["SECRET_KEY"]
ACCESS_SECONDS, REFRESH_SECONDS = 4 * 3600, 30 * 86400
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
redis = Redis.from_url(os.environ["REDIS_URL"])

TABLES = """
CREATE TABLE workspace (id uuid PRIMARY KEY);
CREATE TABLE person (id uuid PRIMARY KEY, workspace_id uuid REFERENCES workspace, email text UNIQUE, password text);
CREATE TABLE api_key (digest bytea PRIMARY KEY, workspace_id uuid REFERENCES workspace, revoked_at timestamptz);
CREATE TABLE session (id uuid PRIMARY KEY, person_id uuid REFERENCES person, current_jti uuid, revoked_at timestamptz);
CREATE TABLE geofence (
    id uuid PRIMARY KEY, workspace_id uuid REFERENCES workspace, name text, description text DEFAULT '',
    geometry jsonb, geometry_type text DEFAULT 'Polygon', radius_meters float, webhook_url text DEFAULT '',
    webhook_events jsonb DEFAULT '[]', metadata jsonb DEFAULT '{}', is_active bool DEFAULT true,
    group_name text DEFAULT '', source text DEFAULT 'draw', address text DEFAULT '', archived bool DEFAULT false,
    tags jsonb DEFAULT '[]', created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE INDEX ON geofence (workspace_id, created_at DESC);
"""
FIND_KEY = "SELECT workspace_id FROM api_key WHERE digest = $1 AND revoked_at IS NULL"
FIND_SESSION = """
SELECT p.workspace_id FROM session s JOIN person p ON p.id = s.person_id WHERE s.id = $1 AND s.revoked_at IS NULL"""
PAGE = "SELECT * FROM geofence WHERE workspace_id = $1 ORDER BY created_at DESC LIMIT $2"
ROTATE = """
UPDATE session SET current_jti = $1 WHERE id = $2 AND current_jti = $3 AND revoked_at IS NULL RETURNING person_id"""
BEGIN = "INSERT INTO session (id, person_id, current_jti) VALUES ($1, $2, $3)"


async def set_up(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=8, init=set_up) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def charge(*limits: tuple[str, int, int]) -> None:
    """Count one request by each name; raise 429 above its number within so many seconds. One trip."""
    now = int(time.time())
    async with redis.pipeline(transaction=False) as pipeline:
        for name, _, seconds in limits:
            pipeline.incr(f"{name}:{now // seconds}")
            pipeline.expire(f"{name}:{now // seconds}", seconds)
        counts = (await pipeline.execute())[::2]
    if any(count > limit for count, (_, limit, _) in zip(counts, limits, strict=True)):
        raise HTTPException(429, "Too many requests.")


def mint(kind: str, session_id: uuid.UUID, jti: uuid.UUID, seconds: int) -> str:
    now = int(time.time())
    claims = {"typ": kind, "sid": str(session_id), "jti": str(jti), "iat": now, "exp": now + seconds}
    return jwt.encode(claims, SECRET, "HS256")


def mint_pair(session_id: uuid.UUID, jti: uuid.UUID) -> dict[str, Any]:
    return {
        "access_token": mint("access", session_id, uuid.uuid4(), ACCESS_SECONDS),
        "refresh_token": mint("refresh", session_id, jti, REFRESH_SECONDS),
        "expires_in": ACCESS_SECONDS,
        "token_type": "Bearer",
    }


def read_token(raw: str, kind: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(raw, SECRET, ["HS256"], options={"require": ["typ", "sid", "jti", "exp"]})
    except jwt.PyJWTError:
        raise HTTPException(401, "Invalid token.") from None
    if claims["typ"] != kind:
        raise HTTPException(401, "Invalid token.")
    return claims


async def find_workspace(request: Request) -> uuid.UUID:
    if raw := request.headers.get("x-api-key"):
        digest = hashlib.sha256(raw.encode()).digest()
        name, row = digest.hex(), await app.state.pool.fetchrow(FIND_KEY, digest)
    else:
        name = read_token(request.headers.get("authorization", "").removeprefix("Bearer "), "access")["sid"]
        row = await app.state.pool.fetchrow(FIND_SESSION, uuid.UUID(name))
    if row is None:
        raise HTTPException(401, "Invalid credentials.")
    await charge((name, 20_000, 3600))
    return row["workspace_id"]


@app.get("/geofences")
async def geofences(workspace_id: Annotated[uuid.UUID, Depends(find_workspace)], limit: int = 50) -> Response:
    rows = await app.state.pool.fetch(PAGE, workspace_id, limit)
    page = [dict(row) for row in rows]
    return Response(orjson.dumps({"geofences": page, "count": len(page)}, default=str), media_type="application/json")


class Login(BaseModel):
    email: str
    password: str


def matches(hashed: str, password: str) -> bool:
    try:
        return hasher.verify(hashed, password)
    except VerifyMismatchError:
        return False


@app.post("/login")
async def login(body: Login, request: Request) -> dict[str, Any]:
    await charge((f"ip:{address(request)}", 60, 60), (f"email:{body.email}", 15, 60))
    person = await app.state.pool.fetchrow("SELECT id, password FROM person WHERE email = $1", body.email)
    if person is None or not await run_in_threadpool(matches, person["password"], body.password):
        raise HTTPException(401, "Invalid credentials.")
    session_id, jti = uuid.uuid4(), uuid.uuid4()
    await app.state.pool.execute(BEGIN, session_id, person["id"], jti)
    return mint_pair(session_id, jti)


class Refresh(BaseModel):
    refresh_token: str


@app.post("/refresh")
async def refresh(body: Refresh, request: Request) -> dict[str, Any]:
    claims = read_token(body.refresh_token, "refresh")
    await charge((f"refresh-ip:{address(request)}", 100, 60), (f"refresh:{claims['sid']}", 30, 60))
    session_id, jti = uuid.UUID(claims["sid"]), uuid.uuid4()
    row = await app.state.pool.fetchrow(ROTATE, jti, session_id, uuid.UUID(claims["jti"]))
    if row is None:
        raise HTTPException(401, "Invalid token.")
    return mint_pair(session_id, jti)


def address(request: Request) -> str:
    return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()


async def seed(key_count: int, people: int) -> dict[str, Any]:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await set_up(connection)
    await connection.execute(TABLES)
    workspace_id, password = uuid.uuid4(), hasher.hash(PASSWORD)
    keys = [f"fa_{secrets.token_urlsafe(30)}" for _ in range(key_count)]
    persons = [(uuid.uuid4(), workspace_id, f"person{number}@bench.test", password) for number in range(people)]
    sessions = [(uuid.uuid4(), person[0], uuid.uuid4()) for person in persons for _ in range(5)]
    fences = [(uuid.uuid4(), workspace_id, fence["name"], fence["geometry"]) for fence in FENCES]
    await connection.execute("INSERT INTO workspace VALUES ($1)", workspace_id)
    await connection.executemany("INSERT INTO person VALUES ($1, $2, $3, $4)", persons)
    digests = [(hashlib.sha256(key.encode()).digest(), workspace_id) for key in keys]
    await connection.executemany("INSERT INTO api_key VALUES ($1, $2)", digests)
    await connection.executemany(BEGIN, sessions)
    await connection.executemany(
        "INSERT INTO geofence (id, workspace_id, name, geometry) VALUES ($1, $2, $3, $4)", fences
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    pairs = [mint_pair(session_id, jti) for session_id, _, jti in sessions]
    return {
        "keys": keys,
        "emails": [person[2] for person in persons],
        "access_tokens": [pair["access_token"] for pair in pairs],
        "refresh_tokens": [pair["refresh_token"] for pair in pairs],
    }


if __name__ == "__main__":
    json.dump(asyncio.run(seed(*map(int, sys.argv[1:]))), sys.stdout)
