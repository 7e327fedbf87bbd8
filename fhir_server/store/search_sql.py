"""The statements of a search: a page, forward or backward, and a count; the same text for both databases.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from functools import lru_cache

from fhir_server.search.expression import And, IdIn, Query, SortKey
from fhir_server.search.extent import single
from fhir_server.store.search_composer import VARIES, Composer
from fhir_server.store.search_leaves import Sql, join, leaf, numbered, one_of
from fhir_server.store.search_plan import Plan
from fhir_server.store.search_projected import Projected
from fhir_server.store.search_words import asked_words, word_keys

# What a row begins with: a whole version, or what a page shows of it.
WHOLE = "v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body"
SHOWN = "v.key, v.type, v.logical_id, v.body"
_SORT_COLUMNS = {
    "token": ("code", "code"),
    "string": ("folded", "folded"),
    "date": ("low", "high"),
    "number": ("low", "high"),
    "quantity": ("low", "high"),
    "uri": ("value", "value"),
}
_OF_RESOURCE = {"last-updated": "r.last_updated", "id": "r.logical_id"}


def statements(
    query: Query, plan: Plan, columns: str = WHOLE, owner: int | None = None
) -> list[Sql]:
    """What is asked, one after the other, until the page is full; the last value of each is its limit.

    Rows are those columns, then one for each sort key; backward, they come in reverse. owner: what owner_told gave;
    then that number comes between them, and the id and the type's number of what each refers to by it.
    """
    # First pages are asked again and again; those that follow are each asked once.
    if query.after is None:
        return _first(query.sort, query.limit, query.backward, plan, columns, owner)
    return _headed(_composed(query, plan, owner), plan, columns)


@lru_cache(maxsize=1024)
def with_question(
    sort: tuple[SortKey, ...], limit: int, plan: Plan, owner: int, question: Sql
) -> Sql:
    """A first page whose rows tell what they refer to, and another question whose rows are as wide: one statement."""
    (page,) = _first(sort, limit, False, plan, SHOWN, owner)
    return Sql(f"{page.text} UNION ALL {question.text}", (*page.values, *question.values))


def owner_told(query: Query, plan: Plan, follow: frozenset[int]) -> int | None:
    """The parameter, the only one of those, whose target a page of the search can tell of each match."""
    projected = plan.projected
    if projected is None or not projected.single or projected.sorts(query.sort) is None:
        return None
    by = projected.projection.by
    return by.number if by is not None and follow == {by.number} else None


@lru_cache(maxsize=1024)
def _first(
    sort: tuple[SortKey, ...],
    limit: int,
    backward: bool,
    plan: Plan,
    columns: str,
    owner: int | None,
) -> list[Sql]:
    # What is asked for is in the plan.
    query = Query((), And(()), sort, limit, backward=backward)
    return _headed(_composed(query, plan, owner), plan, columns)


def _headed(made: list[Sql], plan: Plan, columns: str) -> list[Sql]:
    head = f"{'' if plan.steady else VARIES}SELECT {columns}"
    return [Sql(f"{head}{item.text}", item.values) for item in made]


def _composed(query: Query, plan: Plan, owner: int | None) -> list[Sql]:
    """The statements, each without its beginning: what follows the columns of the version v."""
    column = plan.projected.sorts(query.sort) if plan.projected is not None else None
    if plan.projected is not None and column is not None:
        return [_in_order(query, plan.projected, column, owner)]
    if not query.sort:
        if plan.projected is not None:
            return [_projected_by_key(query, plan.projected)]
        return [_by_key(query, plan)]
    key = query.sort[0]
    if plan.walk and len(query.sort) == 1:
        if key.table in _OF_RESOURCE:
            return [_by_column(query, plan, _OF_RESOURCE[key.table])]
        if key.table in _SORT_COLUMNS and len(plan.types) == 1:
            return _walk(query, plan, key)
    return [_gathered(query, plan)]


@lru_cache(maxsize=1024)
def numbers(query: Query, plan: Plan) -> Sql:
    """The statement that finds the numbers of the matching versions in the order of creation: no version is read."""
    assert not query.sort
    assert query.after is None
    condition = _where(plan)
    return Sql(
        f"{'' if plan.steady else VARIES}SELECT r.seq FROM resource r WHERE {condition.text} ORDER BY r.key LIMIT ?",
        (*condition.values, query.limit),
    )


def count(plan: Plan) -> Sql:
    """The statement that counts."""
    if plan.projected is not None and not plan.rest:
        counted = "*" if plan.projected.single else "DISTINCT p.key"
        condition = plan.projected.condition
        text = f"SELECT COUNT({counted}) FROM projection p WHERE {condition.text}"
        return Sql(text, condition.values)
    if plan.start is not None and not plan.rest and len(plan.types) == 1:
        found = leaf(plan.start, "t")
        if found is not None:
            # The parameters of a leaf are of the type searched, and what is deleted has no rows.
            table, condition = found
            return Sql(
                f"{VARIES}SELECT COUNT(DISTINCT t.key) FROM {table} t WHERE {condition.text}",
                condition.values,
            )
        words = asked_words(plan.start)
        if words is not None and len(words) == 1:
            keys = word_keys(words)
            return Sql(f"{VARIES}SELECT COUNT(*) FROM ({keys.text}) AS k", keys.values)
    condition = _where(plan, each=False)
    return Sql(f"{VARIES}SELECT COUNT(*) FROM resource r WHERE {condition.text}", condition.values)


def _where(plan: Plan, *, each: bool = True) -> Sql:
    """The condition on resource r."""
    composer = Composer(each=each)
    if isinstance(plan.start, IdIn):
        # That is few, and of the types: nothing else is to be read first, which the + 0 tells every planner.
        few = composer.keys(plan.start, plan.types)
        named = [Sql("r.deleted + 0 = 0"), Sql(f"r.key IN ({few.text})", few.values)]
        return join([*named, *(composer.test(part, "r") for part in plan.rest)], " AND ", "")
    conditions = [Sql("r.deleted = 0")]
    keys = None
    if plan.projected is not None:
        covered = plan.projected.condition
        keys = Sql(f"SELECT p.key FROM projection p WHERE {covered.text}", covered.values)
    elif plan.start is not None:
        keys = composer.keys(plan.start, plan.types)
    if keys is None:
        conditions.append(one_of("r.type", plan.types))
    else:
        conditions.append(Sql(f"r.key IN ({keys.text})", keys.values))
        conditions.append(one_of("+r.type" if len(plan.types) == 1 else "r.type", plan.types))
    conditions += [composer.test(part, "r") for part in plan.rest]
    return join(conditions, " AND ", "")


def _direction(descending: bool) -> str:
    return " DESC" if descending else ""


def _by_key(query: Query, plan: Plan) -> Sql:
    """Unsorted: in the order of creation."""
    condition = _where(plan)
    sign = "<" if query.backward else ">"
    after = Sql("") if query.after is None else Sql(f" AND r.key {sign} ?", (query.after[-1],))
    return Sql(
        f" FROM resource r JOIN version v ON v.seq = r.seq"
        f" WHERE {condition.text}{after.text} ORDER BY r.key{_direction(query.backward)} LIMIT ?",
        (*condition.values, *after.values, query.limit),
    )


def _by_column(query: Query, plan: Plan, column: str) -> Sql:
    """In the order of a column of the resource, which an index has."""
    condition = _where(plan)
    descending = query.sort[0].descending != query.backward
    after = Sql("")
    if query.after is not None:
        sign = "<" if descending else ">"
        value, key = query.after
        after = Sql(
            f" AND {column} {sign}= ? AND ({column} {sign} ? OR r.key {sign} ?)",
            (value, value, key),
        )
    order = f"{column}{_direction(descending)}, r.key{_direction(descending)}"
    return Sql(
        f", o.s0 FROM (SELECT {column} AS s0, r.key AS key, r.seq AS seq FROM resource r"
        f" WHERE {condition.text}{after.text} ORDER BY {order} LIMIT ?) o JOIN version v ON v.seq = o.seq"
        f" ORDER BY o.s0{_direction(descending)}, o.key{_direction(descending)}",
        (*condition.values, *after.values, query.limit),
    )


def _walk(query: Query, plan: Plan, key: SortKey) -> list[Sql]:
    """In the order of an index table: the resources that have a value, then those that have none."""
    valued, missing = _valued(query, plan, key), _missing(query, plan, key)
    position = query.after[0] if query.after is not None else None
    without = query.after is not None and position is None
    if query.backward:
        return [missing, valued] if without else [valued]
    return [missing] if without else [valued, missing]


def _valued(query: Query, plan: Plan, key: SortKey) -> Sql:
    """The rows that are a resource's lowest (highest) value, in their order."""
    column = _SORT_COLUMNS[key.table][key.descending]
    descending = key.descending != query.backward
    named = numbered("s.parameter", key.parameters)
    conditions = [named, Sql("r.deleted = 0")]
    if query.after is not None and query.after[0] is not None:
        sign = "<" if descending else ">"
        value, last = query.after
        text = f"s.{column} {sign}= ? AND (s.{column} {sign} ? OR s.key {sign} ?)"
        conditions.append(Sql(text, (value, value, last)))
    once = len(key.parameters) == 1 and single(key.parameters[0])
    if not once:
        better = ">" if key.descending else "<"
        others = numbered("m.parameter", key.parameters)
        text = f"SELECT 1 FROM {key.table} m WHERE m.key = s.key AND {others.text} AND m.{column} {better} s.{column}"
        conditions.append(Sql(f"NOT EXISTS ({text})", others.values))
    composer = Composer(each=True)
    conditions += [composer.test(part, "r") for part in plan.rest]
    condition = join(conditions, " AND ", "")
    direction = _direction(descending)
    distinct = "" if once else "DISTINCT "
    return Sql(
        f", o.s0 FROM (SELECT {distinct}s.{column} AS s0, s.key AS key FROM {key.table} s"
        f" JOIN resource r ON r.key = s.key WHERE {condition.text}"
        f" ORDER BY s.{column}{direction}, s.key{direction} LIMIT ?) o"
        f" JOIN resource r ON r.key = o.key JOIN version v ON v.seq = r.seq"
        f" ORDER BY o.s0{direction}, o.key{direction}",
        (*condition.values, query.limit),
    )


def _missing(query: Query, plan: Plan, key: SortKey) -> Sql:
    """The resources without a value, by key."""
    condition = _where(plan)
    named = numbered("s.parameter", key.parameters)
    descending = key.descending != query.backward
    after = Sql("")
    if query.after is not None and query.after[0] is None:
        after = Sql(f" AND r.key {'<' if descending else '>'} ?", (query.after[-1],))
    return Sql(
        f", NULL FROM resource r JOIN version v ON v.seq = r.seq WHERE {condition.text}"
        f" AND NOT EXISTS (SELECT 1 FROM {key.table} s WHERE s.key = r.key AND {named.text}){after.text}"
        f" ORDER BY r.key{_direction(descending)} LIMIT ?",
        (*condition.values, *named.values, *after.values, query.limit),
    )


def _gathered(query: Query, plan: Plan) -> Sql:
    """All matches with their sort values, sorted."""
    condition = _where(plan)
    sorts = [_sort_expression(item) for item in query.sort]
    columns = ", ".join(f"{item.text} AS s{number}" for number, item in enumerate(sorts))
    back = query.backward
    order = ", ".join(
        f"(q.s{number} IS NULL){_direction(back)}, q.s{number}{_direction(item.descending != back)}"
        for number, item in enumerate(query.sort)
    )
    order += f", q.key{_direction(query.sort[0].descending != back)}"
    after = Sql("") if query.after is None else _after(query)
    shown = ", ".join(f"o.s{number}" for number in range(len(sorts)))
    return Sql(
        f", {shown} FROM (SELECT q.* FROM (SELECT r.key, r.seq, {columns} FROM resource r"
        f" WHERE {condition.text}) q{after.text} ORDER BY {order} LIMIT ?) o"
        f" JOIN version v ON v.seq = o.seq ORDER BY {order.replace('q.', 'o.')}",
        (
            *(value for item in sorts for value in item.values),
            *condition.values,
            *after.values,
            query.limit,
        ),
    )


def _sort_expression(item: SortKey) -> Sql:
    if item.table in _OF_RESOURCE:
        return Sql(_OF_RESOURCE[item.table])
    # Without the + a planner without statistics walks the values of all resources down to the one of this.
    named = numbered("+s.parameter", item.parameters)
    function = "MAX" if item.descending else "MIN"
    if item.table == "reference":
        column = "CASE WHEN s.url <> '' THEN s.url ELSE s.target_id END"
    else:
        column = "s." + _SORT_COLUMNS[item.table][item.descending]
    return Sql(
        f"(SELECT {function}({column}) FROM {item.table} s WHERE s.key = r.key AND {named.text})",
        named.values,
    )


def unordered(query: Query, plan: Plan) -> bool:
    """Whether the rows of a page still have to be put in order, which takes a database longer: it moves the bodies."""
    return plan.projected is not None and plan.projected.sorts(query.sort) is not None


def _in_order(query: Query, projected: Projected, column: str, owner: int | None) -> Sql:
    """A page by the order of the projection's date: bodies are fetched for the rows of the page only."""
    composer = Composer(each=True)
    tests = [composer.test(part, "r") for part in projected.rest]
    distinct = "" if projected.single else "DISTINCT "
    joined = " JOIN resource r ON r.key = p.key" if tests else ""
    walks = [join([item, *tests], " AND ", "") for item in projected.walks]
    told, also, shown = "", "", ""
    if owner is not None:
        told, also = ", p.value1 AS target, p.system1 AS kind", ", q.target, q.kind"
        shown = f", {int(owner)}, o.target, o.kind"
    rows = f"SELECT {distinct}{column} AS s0, p.key AS key{told} FROM projection p{joined} WHERE "
    # Each walk is in order, so that a database merges them and stops at the limit.
    found = rows + f" UNION ALL {rows}".join([item.text for item in walks])
    condition = Sql(found, tuple(value for item in walks for value in item.values))
    after = Sql("") if query.after is None else _after(query)
    direction = _direction(query.sort[0].descending != query.backward)
    return Sql(
        f"{shown}, o.s0 FROM (SELECT q.s0, q.key{also} FROM ({condition.text}) q{after.text}"
        f" ORDER BY q.s0{direction}, q.key{direction} LIMIT ?) o"
        " JOIN resource r ON r.key = o.key JOIN version v ON v.seq = r.seq",
        (*condition.values, *after.values, query.limit),
    )


def _projected_by_key(query: Query, projected: Projected) -> Sql:
    """A page of what the projection finds, in the order of creation."""
    composer = Composer(each=True)
    tests = [composer.test(part, "r") for part in projected.rest]
    joined = " JOIN resource r ON r.key = p.key" if tests else ""
    condition = join([projected.condition, *tests], " AND ", "")
    direction, sign = _direction(query.backward), "<" if query.backward else ">"
    after = Sql("") if query.after is None else Sql(f" AND p.key {sign} ?", (query.after[-1],))
    return Sql(
        f" FROM (SELECT DISTINCT p.key AS key FROM projection p{joined} WHERE {condition.text}"
        f"{after.text} ORDER BY p.key{direction} LIMIT ?) o JOIN resource r ON r.key = o.key"
        f" JOIN version v ON v.seq = r.seq ORDER BY r.key{direction}",
        (*condition.values, *after.values, query.limit),
    )


def _after(query: Query) -> Sql:
    """Rows that come after a position (before it, going backward): equal in the first keys, beyond it in the next."""
    assert query.after is not None
    alternatives: list[Sql] = []
    equal: list[Sql] = []
    for number, item in enumerate(query.sort):
        column, value = f"q.s{number}", query.after[number]
        if value is None:
            if query.backward:
                alternatives.append(join([*equal, Sql(f"{column} IS NOT NULL")], " AND ", ""))
            equal.append(Sql(f"{column} IS NULL"))
            continue
        sign = "<" if item.descending != query.backward else ">"
        missing = "" if query.backward else f" OR {column} IS NULL"
        beyond = Sql(f"({column} {sign} ?{missing})", (value,))
        alternatives.append(join([*equal, beyond], " AND ", ""))
        equal.append(Sql(f"{column} = ?", (value,)))
    sign = "<" if query.sort[0].descending != query.backward else ">"
    alternatives.append(join([*equal, Sql(f"q.key {sign} ?", (query.after[-1],))], " AND ", ""))
    found = join(alternatives, " OR ", "")
    return Sql(f" WHERE {found.text}", found.values)
