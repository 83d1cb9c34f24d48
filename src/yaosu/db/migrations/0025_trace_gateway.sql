-- Where a trace system answers the calls of its customers. What a connection fetches is only believed when it comes from
-- the address that the operator entered here: a firm must not bring its own goods into the books by naming a server of
-- its own as somebody's trace system (R-A4).
ALTER TABLE trace_system ADD COLUMN gateway_url text NOT NULL DEFAULT '';
