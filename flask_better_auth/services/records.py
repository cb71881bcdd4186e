"""The only reader and writer of rows: units of work, database hooks, and the work that follows a commit."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, cast

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import bindparam, event, exc, inspect, select
from sqlalchemy import delete as sql_delete
from sqlalchemy import insert as sql_insert
from sqlalchemy import text as sql_text
from sqlalchemy import update as sql_update
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.orm import Session, SessionTransaction, attributes
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from .. import clock
from ..context import AuthState, Call, Record, Table
from ..crypto import random_string
from ..errors import TransactionConflict
from ..hooks import Operation
from ..models import references
from . import fields

#: Units that are open around the current code, outermost first: a hook may call ``auth.api`` from inside one.
_open_units: ContextVar[tuple[Session, ...]] = ContextVar("better_auth_open_units", default=())
#: Seconds until a unit no longer waits for those before it.
_PATIENCE = 5
#: Where a session of the application keeps the work that waits for its commit.
_WAITING = "better_auth_waiting"
#: SQLSTATE and error numbers of a lock that was not granted in time, and of a value that must be unique.
_LOCK_TIMEOUTS = {"55P03", 1205}
_DUPLICATES = {"23505", 1062}


class Outdated(Exception):
    """What was read in an earlier unit, and this write relied on, no longer holds."""


# ---------------------------------------------------------------- units of work


@contextmanager
def unit(call: Call) -> Iterator[Session]:
    """Write rows together: all of them or none, committed at the end, whatever the answer turns out to be.

    On a session of the call's own, or, where the call joined the application's, in a SAVEPOINT of that. Inside an open
    unit of the same call it is that unit. After-commit work runs once the rows are safe; where the application commits,
    it runs then.

    Raises:
        TransactionConflict: the application holds what an own unit would wait for.
    """
    if call.unit is not None:
        yield call.unit
        return
    try:
        with _hiding_parameters(), _joined(call) if call.joined is not None else _own(call) as session:
            call.unit = session
            token = _open_units.set((*_open_units.get(), session))
            try:
                yield session
            finally:
                _open_units.reset(token)
                call.unit = None
    except BaseException:
        call.after_commit.clear()
        while call.on_rollback:
            call.guarded(call.on_rollback.pop())
        raise
    call.on_rollback.clear()
    work, call.after_commit = call.after_commit, []
    if call.joined is None:
        for item in work:
            call.guarded(item)
    elif work:
        _when_committed(call, call.joined, work)


def foresee_conflict(call: Call) -> None:
    """Fail before something is done that cannot be undone, where a unit would fail afterwards.

    Raises:
        TransactionConflict: as ``unit`` raises it; a lock that is not granted in time is not foreseen.
    """
    if call.unit is None and call.joined is None:
        _check_conflict(call.state, call.db, call.state.models["user"])


def on_rollback(call: Call, work: Callable[[], object]) -> None:
    """Do ``work`` if the open unit comes to nothing: it undoes what was written where there are no transactions."""
    call.on_rollback.append(work)


def after_commit(call: Call, work: Callable[[], object]) -> None:
    """Do ``work`` once the open unit is committed; its failure is logged and changes no answer."""
    if call.unit is None:
        call.guarded(work)
    else:
        call.after_commit.append(work)


@contextmanager
def _own(call: Call) -> Iterator[Session]:
    session = call.db
    waits = _check_conflict(call.state, session, call.state.models["user"])
    try:
        with _turn(call, session), session.begin():
            if waits:
                _limit_waiting(session, call.state.models["user"])
            yield session
    except exc.DBAPIError as error:
        if waits and _error_codes(error) & _LOCK_TIMEOUTS:
            raise TransactionConflict from error
        raise


@contextmanager
def _turn(call: Call, session: Session) -> Iterator[None]:
    """Let one unit of this process at a time write to SQLite, where units wait for a secondary storage in between.

    SQLite waits for its lock in C, where no other greenlet runs: under gevent the one that holds the lock, and waits
    for the storage, would never go on.
    """
    bind = session.get_bind(mapper=inspect(call.state.models["user"]))
    if call.state.storage is None or bind.dialect.name != "sqlite":
        yield
        return
    lock = call.state.once(_lock)
    held = lock.acquire(timeout=_PATIENCE)  # without it the lock of SQLite decides, as ever
    try:
        yield
    finally:
        if held:
            lock.release()


def _lock(state: AuthState) -> threading.RLock:
    # made at its first use, in the worker: one from before the fork would be none of gevent's
    return threading.RLock()


@contextmanager
def _joined(call: Call) -> Iterator[Session]:
    session = call.db
    connection = session.connection(bind_arguments={"mapper": inspect(call.state.models["user"])})
    if connection.dialect.name == "sqlite" and not _driver_in_transaction(connection):
        # pysqlite opens no transaction for a SAVEPOINT, and releasing the outermost one would commit
        connection.exec_driver_sql("BEGIN")
    with session.begin_nested():
        yield session


def _when_committed(call: Call, session: Session, work: Sequence[Callable[[], object]]) -> None:
    """Run ``work`` when the transaction of the application is committed, and forget it if that is rolled back."""
    around: set[SessionTransaction] = set()
    transaction = session.get_nested_transaction() or session.get_transaction()
    while transaction is not None:
        around.add(transaction)
        transaction = transaction.parent
    if _WAITING not in session.info:
        event.listen(session, "after_commit", _committed)
        event.listen(session, "after_soft_rollback", _rolled_back)
    session.info.setdefault(_WAITING, []).append((around, [lambda item=item: call.guarded(item) for item in work]))


def _committed(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a SAVEPOINT of the application; its transaction is still open
    waiting, session.info[_WAITING] = session.info[_WAITING], []
    for _, work in waiting:
        for item in work:
            item()


def _rolled_back(session: Session, previous: SessionTransaction) -> None:
    session.info[_WAITING] = [entry for entry in session.info[_WAITING] if previous not in entry[0]]


def _check_conflict(state: AuthState, session: Session, model: type[Any]) -> bool:
    """Whether code around this one holds a transaction that the unit may have to wait for.

    Raises:
        TransactionConflict: it would wait for ever, or commit what is not its own.
    """
    bind = session.get_bind(mapper=inspect(model))
    held = _held(state.db, bind)
    if held is None:
        return False
    pool = bind.engine.pool
    if held.dialect.name == "sqlite" and _driver_in_transaction(held):
        raise TransactionConflict
    if isinstance(pool, QueuePool) and _capacity(pool) == 1:
        raise TransactionConflict
    return held.dialect.name != "sqlite"


def _held(db: SQLAlchemy, bind: Engine | Connection) -> Connection | None:
    """The connection that ``db.session``, or a unit around this code, holds of ``bind``; never opens one."""
    sessions = list(_open_units.get())
    if db.session.registry.has():
        sessions.append(db.session())
    for session in sessions:
        transaction = session.get_transaction()
        # asking the session itself would begin a transaction for the application
        entry = transaction._connections.get(bind) if transaction is not None else None
        if entry is not None:
            return entry[0]
    return None


def _driver_in_transaction(connection: Connection) -> bool:
    return bool(getattr(connection.connection.driver_connection, "in_transaction", False))


def _capacity(pool: QueuePool) -> int:
    return -1 if pool._max_overflow < 0 else pool.size() + pool._max_overflow


def _limit_waiting(session: Session, model: type[Any]) -> None:
    """Five seconds for a lock: the holder may be the very request that waits."""
    mapper = {"mapper": inspect(model)}
    dialect = session.get_bind(**mapper).dialect.name
    if dialect == "postgresql":
        session.execute(sql_text("SET LOCAL lock_timeout = '5s'"), bind_arguments=mapper)
    elif dialect in ("mysql", "mariadb"):
        connection = session.connection(bind_arguments=mapper)
        connection.exec_driver_sql("SET @better_auth_wait = @@SESSION.innodb_lock_wait_timeout")
        connection.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 5")
        restore = "SET SESSION innodb_lock_wait_timeout = @better_auth_wait"
        event.listen(connection, "commit", lambda conn: conn.exec_driver_sql(restore), once=True)
        event.listen(connection, "rollback", lambda conn: conn.exec_driver_sql(restore), once=True)


@contextmanager
def _hiding_parameters() -> Iterator[None]:
    """Keep hashes and tokens out of the text of a failure, and so out of logs (SECURITY F12)."""
    try:
        yield
    except exc.StatementError as error:
        error.hide_parameters = True
        raise


def _error_codes(error: exc.DBAPIError) -> set[Any]:
    """What the drivers call the failure: SQLSTATE, error number, or both."""
    origin: Any = error.orig
    return {getattr(origin, "sqlstate", None), getattr(origin, "pgcode", None), *origin.args[:1]}


def violated_uniqueness(error: exc.IntegrityError) -> str | None:
    """The column or the constraint that a value was not unique for; nothing, if another kind of constraint failed."""
    text = str(error.orig)
    if not (_error_codes(error) & _DUPLICATES or "UNIQUE constraint failed" in text):
        return None
    named = re.search(r"UNIQUE constraint failed: (.+)|unique constraint \"(.+?)\"|for key '(.+?)'$", text.rstrip('")'))
    return next(filter(None, named.groups()), "") if named else ""


# ---------------------------------------------------------------- reading


def rows(call: Call, statement: Any, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
    """Read: in the open unit, in the transaction that the call joined, or by itself without a transaction."""
    if call.unit is not None or call.joined is not None:
        with _hiding_parameters():
            return call.db.execute(statement, parameters or {}).all()
    with reading(call) as connection:
        return connection.execute(statement, parameters).all()


@contextmanager
def reading(call: Call) -> Iterator[Connection]:
    """A connection for one statement outside every transaction.

    It is one of our own. Where there is none to be had, because the application holds the only one, it is that.
    """
    # a session that begins nothing needs no closing, and closing one takes as long as the SELECT
    bind = call.state.db.session.session_factory().get_bind(mapper=call.state.models["user"])
    held = bind if isinstance(bind, Connection) else _held(call.state.db, bind) if _is_exhausted(bind) else None
    with _hiding_parameters():
        if held is not None:
            yield held
        else:
            with _reader(call, cast(Engine, bind)).connect() as connection:
                yield connection


def _is_exhausted(engine: Engine) -> bool:
    pool = engine.pool
    if isinstance(pool, (StaticPool, SingletonThreadPool)):
        return True  # a second checkout is the same connection, and giving it back would roll the application back
    return isinstance(pool, QueuePool) and 0 < _capacity(pool) <= pool.checkedout()


def _reader(call: Call, engine: Engine) -> Engine:
    """The engine for reads: in autocommit, where that saves a BEGIN and a ROLLBACK.

    On MariaDB it would add two statements, on SQLite two PRAGMAs; and there a SELECT opens no transaction.
    """
    reader = call.state.readers.get(engine)
    if reader is None:
        plain = engine.dialect.name in ("mysql", "mariadb", "sqlite")
        reader = engine if plain else engine.execution_options(isolation_level="AUTOCOMMIT")
        call.state.readers[engine] = reader
    return reader


# ---------------------------------------------------------------- writing


@contextmanager
def apart(state: AuthState, model: type[Any]) -> Iterator[Connection]:
    """A connection to the table of ``model`` on which each statement is committed by itself: what it counts stays
    counted, whatever becomes of the transactions around it.

    Raises:
        TransactionConflict: the application holds what a statement would wait for.
    """
    with state.db.session.session_factory() as session:
        _check_conflict(state, session, model)
        engine = cast(Engine, session.get_bind(mapper=inspect(model)))
    with _hiding_parameters(), engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


#: A table, and what columns of one of its rows must still hold.
Given = tuple[str, Mapping[str, Any]]


@cache
def _insert(table: str, new_id: bool, of: str | None, names: tuple[str, ...]) -> Callable[[AuthState], Any]:
    """Makes the statement that inserts a row, if there is one in ``of`` whose columns ``names`` are as given.

    With ``new_id`` the database makes the identifier.
    """

    def build(state: AuthState) -> Any:
        spec = state.tables[table]
        statement = sql_insert(spec.model)
        if of is not None:
            columns = state.tables[of].columns
            into = {name: column for name, column in spec.columns.items() if name != "id" or not new_id}
            chosen = select(*(bindparam(f"new_{name}", type_=column.type) for name, column in into.items()))
            still = (columns[name] == bindparam(f"given_{name}") for name in names)
            attributes = [getattr(spec.model, name) for name in into]
            statement = statement.from_select(attributes, chosen.where(*still).with_for_update())
        return statement.returning(spec.model.id) if new_id else statement

    return build


def create(
    call: Call,
    table: str,
    data: Mapping[str, Any],
    *,
    given: Given | None = None,
    insert: Callable[[Record], object] | None = None,
) -> Record | None:
    """Insert a row.

    Args:
        call: with an open unit.
        table: one of our tables.
        data: columns under their Python names; what is missing gets its default.
        given: what must still hold, for what was read in an earlier unit; the row it speaks of is locked until the
            commit.
        insert: puts the row elsewhere than into the database.

    Returns:
        The row; nothing, if a hook cancelled it.

    Raises:
        Outdated: it no longer holds.
    """
    spec = call.state.tables[table]
    changed = _before(call, table, "create", data)
    if changed is None:
        return None
    now = clock.now()
    made = {"created_at": now, "updated_at": now, **changed}
    if spec.new_id is not None and "id" not in made:
        made["id"] = spec.new_id()
    values = fields.with_defaults(call, table, made)
    values |= {name: default() for name, default in spec.defaults.items() if name not in values}
    record = Record((name, values.get(name)) for name in spec.columns)
    if insert is not None:
        if given is not None and not lock(call, given[0], **given[1]):
            raise Outdated
        if record.id is None:  # the database, which counts, does not see it
            record["id"] = random_string()
        insert(record)
    elif not _inserted(call, table, record, given):
        raise Outdated
    _after(call, table, "create", record)
    return record


def _inserted(call: Call, table: str, record: Record, given: Given | None) -> bool:
    """Whether ``given`` held and the row is there now; it has its identifier then, if the database makes them."""
    spec, session, new_id = call.state.tables[table], _unit_of(call), record.id is None
    row = {name: value for name, value in record.items() if name != "id" or not new_id}
    if given is None:
        result = session.execute(call.state.once(_insert(table, new_id, None, ())), [spec.native(row)])
    else:
        of, held = given
        values = {f"new_{name}": value for name, value in row.items()}
        values |= {f"given_{name}": value for name, value in held.items()}
        # drivers forget the count of an INSERT unless they are asked to keep it; the values are no rows to insert
        options = {"preserve_rowcount": True, "dml_strategy": "raw"}
        statement = call.state.once(_insert(table, new_id, of, tuple(held)))
        result = session.execute(statement, values, execution_options=options)
    if new_id:
        made = result.scalar()
        record["id"] = None if made is None else str(made)
        return made is not None
    return given is None or result.rowcount == 1  # type: ignore[attr-defined]  # a cursor result, for an INSERT


def next_id(call: Call, table: str, record: Record) -> str:
    """An identifier that a new row like ``record`` would have got from the database, and none will get."""
    with suppress(_Undone), unit(call):
        _inserted(call, table, record, None)
        raise _Undone
    identity: str = record.id
    return identity


class _Undone(Exception):
    """Takes a unit back."""


def update(
    call: Call,
    table: str,
    row: Record,
    data: Mapping[str, Any],
    *given: Any,
    write: Callable[[Mapping[str, Any]], bool] | None = None,
) -> Record | None:
    """Change a row that was read before.

    Args:
        call: with an open unit.
        table: one of our tables.
        row: the row as it was read.
        data: the columns that change.
        given: conditions beside the identifier: what the decision to write relied on.
        write: changes the columns elsewhere than in the database, and tells whether the row was there.

    Returns:
        The row as it is now; nothing, if it is gone, a condition no longer holds, or a hook cancelled the change.
    """
    spec = call.state.tables[table]
    values = _before(call, table, "update", data)
    if values is None:
        return None
    values = fields.with_updates(call, table, values)
    if "updated_at" in spec.columns:
        values.setdefault("updated_at", clock.now())
    statement = sql_update(spec.model).where(spec.columns["id"] == row.id, *given).values(spec.native(values))
    if not (_changes_one(call, statement) if write is None else write(values)):
        return None
    changed = Record({**row, **values})
    if table == "user":
        call.state.sessions.user_changed(call, changed)
    after_commit(call, lambda: _refresh(call, spec, changed.id, values))
    _after(call, table, "update", changed)
    return changed


def lock(call: Call, table: str, **holding: Any) -> bool:
    """Let nobody else lock or change a row until the unit ends: by a write of nothing, which every database knows.

    Args:
        call: with an open unit.
        table: one of our tables.
        holding: what its columns must hold, the identifier among them.

    Returns:
        Whether there is such a row.
    """
    spec = call.state.tables[table]
    same = (spec.columns[name] == value for name, value in holding.items())
    return _changes_one(call, sql_update(spec.model).where(*same).values(updated_at=spec.columns["updated_at"]))


def _changes_one(call: Call, statement: Any) -> bool:
    """Whether a statement changed, or deleted, the one row that it speaks of."""
    result = _unit_of(call).execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount == 1  # type: ignore[attr-defined, no-any-return]  # a cursor result


def delete(call: Call, table: str, row: Record, *given: Any, erase: Callable[[], bool] | None = None) -> bool:
    """Delete a row that was read before, and what refers to it, which a database may leave behind.

    Args:
        call: with an open unit.
        table: one of our tables.
        row: the row as it was read.
        given: conditions beside the identifier.
        erase: deletes it elsewhere than in the database, and tells whether it was there.

    Returns:
        Whether this call deleted it: of two at once, one does.
    """
    spec = call.state.tables[table]
    if _before(call, table, "delete", row) is None:
        return False
    if table == "user":
        call.state.sessions.user_gone(call, row)
    statement = sql_delete(spec.model).where(spec.columns["id"] == row.id, *given)
    if not (_changes_one(call, statement) if erase is None else erase()):
        return False
    _delete_referring(call, table, [row.id])
    _after(call, table, "delete", row)
    return True


def delete_all(call: Call, table: str, *given: Any) -> list[Record]:
    """Delete every row that fits, by one statement where the database tells what it deleted and no hook has a say.

    Returns:
        The rows that this call deleted: of two at once, one gets a row.
    """
    spec, session = call.state.tables[table], _unit_of(call)
    columns = spec.columns.values()
    dialect = session.connection(bind_arguments={"mapper": inspect(spec.model)}).dialect
    if asks_before(call, table, "delete") or not dialect.delete_returning:
        found = map(spec.record, session.execute(select(*columns).where(*given).with_for_update()).all())
        return [row for row in found if delete(call, table, row)]
    statement = sql_delete(spec.model).where(*given).returning(*columns)
    deleted = session.execute(statement, execution_options={"synchronize_session": False}).all()
    gone = [spec.record(row) for row in deleted]
    _delete_referring(call, table, [row.id for row in gone])
    for row in gone:
        _after(call, table, "delete", row)
    return gone


def _delete_referring(call: Call, table: str, identities: Sequence[str]) -> None:
    """Foreign keys do it where the database heeds them; SQLite does not unless the application asks for it."""
    session, referring = _unit_of(call), call.state.once(_referring)
    for child, column in referring[table] if identities else ():
        spec = call.state.tables[child]
        orphans = spec.columns[column].in_(identities)
        further = session.scalars(select(spec.columns["id"]).where(orphans)).all() if referring[child] else ()
        session.execute(sql_delete(spec.model).where(orphans), execution_options={"synchronize_session": False})
        _delete_referring(call, child, further)


def _referring(state: AuthState) -> dict[str, list[tuple[str, str]]]:
    """The columns that hold identifiers of each table's rows."""
    return {
        parent: [(child, name) for child, spec in state.tables.items() for name in references(spec.model, of.model)]
        for parent, of in state.tables.items()
    }


def _unit_of(call: Call) -> Session:
    if call.unit is None:
        raise RuntimeError("rows are written inside `with records.unit(call):`")
    return call.unit


def _before(call: Call, table: str, operation: Operation, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """What before hooks make of the data; nothing, if one of them cancels."""
    values = dict(data)
    for around in call.state.database_hooks.around(table, operation):
        if around.before is not None:
            verdict = around.before(dict(values if operation == "create" else data), call)
            if verdict is False:
                return None
            if isinstance(verdict, Mapping):
                values.update(verdict)
    return values


def asks_before(call: Call, table: str, operation: Operation) -> bool:
    """Whether a hook may cancel an operation, so that each row has to be shown to it."""
    return any(around.before for around in call.state.database_hooks.around(table, operation))


def _after(call: Call, table: str, operation: Operation, record: Record) -> None:
    for around in call.state.database_hooks.around(table, operation):
        if around.after is not None:
            after_commit(call, partial(around.after, record, call))


def _refresh(call: Call, spec: Table, identity: str, values: Mapping[str, Any]) -> None:
    """Show an own write to the application's instance of the same row, unless it has changes of its own."""
    if not call.state.db.session.registry.has():
        return
    session = call.state.db.session()
    key = spec.native({"id": identity})["id"]
    instance = session.identity_map.get(session.identity_key(spec.model, key))
    if instance is not None and not inspect(instance).modified:
        for name, value in spec.native(values).items():
            attributes.set_committed_value(instance, name, value)
