-- All that hangs on the tables of one schema, as (kind, object, fact): what a load must leave alone.
-- Where sequences stand is left out, and the planner's statistics.
WITH relation AS (
    SELECT c.*, c.oid::regclass::text AS object FROM pg_class c
    WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind <> 't'
)
SELECT 'relation' AS kind, object, concat_ws(
    ' | ', oid, relkind, relpersistence, pg_get_userbyid(relowner), relacl, reloptions,
    relrowsecurity, relforcerowsecurity, relreplident, reltablespace,
    pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid)
) AS fact
FROM relation
UNION ALL
SELECT 'column', r.object || '.' || a.attname, concat_ws(
    ' | ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
    a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation, a.attacl,
    a.attoptions, a.attstattarget, a.attstorage
)
FROM relation r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind <> 'i' AND r.relkind <> 'I'
UNION ALL
SELECT 'constraint', r.object || '.' || k.conname, concat_ws(
    ' | ', k.oid, pg_get_constraintdef(k.oid), k.convalidated, k.conislocal
)
FROM relation r JOIN pg_constraint k ON r.oid IN (k.conrelid, k.confrelid)
UNION ALL
SELECT 'index', i.indexrelid::regclass::text, concat_ws(
    ' | ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident
)
FROM relation r JOIN pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT 'trigger', r.object || '.' || t.tgname, concat_ws(
    ' | ', pg_get_triggerdef(t.oid), t.tgenabled
)
FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy', r.object || '.' || p.polname, concat_ws(
    ' | ', p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid)
)
FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'rule', r.object || '.' || w.rulename, pg_get_ruledef(w.oid)
FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
UNION ALL
-- Also views of other schemas.
SELECT DISTINCT 'view of', r.object, concat_ws(' | ', v.oid::regclass, pg_get_viewdef(v.oid))
FROM relation r
JOIN pg_depend d ON d.refobjid = r.oid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite w ON w.oid = d.objid
JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
UNION ALL
SELECT 'comment', pg_describe_object(c.classoid, c.objoid, c.objsubid), c.description
FROM pg_description c
WHERE c.objoid IN (SELECT oid FROM relation)
OR c.objoid IN (SELECT k.oid FROM pg_constraint k JOIN relation r ON r.oid = k.conrelid)
OR c.objoid = %(schema)s::regnamespace
UNION ALL
SELECT 'sequence', r.object, concat_ws(
    ' | ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
    s.seqcycle, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype
)
FROM relation r
JOIN pg_sequence s ON s.seqrelid = r.oid
LEFT JOIN pg_depend d ON d.objid = r.oid AND d.deptype IN ('a', 'i')
UNION ALL
SELECT 'publication', r.object, p.pubname::text
FROM relation r JOIN pg_publication_rel m ON m.prrelid = r.oid
JOIN pg_publication p ON p.oid = m.prpubid
UNION ALL
SELECT 'inheritance', r.object, i.inhparent::regclass || ' ' || i.inhseqno
FROM relation r JOIN pg_inherits i ON i.inhrelid = r.oid
UNION ALL
SELECT 'statistics', s.stxname::text, concat_ws(' | ', pg_get_statisticsobjdef(s.oid), s.stxstattarget)
FROM relation r JOIN pg_statistic_ext s ON s.stxrelid = r.oid
UNION ALL
SELECT 'type', t.oid::regtype::text, concat_ws(
    ' | ', t.typtype, pg_get_userbyid(t.typowner), t.typacl, (
        SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e
        WHERE e.enumtypid = t.oid
    )
)
FROM pg_type t WHERE t.typnamespace = %(schema)s::regnamespace AND t.typtype IN ('d', 'e')
ORDER BY 1, 2, 3
