"""Billing in the bench's largest database: of a million users a tenth has a subscription, and another tenth a pack.

With five million transactions there are 200,000 customers, 500,000 payments and as many Stripe events.
"""

PLANS = """
INSERT INTO billing_plan (code, name, kind, credits, amount, currency, interval, stripe_price, active, changed_at)
SELECT 'plan-' || n, 'Plan ' || n, CASE WHEN n < 5 THEN 'subscription' ELSE 'pack' END, n * 100, n * 1000,
    CASE WHEN n %% 4 = 0 THEN 'usd' ELSE 'eur' END, CASE WHEN n < 5 THEN 'month' ELSE '' END, 'price_' || n, true, now()
FROM generate_series(1, 8) AS n
"""
# Of ten users one has a subscription (`tenth` 0) and one has bought a pack (`tenth` 1).
BUYERS = """
(SELECT id, created_at, n, n %% 10 AS tenth, n / 10 AS buyer,
    (SELECT array_agg(id ORDER BY id) FROM billing_plan WHERE kind = 'subscription') AS monthly,
    (SELECT array_agg(id ORDER BY id) FROM billing_plan WHERE kind = 'pack') AS packs
 FROM (SELECT id, created_at, row_number() OVER () AS n FROM accounts_user WHERE id > %(first)s) AS numbered
 WHERE n %% 10 < 2) AS bought
"""
CUSTOMERS = """
INSERT INTO billing_customerlink (user_id, customer, created_at)
SELECT id, 'cus_' || n, created_at FROM BUYERS
"""
ACCOUNTS = """
INSERT INTO billing_billingaccount (user_id, status, subscription, stripe_status, plan_id, current_period_end,
    cancel_at_period_end, version, changed_at)
SELECT id, (ARRAY['active', 'active', 'active', 'canceled'])[1 + buyer %% 4], 'sub_' || n, 'active',
    monthly[1 + buyer %% 4], created_at + interval '30 days', buyer %% 50 = 0, 1, created_at
FROM BUYERS WHERE tenth = 0
UNION ALL
SELECT id, (ARRAY['past_due', 'frozen', 'trialing'])[1 + buyer %% 3], 'sub_' || n, 'past_due', monthly[1], created_at,
    false, 1, created_at
FROM BUYERS WHERE tenth = 1 AND buyer %% 1000 = 0
"""
PAYMENTS = """
INSERT INTO billing_payment (id, user_id, payment_intent, subscription, version, settled_at, kind, plan_id, quantity,
    credits, paid, currency, paid_at, kept, disputed, granted_by, created_at, changed_at)
SELECT 'in_' || n || '_' || month, id, 'pi_' || n || '_' || month, 'sub_' || n, 1, at,
    CASE WHEN buyer %% 200 = 0 AND month = 3 THEN 'trial' ELSE 'subscription' END, monthly[1 + buyer %% 4], 1, 100,
    1000, CASE WHEN buyer %% 4 = 3 THEN 'usd' ELSE 'eur' END, at, 1000, 0, gen_random_uuid(), at, at
FROM (SELECT *, created_at - month * interval '30 days' AS at FROM BUYERS CROSS JOIN generate_series(0, 3) AS month
      WHERE tenth = 0) AS months
UNION ALL
SELECT 'pi_' || n, id, 'pi_' || n, '', 1, created_at, CASE WHEN buyer %% 500 = 0 THEN 'proration' ELSE 'pack' END,
    packs[1 + buyer %% 4], 1, CASE WHEN buyer %% 500 = 0 THEN 0 ELSE 500 END, 2000,
    CASE WHEN buyer %% 10000 = 7 THEN 'jpy' ELSE 'eur' END, created_at, CASE WHEN buyer %% 100 = 0 THEN 0 ELSE 2000 END,
    0, CASE WHEN buyer %% 500 > 0 THEN gen_random_uuid() END, created_at, created_at
FROM BUYERS WHERE tenth = 1
"""
EVENTS = """
INSERT INTO billing_inboxevent (leased_until, due_at, attempts, done_at, dead_at, last_error, event_id, type, created,
    livemode, customer, body, received_at, settled_at, mirrored_at)
SELECT NULL, at, 1, CASE WHEN n %% 5000 > 1 THEN at END, CASE WHEN n %% 5000 = 1 THEN at END, '', 'evt_' || n,
    CASE WHEN n %% 2000 = 7 THEN 'charge.dispute.created'
        ELSE (ARRAY['invoice.paid', 'customer.subscription.updated', 'charge.succeeded'])[1 + n %% 3] END,
    at, false, customer, '{"id": "evt", "data": {"object": {"id": "in_1", "customer": "cus_1"}}}', at, at, at
FROM (
    SELECT customer, created_at + n * interval '1 hour' AS at, row_number() OVER (ORDER BY created_at, n) AS n
    FROM billing_customerlink CROSS JOIN generate_series(0, 4) AS n WHERE customer LIKE 'cus\\_%%0' OR n = 0
) AS happened
ORDER BY at
"""
CHANGES = """
INSERT INTO billing_customerchange (user_id, kind, subscription, created_at, due_at, done_at, dead_at, attempts,
    last_error)
SELECT id, 'email', '', created_at, created_at, CASE WHEN n %% 1000 > 1 THEN created_at END,
    CASE WHEN n %% 1000 = 1 THEN created_at END, 1, ''
FROM BUYERS
"""
TABLES: dict[str, tuple[str, ...]] = {
    table: tuple(statement.replace("BUYERS", BUYERS.strip()) for statement in statements)
    for table, statements in {
        "billing_plan": (PLANS,),
        "billing_customerlink": (CUSTOMERS,),
        "billing_billingaccount": (ACCOUNTS,),
        "billing_payment": (PAYMENTS,),
        "billing_inboxevent": (EVENTS,),
        "billing_customerchange": (CHANGES,),
    }.items()
}
