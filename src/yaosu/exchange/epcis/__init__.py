"""GS1 EPCIS 2.0 (docs/epcis.md): capture and query over REST, JSON-LD and XML, mapped to and from movements.

The way of a document in: `reading` (JSON-LD or XML to events) → `checks` (what is wrong, with index and field) →
`plan` (events to acts) → `capture` (acts in one transaction, through the doors of production and circulation). The
way out: `outward` (bills to events) and `store` (captured events as they came) → `query` → `writing`.
"""
