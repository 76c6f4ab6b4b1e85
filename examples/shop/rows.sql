-- Fills the shop, always alike; %(orders)s orders, and in proportion all else.
INSERT INTO shop.countries
SELECT code, name FROM (VALUES ('DE', 'Deutschland'), ('FR', 'France'), ('PL', 'Polska'),
    ('GR', 'Ελλάδα'), ('JP', '日本')) AS known(code, name);

INSERT INTO shop.categories
SELECT n, nullif(n / 3, 0), 'category ' || n FROM generate_series(1, 30) n;

INSERT INTO shop.customers (email, country, advertised_by, interests, born, updated_at)
SELECT 'Customer.' || n || '@example.org',
    (array['DE', 'FR', 'PL', 'GR', 'JP'])[1 + n %% 5],
    CASE WHEN n %% 3 = 0 THEN 1 + n * 7 %% (%(orders)s / 5) END,
    CASE WHEN n %% 4 > 0 THEN (array['books', NULL, E'a "quoted" \\ one'])[1 : n %% 4] END,
    CASE WHEN n %% 10 > 0 THEN date '1940-02-29' + n * 7919 %% 25000 END,
    timestamptz '2024-01-01 00:00Z' + n * interval '61.000001 s'
FROM generate_series(1, %(orders)s / 5) n;

INSERT INTO shop.products (category, name, net, sizes, details)
SELECT 1 + n %% 30, 'product ' || n, 0.01 + n * 7919 %% 1000000 / 100.0,
    CASE WHEN n %% 2 = 0 THEN array[array[n, NULL], array[n + 1, n + 2]] END,
    CASE WHEN n %% 5 > 0 THEN jsonb_build_object('weight', n / 7.0, 'tags', array['x', 'ü']) END
FROM generate_series(1, greatest(1, %(orders)s / 20)) n;

INSERT INTO shop.orders (day, customer, state, sent_at)
SELECT date '2023-11-01' + n %% 900, 1 + n * 31 %% (%(orders)s / 5),
    (enum_range(NULL::shop.state))[1 + n %% 4],
    CASE WHEN n %% 4 > 1 THEN timestamp '2023-11-05' + n * interval '1 h 1 s' END
FROM generate_series(1, %(orders)s) n;

INSERT INTO shop.items
SELECT o.id, o.day, line, 1 + (o.id * line * 17) %% greatest(1, %(orders)s / 20), 1 + o.id %% 9
FROM shop.orders o, generate_series(1, 1 + o.id::integer %% 3) line
