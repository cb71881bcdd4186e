"""Fail where a service that the checks need does not answer."""

import sys

import redis
from sqlalchemy import create_engine, text

postgres, mariadb, redis_url = sys.argv[1:]
for url in (postgres, mariadb):
    with create_engine(url).connect() as connection:
        print(connection.scalar(text("SELECT version()")))
print("Redis", redis.Redis.from_url(redis_url).info("server")["redis_version"])
